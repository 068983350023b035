//! The image beneath a container.

use std::sync::atomic::Ordering;

use sampan_runtime::sandbox::{Root, SANDBOX_FILE, Sandbox};

use super::ContainerError;
use super::config::{ContainerConfig, Healthcheck};
use super::create::{json, read, replace};
use super::describe::has_user_namespace;
use super::resolve::Defaults;
use super::table::Slot;
use crate::engine::Shared;
use crate::images::{ProcessConfiguration, StorageBackend};
use crate::owner::Owner;

/// What a container takes from its image.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// `sha256:…`.
    pub image_id: String,
    /// What it says of its containers.
    pub defaults: Defaults,
    /// Its layers, ready to be mounted.
    pub root: Root,
}

impl Shared {
    /// Looks the image up, by reference or (short) id, among those the team has.
    pub(super) async fn base(&self, owner: &Owner, config: &ContainerConfig) -> Result<Base, ContainerError> {
        let image = self.images.find_nameless(owner, &config.image).await?;
        if has_user_namespace(config)
            && let Some(high) = image.high_ids.first()
        {
            return Err(ContainerError::Unsupported {
                message: format!(
                    "image {} has files of ids above 65,535, which the team's user namespace cannot show ({} of {}); run it with --userns=host if you may",
                    image.shown(),
                    high.id,
                    high.path
                ),
            });
        }
        let root = self.images.root(&image).await?;
        Ok(Base { image_id: image.id.to_string(), defaults: defaults(&image.configuration.config), root })
    }

    /// Gives a container that was made on the other backend (on an older or newer kernel) the root of this one; its
    /// writable layer fits both, since they show the same.
    pub(super) async fn fit_root(&self, slot: &Slot) -> Result<(), ContainerError> {
        if slot.root_fits.load(Ordering::Relaxed) {
            return Ok(());
        }
        let container = slot.now();
        let path = self.container_folder(&container.id).join(SANDBOX_FILE);
        let mut sandbox: Sandbox = read(&path)?;
        let fits = match self.images.backend() {
            StorageBackend::Erofs => matches!(sandbox.root, Root::Erofs { .. }),
            StorageBackend::Folders => matches!(sandbox.root, Root::Folders { .. }),
        };
        if !fits {
            let image = self.images.find(&container.owner, &container.image_id).await?;
            sandbox.root = self.images.root(&image).await?;
            replace(&path, &json(&sandbox)?)?;
        }
        slot.root_fits.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn defaults(image: &ProcessConfiguration) -> Defaults {
    Defaults {
        entrypoint: image.entrypoint.clone(),
        command: image.cmd.clone(),
        environment: image.env.clone(),
        labels: image.labels.clone(),
        user: image.user.clone(),
        working_directory: image.working_dir.clone(),
        exposed_ports: image.exposed_ports.keys().cloned().collect(),
        volumes: image.volumes.keys().cloned().collect(),
        stop_signal: image.stop_signal.clone(),
        healthcheck: image.healthcheck.as_ref().map(|probe| Healthcheck {
            test: probe.test.clone(),
            interval_ns: probe.interval,
            timeout_ns: probe.timeout,
            start_period_ns: probe.start_period,
            start_interval_ns: probe.start_interval,
            retries: u32::try_from(probe.retries).unwrap_or_default(),
        }),
        shell: image.shell.clone().unwrap_or_default(),
    }
}
