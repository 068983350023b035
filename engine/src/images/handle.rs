//! The handle of all images, and one image.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sampan_runtime::sandbox::Root;
use sqlx::SqlitePool;

use super::flights::Flights;
use super::{ImageConfiguration, ImageError};
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::fault::{self, Step};
use crate::gc::{Leases, SweepError, Swept};
use crate::layers::{HighId, LayerStore};
use crate::processes::Spawner;
use crate::reference::ImageReference;
use crate::store::images::ImageRow;
use crate::upstream::{Credentials, Health, Places, Registries, Rules, Transport, UpstreamError};

/// How containers get their read-only root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageBackend {
    /// One mounted EROFS index over the layers' tars: kernel 6.12 or later, data root not on overlayfs.
    Erofs,
    /// A plain folder for each layer, unpacked by the spawner's helper, put on each other by overlayfs: everywhere else.
    Folders,
}

/// All images of one data root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub pool: SqlitePool,
    pub content: ContentStore,
    pub layers: LayerStore,
    pub leases: Leases,
    /// To other registries.
    pub transport: Transport,
    /// Which of their mirrors are well.
    pub health: Health,
    /// Layers on their way.
    pub flights: Flights,
    /// Held while a layer is packed: that takes all cores.
    pub packing: tokio::sync::Mutex<()>,
    /// Held while two images are compared: that takes memory for both indexes.
    pub comparing: tokio::sync::Mutex<()>,
    pub backend: StorageBackend,
    /// Unpacks layers and removes what it unpacked.
    pub spawner: Arc<Spawner>,
    /// Held while layers are unpacked: images share them.
    pub unpacking: tokio::sync::Mutex<()>,
    /// Bytes of plain folders, by chain id, as far as anybody asked: they never change.
    pub folder_bytes: Mutex<HashMap<Digest, u64>>,
}

/// Where images and the registry keep the same things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stores<'a> {
    pub pool: &'a SqlitePool,
    pub content: &'a ContentStore,
    pub layers: &'a LayerStore,
    pub leases: &'a Leases,
}

/// One image of a team.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of its configuration.
    pub id: Digest,
    /// The configuration, read.
    pub configuration: ImageConfiguration,
    /// The configuration as it came.
    pub raw: String,
    /// Its layers, bottom to top.
    pub diff_ids: Vec<Digest>,
    /// Uncompressed bytes of all its layers.
    pub size: u64,
    /// Ids in its files that no container with a user namespace can show, each with a path.
    pub high_ids: Vec<HighId>,
    /// When the team got it: nanoseconds since 1970.
    pub created_at: i64,
    /// The team's names for it, sorted.
    pub tags: Vec<ImageReference>,
    /// Under which digests the team got it or gave it away: `nginx@sha256:…`.
    pub digests: Vec<ImageReference>,
}

impl Images {
    /// Opens the stores beneath a data root and removes what an interrupted load left.
    ///
    /// # Errors
    /// [`ImageError`] when its folders cannot be made.
    pub fn open(
        data_root: &Path,
        pool: SqlitePool,
        backend: StorageBackend,
        spawner: Arc<Spawner>,
        transport: Transport,
    ) -> Result<Self, ImageError> {
        fault::arm(data_root);
        let content = ContentStore::open(data_root)?;
        let layers = LayerStore::open(data_root).map_err(|source| ImageError::Root { source })?;
        let shared = Shared {
            pool,
            content,
            layers,
            leases: Leases::new(),
            transport,
            health: Health::default(),
            flights: Flights::default(),
            packing: tokio::sync::Mutex::default(),
            comparing: tokio::sync::Mutex::default(),
            backend,
            spawner,
            unpacking: tokio::sync::Mutex::default(),
            folder_bytes: Mutex::default(),
        };
        let images = Self { shared: Arc::new(shared) };
        // A load that was killed between its renames and its rows left layers that no image has.
        if tokio::runtime::Handle::try_current().is_ok() {
            images.sweep_later();
        }
        Ok(images)
    }

    /// The stores beneath.
    pub(crate) fn stores(&self) -> Stores<'_> {
        let Shared { pool, content, layers, leases, .. } = &*self.shared;
        Stores { pool, content, layers, leases }
    }

    /// The registries that images come from.
    pub fn registries(&self) -> Registries {
        let Shared { pool, transport, health, .. } = &*self.shared;
        Registries::new(pool.clone(), transport.clone(), health.clone())
    }

    /// All places of another registry's repository, for one caller.
    pub(crate) fn places(
        &self,
        rules: &Arc<Rules>,
        reference: &ImageReference,
        credentials: &Credentials,
        elevated: bool,
    ) -> Result<Places, UpstreamError> {
        Places::new(&self.shared.transport, rules, &self.shared.health, elevated, credentials, reference)
    }

    /// How containers get their root.
    pub fn backend(&self) -> StorageBackend {
        self.shared.backend
    }

    /// The read-only root for containers of an image; makes what this backend lacks.
    ///
    /// # Errors
    /// [`ImageError::Root`] when a layer is missing or damaged.
    pub async fn root(&self, image: &Image) -> Result<Root, ImageError> {
        let (layers, diff_ids) = (self.shared.layers.clone(), image.diff_ids.clone());
        let made = match self.shared.backend {
            StorageBackend::Erofs => match layers.merged_root(&diff_ids) {
                Some(root) => Ok(root),
                None => tokio::task::spawn_blocking(move || layers.erofs_root(&diff_ids)).await.map_err(joining)?,
            },
            StorageBackend::Folders => self.unpacked(&diff_ids).await,
        };
        made.map_err(|source| ImageError::Root { source })
    }

    /// Removes layers, indexes and blobs that no image of any team needs and no work in progress holds.
    ///
    /// # Errors
    /// [`SweepError`].
    pub async fn sweep(&self) -> Result<Swept, SweepError> {
        let Shared { pool, content, layers, leases, spawner, .. } = &*self.shared;
        let swept = crate::gc::sweep(pool, content, layers, leases).await?;
        for folder in &swept.folders {
            spawner.remove_layer(folder).await?;
        }
        fault::step(Step::SweepDone);
        Ok(swept)
    }

    /// The same, after the answer.
    pub(super) fn sweep_later(&self) {
        let images = self.clone();
        tokio::spawn(async move {
            if let Err(error) = images.sweep().await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot sweep the image store");
            }
        });
    }
}

/// A task on the blocking pool that panicked.
pub(super) fn joining(error: tokio::task::JoinError) -> ImageError {
    ImageError::Read { source: std::io::Error::other(error) }
}

impl Image {
    /// Reads a row and the names that belong to it.
    pub(super) fn from_row(
        row: ImageRow,
        (tags, digests): (Vec<ImageReference>, Vec<ImageReference>),
    ) -> Result<Self, ImageError> {
        let damaged = |reason: String| ImageError::Damaged { id: row.id.clone(), reason };
        Ok(Self {
            id: row.id.parse().map_err(|error| damaged(format!("{error}")))?,
            configuration: ImageConfiguration::parse(row.config.as_bytes())?,
            diff_ids: serde_json::from_str(&row.diff_ids).map_err(|error| damaged(error.to_string()))?,
            size: u64::try_from(row.size).unwrap_or_default(),
            high_ids: serde_json::from_str(&row.high_ids).map_err(|error| damaged(error.to_string()))?,
            created_at: row.created_at,
            raw: row.config,
            tags,
            digests,
        })
    }

    /// `nginx:1.29`, or the short id of an image without a name.
    pub fn shown(&self) -> String {
        self.tags.first().map_or_else(|| self.id.short(), ImageReference::familiar)
    }
}
