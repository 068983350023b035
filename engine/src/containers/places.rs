//! Events of what a container joins with each start and leaves with each end: its network and its volumes.
//!
//! Order and attributes: moby `daemon/container_operations.go`, `daemon/volumes_unix.go`, `container/container.go`.

use std::collections::BTreeMap;

use super::config::Network;
use super::{Container, MountKind};
use crate::engine::Shared;
use crate::events::{Action, Event, Noun};

impl Shared {
    /// Before the event of a start.
    pub(super) fn tell_joined(&self, container: &Container, at_ns: i64) {
        self.tell_network(container, at_ns, Action::Connect);
        for mount in container.resolved.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            let attributes = [
                ("destination", mount.destination.to_string_lossy().into_owned()),
                ("propagation", String::new()),
                ("read/write", (!mount.read_only).to_string()),
            ];
            self.tell_volume_of(container, at_ns, Action::Mount, mount.volume.as_deref(), &attributes);
        }
    }

    /// Behind the event of an end.
    pub(super) fn tell_left(&self, container: &Container, at_ns: i64) {
        self.tell_network(container, at_ns, Action::Disconnect);
        for mount in container.resolved.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            self.tell_volume_of(container, at_ns, Action::Unmount, mount.volume.as_deref(), &[]);
        }
    }

    fn tell_network(&self, container: &Container, at_ns: i64, action: Action) {
        let (name, driver) = match container.config.network {
            Network::Bridge => ("bridge", "bridge"),
            Network::Host => ("host", "host"),
            Network::None => ("none", "null"),
            Network::Container { .. } => return,
        };
        let attributes = [("name", name), ("type", driver), ("container", &container.id)];
        self.events.tell(Event {
            at_ns,
            team_id: container.owner.team_id,
            noun: Noun::Network,
            action,
            id: name.to_owned(),
            attributes: attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        });
    }

    fn tell_volume_of(
        &self,
        container: &Container,
        at_ns: i64,
        action: Action,
        volume: Option<&str>,
        more: &[(&str, String)],
    ) {
        let mut attributes: BTreeMap<String, String> =
            more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        attributes.insert("driver".to_owned(), "local".to_owned());
        attributes.insert("container".to_owned(), container.id.clone());
        let (noun, id) = (Noun::Volume, volume.unwrap_or_default().to_owned());
        self.events.tell(Event { at_ns, team_id: container.owner.team_id, noun, action, id, attributes });
    }
}
