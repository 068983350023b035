//! Removing containers.

use std::sync::Arc;

use super::table::Slot;
use super::{Container, ContainerError, Containers, Pruned, State};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;
use crate::store;

impl Containers {
    /// Removes it; with `force` also one that runs (killed first), with `volumes` its anonymous volumes too.
    pub async fn remove(
        &self,
        owner: &Owner,
        reference: &str,
        force: bool,
        volumes: bool,
    ) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let shared = self.shared.clone();
        let reference = reference.to_owned();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            match container.state {
                State::Removing => return Err(ContainerError::NotFound { reference }),
                State::Running | State::Paused | State::Restarting if !force => {
                    return Err(ContainerError::WrongState {
                        name: container.name.clone(),
                        state: container.state.word(),
                        wanted: "stop the container before removing it, or force the removal",
                    });
                }
                State::Running | State::Paused => shared.kill_locked(&slot).await?,
                State::Restarting => shared.end_waiting(&slot).await?,
                _ => {}
            }
            if slot.now().state == State::Removing {
                return Ok(());
            }
            // A container made to be removed at its end may be waiting for this lock; then it finds it gone.
            shared.remove_locked(&slot, volumes).await
        })
        .await
    }

    /// Removes all that do not run and for which `wanted` says so.
    pub async fn prune(
        &self,
        owner: &Owner,
        wanted: &(dyn Fn(&Container) -> bool + Send + Sync),
    ) -> Result<Pruned, ContainerError> {
        let mut pruned = Pruned::default();
        for container in self.shared.table.of_team(owner.team_id) {
            if !matches!(container.state, State::Created | State::Exited | State::Dead) || !wanted(&container) {
                continue;
            }
            let bytes = self.usage(owner, &container.id).await.map(|usage| usage.bytes).unwrap_or(0);
            match self.remove(owner, &container.id, false, false).await {
                Ok(()) => {
                    pruned.bytes += bytes;
                    pruned.ids.push(container.id.clone());
                }
                // Started or removed meanwhile.
                Err(ContainerError::WrongState { .. } | ContainerError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}

impl Shared {
    /// Removes one that does not run; the caller holds its verb lock. Row and name go before the answer, the rest
    /// after it; a sweep at the next open finishes what a kill interrupts.
    pub(super) async fn remove_locked(self: &Arc<Self>, slot: &Arc<Slot>, volumes: bool) -> Result<(), ContainerError> {
        let container = slot.now();
        store::containers::delete(&self.pool, &container.id).await?;
        slot.change(|container| container.state = State::Removing);
        self.table.remove(&container.id);
        self.runs.forget(&container.id);
        self.execs.forget(&container.id);
        if volumes {
            for id in &container.resolved.anonymous_volumes {
                if let Err(error) = self.drop_anonymous_volume(&container.owner, id).await {
                    tracing::warn!(volume.id = id, %error, "an anonymous volume stays");
                }
            }
        }
        self.tell(&container, now_ns(), Action::Destroy, []);
        let shared = self.clone();
        let slot = slot.clone();
        tokio::spawn(async move { shared.clear(&slot).await });
        Ok(())
    }

    /// Lets go of all that a removed container has left.
    async fn clear(&self, slot: &Arc<Slot>) {
        let _teardown = slot.teardown.lock().await;
        let container = slot.now();
        let id = &container.id;
        if let Err(error) = self.release(slot).await {
            tracing::warn!(container.id = id, %error, "what a run has left could not be let go of");
        }
        if container.run.started_at_ns.is_some()
            && let Ok(monitor) = self.monitors.of(&container.owner).await
            && let Err(error) = monitor.forget(id).await
        {
            tracing::debug!(container.id = id, %error, "the monitor had nothing to forget");
        }
        slot.unread().await;
        if let Err(error) = self.spawner.remove(id).await
            && error.kind() != crate::Kind::NotFound
        {
            tracing::warn!(container.id = id, %error, "the files of a removed container stay until the next start");
        }
    }
}
