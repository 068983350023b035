//! Blobs: opened, mounted, deleted.

use std::fs::File;

use super::{Registry, RegistryError, Repository};
use crate::clock::now_ns;
use crate::content::ContentError;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::layers::LayerError;
use crate::store::registry::blobs as rows;

/// That somebody may still need a blob is noted at most once in this many nanoseconds.
const TOUCH_EVERY_NS: i64 = 3_600_000_000_000;

/// A blob, open.
#[derive(Debug)]
pub struct Blob {
    /// Its bytes, exactly as they were pushed.
    pub file: File,
    /// How many they are.
    pub size: u64,
}

impl Registry {
    /// The size of a blob of the repository. `pushing`: whoever asks may push, and will rely on the answer: the blob
    /// stays for a while even if no manifest needs it.
    ///
    /// # Errors
    /// [`RegistryError::BlobUnknown`].
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
        pushing: bool,
    ) -> Result<u64, RegistryError> {
        let text = digest.to_string();
        let row = rows::find(&self.shared.read, repository.id, &text).await?;
        let row = row.ok_or(RegistryError::BlobUnknown { digest: *digest })?;
        let now = now_ns();
        if pushing && now - row.used_at > TOUCH_EVERY_NS {
            rows::touch(&self.shared.write, repository.id, &text, now).await?;
        }
        Ok(row.size.unsigned_abs())
    }

    /// Opens a blob of the repository.
    ///
    /// # Errors
    /// [`RegistryError::BlobUnknown`].
    pub async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<Blob, RegistryError> {
        let size = self.blob_size(repository, digest, false).await?;
        let (registry, digest) = (self.clone(), *digest);
        let open = move || Ok(Blob { file: registry.open_bytes(&digest)?, size });
        tokio::task::spawn_blocking(open).await.map_err(super::error::joining)?
    }

    /// Puts a blob of one repository into another one of the caller's, if it is there.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn mount(&self, to: &Repository, from: &Repository, digest: &Digest) -> Result<bool, RegistryError> {
        let _gate = self.shared.leases.shared().await;
        let text = digest.to_string();
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        let found = rows::among(&mut transaction, from.id, &serde_json::json!([text]).to_string()).await?;
        let Some(row) = found.first() else { return Ok(false) };
        rows::insert(&mut transaction, to.id, &text, row.size, now_ns()).await?;
        fault::rows(Write::MountRow)?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes a blob out of the repository.
    ///
    /// # Errors
    /// [`RegistryError::BlobUnknown`].
    pub async fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), RegistryError> {
        fault::rows(Write::BlobDelete)?;
        if !rows::delete(&self.shared.write, repository.id, &digest.to_string()).await? {
            return Err(RegistryError::BlobUnknown { digest: *digest });
        }
        fault::step(Step::BlobDeleted);
        self.tidy_later();
        Ok(())
    }

    /// The bytes, wherever they lie: a blob that is a layer's tar lies there. The sweep takes the one copy only while
    /// the other is there, so the second look finds what the first one missed.
    pub(super) fn open_bytes(&self, digest: &Digest) -> Result<File, RegistryError> {
        match self.shared.content.open_blob(digest) {
            Err(ContentError::NotFound { .. }) => match self.shared.layers.tar(digest) {
                Err(LayerError::Missing { .. }) => Ok(self.shared.content.open_blob(digest)?),
                tar => Ok(tar?),
            },
            found => Ok(found?),
        }
    }

    /// Whether the bytes are there, in either place.
    pub(super) fn has_bytes(&self, digest: &Digest) -> bool {
        self.shared.layers.contains(digest) || self.shared.content.contains(digest)
    }
}
