//! The handle. Its verbs stand in the files of their names. `reference` is always a name, a whole id or the beginning
//! of an id, of the owner's team.

use std::sync::Arc;

use sampan_runtime::sandbox::RestartPolicy;

use super::config::Limits;
use super::{Container, ContainerError, State};
use crate::engine::Shared;
use crate::owner::Owner;

/// The containers of one engine.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) shared: Arc<Shared>,
}

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What was changed or ignored, one sentence each.
    pub warnings: Vec<String>,
}

/// Whether `stop` had something to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ran.
    Now,
    /// It did not run.
    Already,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// It does not run: at once for one that does not.
    #[default]
    NotRunning,
    /// Its next end, whatever it does now.
    NextExit,
    /// It is gone.
    Removed,
}

/// What `update` changes; absent values stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Only the fields that are set change.
    pub limits: Limits,
    /// A new policy.
    pub restart: Option<RestartPolicy>,
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids.
    pub ids: Vec<String>,
    /// Bytes of their writable layers.
    pub bytes: u64,
}

impl Containers {
    /// The container as it is now.
    pub fn get(&self, owner: &Owner, reference: &str) -> Result<Arc<Container>, ContainerError> {
        self.shared.table.find(owner, reference).map(|slot| slot.now())
    }

    /// The team's, newest first; without `all` only those that run.
    pub fn list(&self, owner: &Owner, all: bool) -> Vec<Arc<Container>> {
        let mut containers = self.shared.table.of_team(owner.team_id);
        containers.retain(|container| all || container.state.is_alive() || container.state == State::Restarting);
        containers
    }
}
