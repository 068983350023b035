//! Ending a container's main process, and signals.

use std::sync::Arc;
use std::time::Duration;

use super::table::Slot;
use super::{Container, ContainerError, Containers, State, Stopped, signals};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;

const KILL: i32 = 9;
/// Between the stop signal and the kill when nothing is said. Docker's.
const GRACE: Duration = Duration::from_secs(10);
/// After a kill: a process that still does not end hangs in the kernel.
const HUNG: Duration = Duration::from_secs(30);

impl Containers {
    /// Sends the stop signal, waits for `grace` (`None`: the container's own, else 10 s; [`Duration::MAX`]: without
    /// limit), then kills. `signal` instead of the container's own.
    pub async fn stop(
        &self,
        owner: &Owner,
        reference: &str,
        grace: Option<Duration>,
        signal: Option<&str>,
    ) -> Result<Stopped, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let signal = signal.filter(|signal| !signal.is_empty()).map(signals::parse).transpose()?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            shared.stop_locked(&slot, grace, signal).await
        })
        .await
    }

    /// Stops it if it runs, then starts it.
    pub async fn restart(
        &self,
        owner: &Owner,
        reference: &str,
        grace: Option<Duration>,
        signal: Option<&str>,
    ) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let signal = signal.filter(|signal| !signal.is_empty()).map(signals::parse).transpose()?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            shared.stop_locked(&slot, grace, signal).await?;
            shared.start_locked(&slot).await?;
            shared.tell(&slot.now(), now_ns(), Action::Restart, []);
            Ok(())
        })
        .await
    }

    /// Sends a signal (name or number; `None`: KILL) to the main process.
    pub async fn kill(&self, owner: &Owner, reference: &str, signal: Option<&str>) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let signal = signal.filter(|signal| !signal.is_empty()).map_or(Ok(KILL), signals::parse)?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            if container.state == State::Restarting && signal == KILL {
                return shared.end_waiting(&slot).await;
            }
            if !container.state.is_alive() {
                return Err(not_running(&container));
            }
            if signal == KILL {
                return shared.kill_locked(&slot).await;
            }
            if signal == container.resolved.stop_signal {
                shared.announce_stop(&slot).await?;
            }
            shared.signal(&container, signal).await
        })
        .await
    }
}

impl Shared {
    /// Stops it; the caller holds its verb lock.
    pub(super) async fn stop_locked(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        grace: Option<Duration>,
        signal: Option<i32>,
    ) -> Result<Stopped, ContainerError> {
        let container = slot.now();
        if container.state == State::Restarting {
            self.end_waiting(slot).await?;
            return Ok(Stopped::Now);
        }
        if !container.state.is_alive() {
            return Ok(Stopped::Already);
        }
        let grace = grace.or_else(|| match container.config.stop_timeout {
            Some(seconds) if seconds < 0 => Some(Duration::MAX),
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            None => None,
        });
        let grace = grace.unwrap_or(GRACE);
        self.announce_stop(slot).await?;
        if container.state == State::Paused {
            self.thaw(slot).await?;
        }
        let ended = match self.signal(&container, signal.unwrap_or(container.resolved.stop_signal)).await {
            // It ended by itself just before.
            Err(error) if error.kind() == crate::Kind::NotFound || error.kind() == crate::Kind::Conflict => {
                wait_end(slot, HUNG).await
            }
            Err(error) => return Err(error),
            Ok(()) => wait_end(slot, grace).await,
        };
        if !ended {
            self.kill_locked(slot).await?;
        }
        self.tell(&slot.now(), now_ns(), Action::Stop, []);
        Ok(Stopped::Now)
    }

    /// Kills it and waits for its end; the caller holds its verb lock.
    pub(super) async fn kill_locked(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), ContainerError> {
        let container = slot.now();
        self.announce_stop(slot).await?;
        match self.signal(&container, KILL).await {
            Err(error) if !matches!(error.kind(), crate::Kind::NotFound | crate::Kind::Conflict) => return Err(error),
            _ => {}
        }
        if container.state == State::Paused {
            // On cgroup v1 even this signal waits for the thaw.
            self.thaw(slot).await?;
        }
        if wait_end(slot, HUNG).await {
            return Ok(());
        }
        Err(ContainerError::Refused {
            message: format!(
                "container {} was killed but does not end: its process hangs in the kernel",
                container.name
            ),
            kind: crate::Kind::Internal,
        })
    }

    /// Ends the waiting for a restart.
    pub(super) async fn end_waiting(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), ContainerError> {
        self.announce_stop(slot).await?;
        let mut seen = slot.watch();
        let ended = seen.wait_for(|seen| seen.container.state != State::Restarting || seen.removed);
        // The guard that the wait gives must not be held over another wait.
        let ended = tokio::time::timeout(HUNG, async { drop(ended.await) }).await;
        match ended {
            Ok(()) if slot.now().state.is_alive() => self.kill_locked(slot).await,
            Ok(()) => Ok(()),
            Err(_) => Err(ContainerError::Refused {
                message: format!("the monitor did not end the waiting of container {}", slot.now().name),
                kind: crate::Kind::Internal,
            }),
        }
    }

    /// No restart after this end; written before the answer, since a reboot asks for it.
    async fn announce_stop(&self, slot: &Slot) -> Result<(), ContainerError> {
        let container = slot.change(|container| container.run.stopped_by_person = true);
        self.runs.write(&container);
        self.runs.flush().await;
        self.monitors.of(&container.owner).await?.stopping(&container.id).await?;
        Ok(())
    }

    pub(super) async fn signal(&self, container: &Container, signal: i32) -> Result<(), ContainerError> {
        self.spawner.signal(&container.id, signal).await?;
        self.tell(container, now_ns(), Action::Kill, [("signal".to_owned(), signal.to_string())]);
        Ok(())
    }

    pub(super) async fn thaw(&self, slot: &Slot) -> Result<(), ContainerError> {
        self.spawner.unpause(&slot.now().id).await?;
        let now = slot.change(|container| {
            if container.state == State::Paused {
                container.state = State::Running;
            }
        });
        self.runs.write(&now);
        Ok(())
    }
}

/// Whether it ended within the time.
async fn wait_end(slot: &Slot, limit: Duration) -> bool {
    let mut seen = slot.watch();
    let ended = seen.wait_for(|seen| seen.removed || !seen.container.state.is_alive());
    if limit == Duration::MAX {
        return ended.await.is_ok();
    }
    tokio::time::timeout(limit, ended).await.is_ok()
}

pub(super) fn not_running(container: &Container) -> ContainerError {
    ContainerError::WrongState {
        name: container.name.clone(),
        state: container.state.word(),
        wanted: "it is not running",
    }
}
