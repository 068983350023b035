//! The filters of `docker ps`, applied to snapshots.
//!
//! Source: moby `daemon/list.go`; docker documentation, "docker container ls", "Filtering".

use std::sync::Arc;

use sampan_engine::containers::config::ExposedPort;
use sampan_engine::containers::{Container, State};

use super::network_settings::{network_id, network_name};
use super::ports;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::filters::Filters;

/// Keys that dockerd knows.
pub const KEYS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Filters with their values read.
pub struct ListFilter {
    filters: Filters,
    exited: Vec<i32>,
    publish: Vec<ExposedPort>,
    expose: Vec<ExposedPort>,
    before: Option<(i64, String)>,
    since: Option<(i64, String)>,
    ancestors: Option<Vec<String>>,
}

/// What the door must look up for a filter.
pub trait Lookup {
    /// The team's container of this name or id.
    fn container(&self, reference: &str) -> Result<Arc<Container>, DockerError>;
    /// Id of the team's image of this name or id.
    fn image_id(&self, reference: &str) -> Option<String>;
}

impl ListFilter {
    /// Reads the values.
    ///
    /// # Errors
    /// 400 for a value that cannot be read; 404 when `before` or `since` name no container.
    pub fn new(filters: Filters, lookup: &impl Lookup) -> Result<Self, DockerError> {
        let states = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
        check(&filters, "status", &states)?;
        check(&filters, "health", &["none", "starting", "healthy", "unhealthy"])?;
        filters.flag("is-task", false)?;
        let read_code = |value: &String| {
            value.parse().map_err(|_| DockerError::invalid(format!("invalid filter 'exited={value}'")))
        };
        let exited = filters.get("exited").iter().map(read_code).collect::<Result<_, _>>()?;
        let moment = |key: &str| -> Result<Option<(i64, String)>, DockerError> {
            let Some(reference) = filters.get(key).last() else { return Ok(None) };
            let container = lookup.container(reference)?;
            Ok(Some((container.created_at_ns, container.id.clone())))
        };
        let ancestors = filters
            .contains("ancestor")
            .then(|| filters.get("ancestor").iter().filter_map(|reference| lookup.image_id(reference)).collect());
        Ok(Self {
            exited,
            publish: read_ports(&filters, "publish")?,
            expose: read_ports(&filters, "expose")?,
            before: moment("before")?,
            since: moment("since")?,
            ancestors,
            filters,
        })
    }

    /// Whether containers that do not run are wanted although nobody said `all`.
    pub fn wants_all(&self) -> bool {
        self.filters.contains("status") || self.filters.contains("before") || self.filters.contains("since")
    }

    /// Whether a container is wanted.
    pub fn wants(&self, container: &Container) -> bool {
        let filters = &self.filters;
        let resolved = &container.resolved;
        self.fits_moments(container)
            && (filters.matches("name", &container.name) || filters.matches("name", &format!("/{}", container.name)))
            && (!filters.contains("id") || filters.get("id").iter().any(|id| container.id.starts_with(id.as_str())))
            && filters.has_labels("label", |name| resolved.labels.get(name).map(String::as_str))
            && filters.is_one_of("status", container.state.word())
            && filters.is_one_of("health", container.run.health.as_ref().map_or("none", |health| health.status.word()))
            // No container is a task of a swarm.
            && !filters.flag("is-task", false).unwrap_or(false)
            && self.fits_exit(container)
            && self.fits_volume(container)
            && self.ancestors.as_ref().is_none_or(|ids| ids.contains(&container.image_id))
            && self.fits_network(container)
            && self.fits_ports(container)
    }

    fn fits_moments(&self, container: &Container) -> bool {
        let moment = (container.created_at_ns, container.id.clone());
        self.before.as_ref().is_none_or(|before| moment < *before)
            && self.since.as_ref().is_none_or(|since| moment > *since)
    }

    fn fits_exit(&self, container: &Container) -> bool {
        let ended = matches!(container.state, State::Exited | State::Dead | State::Removing);
        self.exited.is_empty() || (ended && container.run.exit_code.is_some_and(|code| self.exited.contains(&code)))
    }

    fn fits_volume(&self, container: &Container) -> bool {
        let wanted = self.filters.get("volume");
        wanted.is_empty()
            || container.resolved.mounts.iter().any(|mount| {
                let destination = mount.destination.to_string_lossy();
                let source = mount.source.to_string_lossy();
                let name = mount.volume.as_deref().unwrap_or(&source);
                wanted.iter().any(|value| *value == destination || value == name)
            })
    }

    fn fits_network(&self, container: &Container) -> bool {
        let wanted = self.filters.get("network");
        if wanted.is_empty() {
            return true;
        }
        let Some(name) = network_name(&container.config.network) else { return false };
        let id = network_id(&container.owner, name);
        wanted.iter().any(|value| value == name || id.starts_with(value.as_str()))
    }

    fn fits_ports(&self, container: &Container) -> bool {
        if self.publish.is_empty() && self.expose.is_empty() {
            return true;
        }
        if !container.state.is_alive() {
            return false;
        }
        let published = container.run.ports.iter().any(|port| {
            self.publish.iter().any(|wanted| wanted.port == port.host_port && wanted.protocol == port.protocol)
                || self
                    .expose
                    .iter()
                    .any(|wanted| wanted.port == port.container_port && wanted.protocol == port.protocol)
        });
        published || container.resolved.exposed_ports.iter().any(|port| self.expose.contains(port))
    }
}

fn check(filters: &Filters, key: &str, known: &[&str]) -> Result<(), DockerError> {
    match filters.get(key).iter().find(|value| !known.contains(&value.as_str())) {
        None => Ok(()),
        Some(value) => Err(DockerError::invalid(format!(
            "invalid filter '{key}={value}': invalid value for {key} ({value}): must be one of {}",
            known.join(", ")
        ))),
    }
}

fn read_ports(filters: &Filters, key: &str) -> Result<Vec<ExposedPort>, DockerError> {
    let mut read = Vec::new();
    for value in filters.get(key) {
        if value.contains(':') {
            return Err(DockerError::invalid(format!("filter for '{key}' should not contain ':': {value}")));
        }
        read.extend(ports::read_exposed(value)?);
    }
    Ok(read)
}
