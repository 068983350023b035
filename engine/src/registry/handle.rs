//! The handle of the registry.

use std::sync::Arc;

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteSynchronous;

use super::RegistryError;
use super::cache::Asking;
use super::fill::Filling;
use super::pulls::Pulls;
use super::sweep::Tidying;
use super::uploads::Running;
use crate::content::ContentStore;
use crate::gc::Leases;
use crate::images::Images;
use crate::layers::LayerStore;
use crate::store;

/// All repositories of one data root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub read: SqlitePool,
    /// One connection; what it commits survives a power loss, since a push that was acknowledged must.
    pub write: SqlitePool,
    pub content: ContentStore,
    pub layers: LayerStore,
    pub leases: Leases,
    pub images: Images,
    pub running: Running,
    pub pulls: Pulls,
    pub tidying: Tidying,
    pub asking: Asking,
    pub filling: Filling,
}

impl Registry {
    /// Opens the registry on the stores of `images`, and removes what an interrupted server left of uploads that nobody
    /// can go on with.
    ///
    /// # Errors
    /// [`RegistryError`] when the database cannot be read.
    pub async fn open(images: &Images) -> Result<Self, RegistryError> {
        let stores = images.stores();
        let write = store::single_with(stores.pool, SqliteSynchronous::Full).await?;
        let shared = Shared {
            read: stores.pool.clone(),
            write,
            content: stores.content.clone(),
            layers: stores.layers.clone(),
            leases: stores.leases.clone(),
            images: images.clone(),
            running: Running::default(),
            pulls: Pulls::default(),
            tidying: Tidying::default(),
            asking: Asking::default(),
            filling: Filling::default(),
        };
        let registry = Self { shared: Arc::new(shared) };
        registry.sweep_uploads().await?;
        Ok(registry)
    }
}
