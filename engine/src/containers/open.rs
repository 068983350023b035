//! What is done once, when the engine opens: rows into memory, journals taken in, the lost found, the left-over swept.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sampan_runtime::rootfs::overlay::UPPER;
use sampan_runtime::sandbox::RestartPolicy;

use super::table::Slot;
use super::{Container, ContainerError, Run, State};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;
use crate::store;

/// Containers started at once after a reboot: more would only wait for the same two or four CPUs.
const AT_ONCE: usize = 4;
/// Said of a run that nobody saw end.
const LOST: &str = "it ended while nothing watched it (the host went down, or all of Sampan's processes were killed)";

impl Shared {
    /// Reads all rows.
    pub(crate) async fn load(&self) -> Result<(), ContainerError> {
        for row in store::containers::all(&self.pool).await? {
            let id = row.id.clone();
            match of_row(row) {
                Ok(container) => drop(self.table.insert(container)),
                Err(error) => tracing::error!(container.id = id, %error, "a row cannot be understood and is left out"),
            }
        }
        Ok(())
    }

    /// Takes in what happened while nobody looked, then starts by policy what ran before the host went down.
    pub(crate) async fn catch_up(self: &Arc<Self>) -> Result<(), ContainerError> {
        let slots = self.table.all();
        // Rows are written behind the journals: one may say that a container never ran, which runs.
        for slot in &slots {
            self.replay(slot);
        }
        let mut teams: BTreeMap<String, Owner> = BTreeMap::new();
        for slot in &slots {
            let container = slot.now();
            if container.run.started_at_ns.is_some() || container.state != State::Created {
                teams.insert(container.owner.key.clone(), container.owner.clone());
            }
        }
        for owner in teams.values() {
            // Subscribes: each container the monitor has is reported before the call returns.
            self.monitors.of(owner).await?;
        }
        self.monitors.settle().await;
        let lost: Vec<_> = slots
            .iter()
            .filter(|slot| {
                let state = slot.now().state;
                (state.is_alive() || state == State::Restarting) && !slot.reported.load(Ordering::Relaxed)
            })
            .cloned()
            .collect();
        for slot in &lost {
            self.note_lost(slot);
        }
        slots.iter().for_each(|slot| self.probe_from_now(slot));
        self.remove_half_made(&slots).await;
        self.sweep().await;
        let restart = slots.iter().filter(|slot| by_policy(&slot.now(), lost.iter().any(|one| Arc::ptr_eq(one, slot))));
        self.start_by_policy(restart.cloned().collect());
        Ok(())
    }

    /// An end that nobody saw: its code is unknown, its time too.
    fn note_lost(self: &Arc<Self>, slot: &Arc<Slot>) {
        let container = slot.change_seen(|seen, container| {
            container.state = State::Exited;
            container.run.pid = None;
            container.run.unprobed();
            container.run.exit_code = None;
            container.run.finished_at_ns = Some(now_ns());
            LOST.clone_into(&mut container.run.error);
            seen.exits += 1;
            seen.code = None;
        });
        self.runs.write(&container);
        self.tell(&container, now_ns(), Action::Die, [("exitCode".to_owned(), "unknown".to_owned())]);
        self.tell_left(&container, now_ns());
        slot.needs_release.store(true, Ordering::Release);
        if !by_policy(&container, true) {
            self.finish_later(slot.clone());
        }
    }

    /// Row and writable layer are made side by side: one whose layer is not there was never answered for.
    async fn remove_half_made(self: &Arc<Self>, slots: &[Arc<Slot>]) {
        for slot in slots {
            let container = slot.now();
            let made = container.state != State::Created
                || container.run.started_at_ns.is_some()
                || self.container_folder(&container.id).join(UPPER).exists();
            if made {
                continue;
            }
            tracing::info!(container.id = container.id, "removing a container that was not made whole");
            let _verb = slot.verb.lock().await;
            if let Err(error) = self.remove_locked(slot, true).await {
                tracing::warn!(container.id = container.id, %error, "it stays until the next start");
            }
        }
    }

    /// Removes folders of containers that have no row: a removal or a creation that a kill interrupted.
    async fn sweep(self: &Arc<Self>) {
        let known: HashSet<String> = self.table.all().iter().map(|slot| slot.now().id.clone()).collect();
        let folder = self.settings.data_root.join("containers");
        let Ok(entries) = std::fs::read_dir(&folder) else { return };
        let left: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.len() == 64 && !known.contains(name))
            .collect();
        for id in left {
            tracing::info!(
                container.id = id,
                "removing what is left of a container that was not made or not removed whole"
            );
            if let Err(error) = self.spawner.remove(&id).await
                && error.kind() != crate::Kind::NotFound
            {
                tracing::warn!(container.id = id, %error, "it stays until the next start");
            }
        }
    }

    /// Starts them in the background, those whose namespaces others share first, a few at once.
    fn start_by_policy(self: &Arc<Self>, mut slots: Vec<Arc<Slot>>) {
        slots.sort_by_key(|slot| {
            let container = slot.now();
            (container.joins_another(), container.created_at_ns)
        });
        let (first, then): (Vec<_>, Vec<_>) = slots.into_iter().partition(|slot| !slot.now().joins_another());
        let shared = self.clone();
        tokio::spawn(async move {
            for wave in [first, then] {
                let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
                let mut tasks = tokio::task::JoinSet::new();
                for slot in wave {
                    let (shared, turns) = (shared.clone(), turns.clone());
                    tasks.spawn(async move {
                        let _turn = turns.acquire_owned().await;
                        let _verb = slot.verb.lock().await;
                        match shared.start_locked(&slot).await {
                            Ok(()) | Err(ContainerError::NotModified { .. }) => {}
                            Err(error) => {
                                tracing::warn!(container.id = slot.now().id, %error, "could not be started by its policy");
                            }
                        }
                    });
                }
                tasks.join_all().await;
            }
        });
    }
}

/// Whether the policy wants it started after all of Sampan was gone. Docker's rules.
fn by_policy(container: &Container, was_running: bool) -> bool {
    if container.state.is_alive() || container.state == State::Restarting {
        return false;
    }
    match container.config.restart {
        RestartPolicy::No => false,
        // Also one that a person stopped, but not one that was never started.
        RestartPolicy::Always => container.run.started_at_ns.is_some(),
        RestartPolicy::UnlessStopped => was_running && !container.run.stopped_by_person,
        RestartPolicy::OnFailure { .. } => was_running && !container.run.stopped_by_person,
    }
}

fn of_row(row: store::containers::Row) -> Result<Container, serde_json::Error> {
    let run: Run = serde_json::from_str(&row.run)?;
    let word = serde_json::Value::String(row.state);
    Ok(Container {
        id: row.id,
        owner: Owner {
            team_id: row.team_id,
            key: row.team_key,
            base_id: u32::try_from(row.base_id).unwrap_or_default(),
        },
        name: row.name,
        image_id: row.image_id,
        created_at_ns: row.created_at,
        config: Arc::new(serde_json::from_str(&row.config)?),
        resolved: Arc::new(serde_json::from_str(&row.resolved)?),
        state: serde_json::from_value::<State>(word)?,
        run,
    })
}

#[cfg(test)]
mod tests {
    use sampan_runtime::sandbox::RestartPolicy;

    use super::by_policy;
    use crate::containers::State;
    use crate::containers::config::ContainerConfig;
    use crate::containers::table::tests::container;

    #[test]
    fn policies_after_a_reboot_are_dockers() {
        let with = |restart, started: bool, stopped| {
            let mut it = container("a", "web", 1);
            it.config = std::sync::Arc::new(ContainerConfig { restart, ..ContainerConfig::default() });
            it.state = State::Exited;
            it.run.started_at_ns = started.then_some(1);
            it.run.stopped_by_person = stopped;
            by_policy(&it, !stopped)
        };
        assert!(!with(RestartPolicy::No, true, false));
        assert!(with(RestartPolicy::Always, true, true), "stopped by a person, started again");
        assert!(!with(RestartPolicy::Always, false, false), "never started");
        assert!(with(RestartPolicy::UnlessStopped, true, false));
        assert!(!with(RestartPolicy::UnlessStopped, true, true));
        assert!(with(RestartPolicy::OnFailure { max_retries: 0 }, true, false));
    }
}
