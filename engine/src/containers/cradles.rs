//! Ids of containers to be, for which spawner has a first process standing.
//!
//! Only a hint: whether a cradle still waits, and fits, is decided by spawner at the start.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::config::{ContainerConfig, NamespaceMode, Network};
use super::create::new_id;
use super::describe::has_user_namespace;
use crate::owner::Owner;

/// Team and whether on its bridge.
type Kind = (i64, bool);

/// Ids given to spawner and not used yet, oldest first.
#[derive(Debug)]
pub(crate) struct Cradles {
    /// Of one kind.
    most: usize,
    waiting: Mutex<HashMap<Kind, VecDeque<String>>>,
}

impl Cradles {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, waiting: Mutex::default() }
    }

    /// The id for a new container: one whose cradle waits, else a random one.
    pub(crate) fn id_for(&self, owner: &Owner, config: &ContainerConfig) -> String {
        let found = kind(owner, config).and_then(|kind| {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&kind).and_then(VecDeque::pop_front)
        });
        found.unwrap_or_else(new_id)
    }

    /// New ids to raise cradles for, so that again as many wait as shall.
    pub(crate) fn next(&self, owner: &Owner, config: &ContainerConfig) -> Vec<String> {
        let Some(kind) = kind(owner, config) else { return Vec::new() };
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = all.entry(kind).or_default();
        let missing: Vec<String> = (waiting.len()..self.most).map(|_| new_id()).collect();
        waiting.extend(missing.iter().cloned());
        missing
    }
}

/// What spawner would find alike; none for a container that departs from the common shape.
fn kind(owner: &Owner, config: &ContainerConfig) -> Option<Kind> {
    let security = &config.security;
    let common = has_user_namespace(config)
        && matches!(config.network, Network::None | Network::Bridge)
        && security.pid == NamespaceMode::Own
        && security.ipc == NamespaceMode::Own
        && !security.without_shm
        && !security.uts_host
        && security.masked_paths.is_none()
        && security.readonly_paths.is_none()
        && config.mac.is_none()
        && config.devices.is_empty()
        && config.sysctls.is_empty()
        && config.shm_bytes.is_none();
    common.then_some((owner.team_id, config.network == Network::Bridge))
}

#[cfg(test)]
mod tests {
    use super::Cradles;
    use crate::containers::config::{ContainerConfig, Network};
    use crate::owner::Owner;

    #[test]
    fn an_id_serves_one_container_of_its_team_and_network() {
        let cradles = Cradles::new(2);
        let owner = |team_id| Owner { team_id, key: format!("t{team_id}"), base_id: 1 << 20 };
        let config = |network| ContainerConfig { network, ..ContainerConfig::default() };
        let raised = cradles.next(&owner(1), &config(Network::None));
        assert_eq!(raised.len(), 2);
        assert!(cradles.next(&owner(1), &config(Network::None)).is_empty(), "as many wait as shall");

        assert!(!raised.contains(&cradles.id_for(&owner(2), &config(Network::None))), "another team's");
        assert!(!raised.contains(&cradles.id_for(&owner(1), &config(Network::Bridge))), "another network's");
        assert_eq!(cradles.id_for(&owner(1), &config(Network::None)), raised[0]);
        assert_eq!(cradles.id_for(&owner(1), &config(Network::None)), raised[1]);
        assert!(!raised.contains(&cradles.id_for(&owner(1), &config(Network::None))), "used once");

        let host = config(Network::Host);
        assert!(cradles.next(&owner(1), &host).is_empty(), "a container in the host's network is raised for itself");
    }
}
