//! After the end of a run: what is left is let go of, apart from any answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::table::Slot;
use super::{ContainerError, State};
use crate::engine::Shared;

impl Shared {
    /// Lets go of what an ended run has left, in the background; removes it when it was made so.
    pub(super) fn finish_later(self: &Arc<Self>, slot: Arc<Slot>) {
        let shared = self.clone();
        tokio::spawn(async move {
            if slot.now().config.auto_remove {
                let _verb = slot.verb.lock().await;
                // A start may have come first.
                if slot.now().state == State::Exited
                    && let Err(error) = shared.remove_locked(&slot, true).await
                {
                    tracing::error!(container.id = slot.now().id, %error, "a container made to be removed at its end stays");
                }
                return;
            }
            {
                let _teardown = slot.teardown.lock().await;
                if let Err(error) = shared.release(&slot).await {
                    tracing::warn!(container.id = slot.now().id, %error, "what a run has left is let go of later");
                }
            }
            if slot.now().is_log_transient() {
                shared.drop_log(&slot).await;
            }
        });
    }

    /// Drops a log of which nothing is kept, once all that read it have come to its end.
    async fn drop_log(&self, slot: &Slot) {
        slot.unread().await;
        let _teardown = slot.teardown.lock().await;
        // The next run drops it as well.
        if matches!(slot.now().state, State::Exited | State::Created)
            && let Err(error) = sampan_runtime::log::drop_read(&self.container_folder(&slot.now().id))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(container.id = slot.now().id, %error, "output that is not to be kept stays until the next start");
        }
    }

    /// Gives back ports, address, namespaces, mounts and cgroups of an ended run; the caller holds the teardown lock.
    pub(super) async fn release(&self, slot: &Slot) -> Result<(), ContainerError> {
        if !slot.needs_release.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let container = slot.now();
        if !container.run.ports.is_empty() {
            self.unpublish(&container.id).await;
        }
        if let Err(error) = self.spawner.release(&container.id).await
            && error.kind() != crate::Kind::NotFound
        {
            slot.needs_release.store(true, Ordering::Release);
            return Err(error.into());
        }
        if container.run.endpoint.is_some()
            && let Err(error) = self.net.detach(&container.id).await
        {
            tracing::warn!(container.id = container.id, %error, "the address could not be given back yet");
        }
        let now = slot.change(|container| {
            container.run.ports.clear();
            container.run.endpoint = None;
        });
        self.runs.write(&now);
        Ok(())
    }
}
