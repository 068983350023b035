//! Starting a container's main process.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sampan_runtime::sandbox::{SANDBOX_FILE, Sandbox};
use sampan_runtime::wire::net::Port;
use sampan_runtime::wire::spawner::Started;

use super::config::{ContainerConfig, Network, PortRequest};
use super::create::{json, read, replace};
use super::table::Slot;
use super::{Container, ContainerError, Containers, State, files};
use crate::Kind;
use crate::engine::Shared;
use crate::owner::Owner;

/// Exit status of a container that could not be started, as Docker's.
const NOT_STARTED: i32 = 128;

impl Containers {
    /// Starts the main process. [`ContainerError::NotModified`] when it runs already.
    pub async fn start(&self, owner: &Owner, reference: &str) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let started = shared.start_locked(&slot).await;
            let failed = matches!(&started, Err(error) if error.kind() != Kind::NotModified);
            // One made to be removed at its end is not kept for its failure either.
            if failed && slot.now().config.auto_remove && !slot.now().state.is_alive() {
                shared.remove_locked(&slot, true).await?;
            }
            started
        })
        .await
    }
}

impl Shared {
    /// Starts it; the caller holds its verb lock.
    pub(super) async fn start_locked(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), ContainerError> {
        let container = slot.now();
        match container.state {
            State::Running => {
                return Err(ContainerError::NotModified { name: container.name.clone(), state: "running" });
            }
            State::Paused => {
                return Err(wrong(&container, "cannot start a paused container, try unpause instead"));
            }
            State::Removing | State::Dead => return Err(wrong(&container, "it is being removed")),
            State::Restarting => self.end_waiting(slot).await?,
            State::Created | State::Exited => {}
        }
        let _teardown = slot.teardown.lock().await;
        // As the last run left it: a start that fails is no run. Docker: "created" as long as none was.
        let before = slot.now().run.clone();
        self.release(slot).await?;
        match self.bring_up(slot, &container).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let code = match error.kind() {
                    Kind::CommandNotFound => 127,
                    Kind::CommandNotRunnable => 126,
                    _ => NOT_STARTED,
                };
                // When the host was slow its journal says that it began and ended: taken in now, not behind our back.
                self.replay(slot);
                // Counted as an end: who attached or waits before the start must not wait for ever.
                let failed = slot.change_seen(|seen, container| {
                    seen.exits += 1;
                    seen.code = Some(code);
                    container.state = match before.started_at_ns {
                        Some(_) => State::Exited,
                        None => State::Created,
                    };
                    (container.run.started_at_ns, container.run.finished_at_ns) =
                        (before.started_at_ns, before.finished_at_ns);
                    container.run.pid = None;
                    container.run.error = error.to_string();
                    container.run.exit_code = Some(code);
                    container.run.ports.clear();
                    container.run.endpoint = None;
                });
                self.runs.write(&failed);
                Err(error)
            }
        }
    }

    async fn bring_up(self: &Arc<Self>, slot: &Arc<Slot>, container: &Container) -> Result<(), ContainerError> {
        self.fit_root(slot).await?;
        self.share_files(container)?;
        let monitor = self.monitors.of(&container.owner);
        let ports = wanted_ports(container);
        let ports = match ports.is_empty() {
            true => Vec::new(),
            false => self.publish(&container.id, ports).await?,
        };
        let started = async {
            monitor.await?;
            let next = self.cradles.next(&container.owner, &container.config);
            self.spawner.start(&container.id, next).await
        };
        match started.await {
            Ok(started) => {
                self.note_start(slot, started, ports);
                Ok(())
            }
            Err(error) => {
                if !ports.is_empty() {
                    self.unpublish(&container.id).await;
                }
                // A spawner that died on the way may have left something; a refusal has left nothing.
                if !matches!(error, crate::processes::ProcessError::Refused { .. })
                    && let Err(error) = self.spawner.release(&container.id).await
                {
                    tracing::warn!(container.id = container.id, %error, "what is left of a start is let go of later");
                    slot.needs_release.store(true, Ordering::Release);
                }
                Err(error.into())
            }
        }
    }

    /// The answer of spawner; the monitor's news of the same start may have come before, and its end too.
    fn note_start(self: &Arc<Self>, slot: &Arc<Slot>, started: Started, ports: Vec<Port>) {
        let mut told = false;
        let now = slot.change_seen(|_, container| {
            told = container.run.started_at_ns.is_some_and(|at| at >= started.at_ns);
            let ended = told && !container.state.is_alive() && container.state != State::Created;
            container.run.stopped_by_person = false;
            if ended {
                return;
            }
            container.state = State::Running;
            container.run.pid = Some(started.pid);
            container.run.endpoint = started.endpoint;
            container.run.ports = ports;
            container.run.error.clear();
            container.run.exit_code = None;
            if !told {
                container.run.started_at_ns = Some(started.at_ns);
            }
        });
        self.runs.write(&now);
        if !told {
            // So that whoever hears of the start already sees it as starting; the news of it begins anew.
            self.probe_from_now(slot);
        }
    }

    /// A container that shares another's network has that one's hosts, resolvers and name.
    fn share_files(&self, container: &Container) -> Result<(), ContainerError> {
        let Some(id) = &container.resolved.network_container else { return Ok(()) };
        let other = self.table.find(&container.owner, id).map(|slot| slot.now())?;
        if !other.state.is_alive() {
            return Err(ContainerError::WrongState {
                name: other.name.clone(),
                state: other.state.word(),
                wanted: "cannot join the network of a container that does not run",
            });
        }
        let theirs: Sandbox = read(&self.container_folder(id).join(SANDBOX_FILE))?;
        let path = self.container_folder(&container.id).join(SANDBOX_FILE);
        let mut ours: Sandbox = read(&path)?;
        ours.files = files::shared(theirs.files, other.run.endpoint.as_ref());
        ours.files.retain(|file| !container.resolved.mounts.iter().any(|mount| mount.destination == file.path));
        replace(&path, &json(&ours)?)
    }

    /// Publishes all or none. A request with a range of host ports takes the first free one of it.
    async fn publish(&self, id: &str, requests: Vec<PortRequest>) -> Result<Vec<Port>, ContainerError> {
        let port = |request: &PortRequest, host_port| Port {
            host_address: request.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED),
            host_port,
            container_port: request.container_port,
            protocol: request.protocol,
        };
        let (ranges, single): (Vec<_>, Vec<_>) =
            requests.iter().partition(|request| request.host_ports.is_some_and(|(first, last)| first < last));
        let fixed = single.iter().map(|request| port(request, request.host_ports.map_or(0, |(first, _)| first)));
        let mut published = self.net.publish(id, None, fixed.collect()).await?;
        for request in ranges {
            let (first, last) = request.host_ports.unwrap_or_default();
            let mut found = None;
            for host_port in first..=last {
                let mut wanted = published.clone();
                wanted.push(port(request, host_port));
                match self.net.publish(id, None, wanted).await {
                    Ok(ports) => {
                        found = Some(ports);
                        break;
                    }
                    Err(error) if error.kind() == Kind::Conflict && host_port < last => {}
                    Err(error) => {
                        self.unpublish(id).await;
                        return Err(error.into());
                    }
                }
            }
            published = found.unwrap_or(published);
        }
        Ok(published)
    }

    pub(super) async fn unpublish(&self, id: &str) {
        if let Err(error) = self.net.unpublish(id).await {
            tracing::warn!(container.id = id, %error, "published ports could not be taken back yet");
        }
    }
}

fn wrong(container: &Container, wanted: &'static str) -> ContainerError {
    ContainerError::WrongState { name: container.name.clone(), state: container.state.word(), wanted }
}

/// What is to be published: the typed ones, and with `-P` every exposed one that is not typed.
fn wanted_ports(container: &Container) -> Vec<PortRequest> {
    let config: &ContainerConfig = &container.config;
    if config.network != Network::Bridge {
        return Vec::new();
    }
    let mut ports = config.ports.clone();
    if config.publish_all {
        for exposed in &container.resolved.exposed_ports {
            let typed = config
                .ports
                .iter()
                .any(|port| port.container_port == exposed.port && port.protocol == exposed.protocol);
            if !typed {
                ports.push(PortRequest {
                    host_address: None,
                    host_ports: None,
                    container_port: exposed.port,
                    protocol: exposed.protocol,
                });
            }
        }
    }
    ports
}
