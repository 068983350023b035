//! What is kept about an image that came from a registry or went to one.

use bytes::Bytes;
use sqlx::SqliteConnection;

use super::ImageError;
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::owner::Owner;
use crate::store::upstream::{self, DigestRow, PackedRow};

/// Under what digests an image is known in a repository, and what its packed layers are.
#[derive(Debug, Clone)]
pub(super) struct Provenance {
    /// `docker.io/library/nginx`.
    pub repository: String,
    /// Of the index, or of the manifest where there is no index.
    pub digest: Digest,
    /// Of the image's own manifest.
    pub manifest: Digest,
    /// Both, as they came.
    pub documents: Vec<Bytes>,
    /// Facts about packed layers.
    pub packed: Vec<Packed>,
}

/// A packed layer whose bytes were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub digest: Digest,
    pub diff_id: Digest,
    pub size: u64,
    pub media_type: String,
    /// The registry that itself delivered them.
    pub origin: Option<String>,
}

impl Provenance {
    /// Puts the documents where the sweep leaves them for as long as there is a row.
    pub fn store(&self, content: &ContentStore) -> Result<(), ImageError> {
        for document in &self.documents {
            content.put(document)?;
        }
        Ok(())
    }

    /// Writes the rows. Those of image and layers are there.
    pub async fn record(
        &self,
        connection: &mut SqliteConnection,
        owner: &Owner,
        image_id: &Digest,
        now: i64,
    ) -> Result<(), ImageError> {
        for packed in &self.packed {
            packed.record(connection).await?;
        }
        let row = DigestRow {
            repository: self.repository.clone(),
            digest: self.digest.to_string(),
            manifest: self.manifest.to_string(),
            image_id: image_id.to_string(),
        };
        Ok(upstream::put_digest(connection, owner.team_id, &row, now).await?)
    }
}

impl Packed {
    /// Writes the fact.
    pub async fn record(&self, connection: &mut SqliteConnection) -> Result<(), ImageError> {
        let digest = self.digest.to_string();
        let row = PackedRow {
            digest: digest.clone(),
            diff_id: self.diff_id.to_string(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            media_type: self.media_type.clone(),
        };
        upstream::insert_packed(connection, &row).await?;
        if let Some(origin) = &self.origin {
            upstream::insert_origin(connection, &digest, origin).await?;
        }
        Ok(())
    }
}
