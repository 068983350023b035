//! Small changes: pause, rename, limits, the terminal's size.

use sampan_runtime::sandbox::{CONFIG_FILE, SANDBOX_FILE, Sandbox};

use super::config::{ContainerConfig, Limits};
use super::create::{json, read, replace};
use super::stop::not_running;
use super::{ContainerError, Containers, State, Update, describe, names};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;
use crate::store;
use crate::volumes::Usage;

impl Containers {
    /// Freezes all its processes.
    pub async fn pause(&self, owner: &Owner, reference: &str) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            match container.state {
                State::Running => {}
                State::Paused => {
                    return Err(ContainerError::WrongState {
                        name: container.name.clone(),
                        state: "paused",
                        wanted: "it is paused already",
                    });
                }
                _ => return Err(not_running(&container)),
            }
            shared.spawner.pause(&container.id).await?;
            let now = slot.change(|container| {
                if container.state == State::Running {
                    container.state = State::Paused;
                    container.run.unprobed();
                }
            });
            shared.runs.write(&now);
            shared.tell(&now, now_ns(), Action::Pause, []);
            Ok(())
        })
        .await
    }

    /// Thaws them.
    pub async fn unpause(&self, owner: &Owner, reference: &str) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            if container.state != State::Paused {
                return Err(ContainerError::WrongState {
                    name: container.name.clone(),
                    state: container.state.word(),
                    wanted: "it is not paused",
                });
            }
            shared.thaw(&slot).await?;
            shared.tell(&slot.now(), now_ns(), Action::Unpause, []);
            Ok(())
        })
        .await
    }

    /// A new name.
    pub async fn rename(&self, owner: &Owner, reference: &str, name: &str) -> Result<(), ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let name = names::check(name)?.to_owned();
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            if container.name == name {
                return Err(ContainerError::Invalid {
                    message: "renaming a container with the same name as its current name".into(),
                });
            }
            let _reserved = shared.table.reserve(&container.owner, &name, &container.id)?;
            store::containers::set_name(&shared.pool, &container.id, &name).await?;
            shared.table.rename(&slot, &name);
            let old = format!("/{}", container.name);
            shared.tell(&slot.now(), now_ns(), Action::Rename, [("oldName".to_owned(), old)]);
            Ok(())
        })
        .await
    }

    /// Changes limits and policy, also of a running one. Gives warnings.
    pub async fn update(&self, owner: &Owner, reference: &str, update: Update) -> Result<Vec<String>, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let shared = self.shared.clone();
        Shared::whole(async move {
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            let mut config = ContainerConfig::clone(&container.config);
            if update.restart.is_some_and(|policy| policy != sampan_runtime::sandbox::RestartPolicy::No)
                && config.auto_remove
            {
                return Err(ContainerError::Invalid {
                    message: "a restart policy cannot be given to a container that is removed at its end".into(),
                });
            }
            merge(&mut config.limits, &update.limits);
            let warnings = describe::discard(&mut config.limits, shared.features());
            config.restart = update.restart.unwrap_or(config.restart);
            describe::check_limits(&config.limits)?;
            let changed = describe::changed(&config.limits)?;
            if container.state.is_alive() && update.limits != Limits::default() {
                shared.spawner.update(&container.id, changed.clone()).await?;
            }
            shared.rewrite(&container.id, &config, changed)?;
            if let Some(policy) = update.restart
                && (container.state.is_alive() || container.state == State::Restarting)
            {
                shared.monitors.of(&container.owner).await?.set_policy(&container.id, policy).await?;
            }
            store::containers::set_config(&shared.pool, &container.id, &json(&config)?).await?;
            let now = slot.change(|container| container.config = std::sync::Arc::new(config));
            shared.tell(&now, now_ns(), Action::Update, []);
            Ok(warnings)
        })
        .await
    }

    /// Sets the terminal's size.
    pub async fn resize(&self, owner: &Owner, reference: &str, rows: u16, columns: u16) -> Result<(), ContainerError> {
        let container = self.get(owner, reference)?;
        if !container.state.is_alive() {
            return Err(not_running(&container));
        }
        if !container.config.tty {
            return Err(ContainerError::Invalid { message: format!("container {} has no terminal", container.name) });
        }
        self.shared.monitors.of(owner).await?.resize(&container.id, rows, columns).await?;
        let size = [("height".to_owned(), rows.to_string()), ("width".to_owned(), columns.to_string())];
        self.shared.tell(&container, now_ns(), Action::Resize, size);
        Ok(())
    }

    /// Bytes and files of the writable layer.
    pub async fn usage(&self, owner: &Owner, reference: &str) -> Result<Usage, ContainerError> {
        let container = self.get(owner, reference)?;
        let folder = std::path::Path::new("containers").join(&container.id).join("upper");
        Ok(self.shared.spawner.usage(&folder).await?)
    }
}

impl Shared {
    /// The files that the next start reads.
    fn rewrite(
        &self,
        id: &str,
        config: &ContainerConfig,
        changed: oci_spec::runtime::LinuxResources,
    ) -> Result<(), ContainerError> {
        let folder = self.container_folder(id);
        let path = folder.join(CONFIG_FILE);
        let mut spec: oci_spec::runtime::Spec = read(&path)?;
        if let Some(linux) = spec.linux_mut()
            && let Some(resources) = linux.resources_mut()
        {
            resources.set_memory(*changed.memory()).set_cpu(changed.cpu().clone());
            if changed.pids().is_some() {
                resources.set_pids(*changed.pids());
            }
            if changed.block_io().is_some() {
                resources.set_block_io(changed.block_io().clone());
            }
        }
        replace(&path, &json(&spec)?)?;
        let path = folder.join(SANDBOX_FILE);
        let mut sandbox: Sandbox = read(&path)?;
        sandbox.restart = config.restart;
        replace(&path, &json(&sandbox)?)
    }
}

/// Set fields win. Docker's way: 0 and empty mean "not said".
fn merge(limits: &mut Limits, new: &Limits) {
    fn take<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
        if new.is_some() {
            old.clone_from(new);
        }
    }
    take(&mut limits.memory_bytes, &new.memory_bytes);
    take(&mut limits.memory_swap_bytes, &new.memory_swap_bytes);
    take(&mut limits.memory_reservation_bytes, &new.memory_reservation_bytes);
    take(&mut limits.swappiness, &new.swappiness);
    take(&mut limits.cpu_shares, &new.cpu_shares);
    take(&mut limits.cpuset_cpus, &new.cpuset_cpus);
    take(&mut limits.cpuset_mems, &new.cpuset_mems);
    take(&mut limits.pids, &new.pids);
    take(&mut limits.block_io_weight, &new.block_io_weight);
    if new.nano_cpus.is_some() {
        (limits.nano_cpus, limits.cpu_period, limits.cpu_quota) = (new.nano_cpus, None, None);
    }
    if new.cpu_period.is_some() || new.cpu_quota.is_some() {
        limits.nano_cpus = None;
        take(&mut limits.cpu_period, &new.cpu_period);
        take(&mut limits.cpu_quota, &new.cpu_quota);
    }
}
