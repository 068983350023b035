//! The engine: one handle for all nouns.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::SqlitePool;

use crate::containers::{ContainerError, Containers};
use crate::events::Events;
use crate::images::{Images, StorageBackend};
use crate::stats::Stats;
use crate::volumes::Volumes;

/// Where an engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Absolute; images, containers, volumes.
    pub data_root: PathBuf,
    /// Absolute; sockets of keeper, spawner, net and the monitors.
    pub state_root: PathBuf,
    /// The instance's short id: names cgroups, links and the nft table.
    pub instance: String,
}

/// A container platform without users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all nouns of one engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) pool: SqlitePool,
    pub(crate) events: Events,
    pub(crate) images: Images,
}

impl Engine {
    /// Joins the running helpers through the state root, takes in what happened meanwhile (journals, with the true
    /// times), starts by policy what ran before the host went down.
    pub async fn open(settings: Settings, pool: SqlitePool) -> Result<Self, ContainerError> {
        let images = Images::open(&settings.data_root, pool.clone(), StorageBackend::Erofs)?;
        Ok(Self { shared: Arc::new(Shared { settings, pool, events: Events::new(), images }) })
    }

    /// Where it works.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The database that the engine shares with the accounts.
    pub fn pool(&self) -> &SqlitePool {
        &self.shared.pool
    }

    /// Containers.
    pub fn containers(&self) -> Containers {
        Containers { shared: self.shared.clone() }
    }

    /// Images.
    pub fn images(&self) -> &Images {
        &self.shared.images
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes { shared: self.shared.clone() }
    }

    /// Events.
    pub fn events(&self) -> Events {
        self.shared.events.clone()
    }

    /// Statistics.
    pub fn stats(&self) -> Stats {
        Stats { shared: self.shared.clone() }
    }
}
