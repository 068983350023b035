//! Manifests: taken in, given out, listed, deleted.

use std::collections::HashMap;

use super::manifest::{Checked, check};
use super::{MANIFEST_BYTES, Registry, RegistryError, Repository, Tag};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::store::registry::blobs;
use crate::store::registry::manifests::{self as rows, ListedRow, ManifestRow};
use crate::store::registry::tags::{self, TagRow};

/// A manifest as it is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// As it was pushed.
    pub media_type: String,
    /// Exactly as they were pushed.
    pub bytes: Vec<u8>,
}

/// A manifest to be.
#[derive(Debug, Clone, Copy)]
pub struct NewManifest<'a> {
    /// `Content-Type`, if the client says one.
    pub content_type: Option<&'a str>,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The digest that it was pushed under, if it was.
    pub digest: Option<Digest>,
    /// Tags to give it.
    pub tags: &'a [Tag],
    /// Who pushes, for lists.
    pub by: &'a str,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The manifest's digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What it is about, if it is.
    pub subject: Option<Digest>,
}

/// A manifest in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedManifest {
    /// Its digest.
    pub digest: String,
    /// As it was pushed.
    pub media_type: String,
    /// Bytes of the manifest itself.
    pub size: u64,
    /// What kind of artifact, if it says.
    pub artifact_type: Option<String>,
    /// Digest of the manifest that it is about.
    pub subject: Option<String>,
    /// Who pushed it.
    pub pushed_by: String,
    /// When: nanoseconds since 1970.
    pub pushed_at: i64,
    /// Tags that name it.
    pub tags: Vec<String>,
}

impl From<ListedRow> for ListedManifest {
    fn from(row: ListedRow) -> Self {
        Self {
            digest: row.digest,
            media_type: row.media_type,
            size: row.size.unsigned_abs(),
            artifact_type: row.artifact_type,
            subject: row.subject,
            pushed_by: row.pushed_by,
            pushed_at: row.pushed_at,
            tags: serde_json::from_str(&row.tags).unwrap_or_default(),
        }
    }
}

impl Registry {
    /// Takes a manifest in. All that it needs must be in the repository already; what it is only about need not.
    ///
    /// # Errors
    /// [`RegistryError`]: what is wrong with the manifest, what is missing, which tag may not be moved. Nothing is
    /// changed then.
    pub async fn put_manifest(&self, repository: &Repository, new: NewManifest<'_>) -> Result<Stored, RegistryError> {
        let (content_type, bytes, expected) = (new.content_type.map(str::to_owned), new.bytes.to_vec(), new.digest);
        let reading = tokio::task::spawn_blocking(move || {
            let digest = Digest::of(&bytes);
            if let Some(expected) = expected.filter(|expected| *expected != digest) {
                return Err(RegistryError::WrongDigest { expected, found: digest });
            }
            Ok((check(content_type.as_deref(), &bytes)?, digest, bytes))
        });
        let (checked, digest, bytes) = reading.await.map_err(super::error::joining)??;
        let _gate = self.shared.leases.shared().await;
        self.require(repository, &checked).await?;
        let content = self.shared.content.clone();
        let size = bytes.len();
        let storing = tokio::task::spawn_blocking(move || content.put(&bytes));
        storing.await.map_err(super::error::joining)??;
        fault::step(Step::ManifestStored);
        self.record(repository, &checked, (digest, size), new).await?;
        Ok(Stored { digest, size: size as u64, subject: checked.subject })
    }

    /// A look before anything is written.
    async fn require(&self, repository: &Repository, checked: &Checked) -> Result<(), RegistryError> {
        let mut connection = self.shared.read.acquire().await?;
        missing(&mut connection, repository, checked).await
    }

    async fn record(
        &self,
        repository: &Repository,
        checked: &Checked,
        (digest, size): (Digest, usize),
        new: NewManifest<'_>,
    ) -> Result<(), RegistryError> {
        let now = now_ns();
        let id = repository.id;
        let text = digest.to_string();
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        // Again, now that nobody else writes.
        missing(&mut transaction, repository, checked).await?;
        let row = ManifestRow {
            digest: text.clone(),
            media_type: checked.media_type.clone(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            artifact_type: checked.artifact_type.clone(),
            subject: checked.subject.map(|subject| subject.to_string()),
            annotations: serde_json::json!(checked.annotations).to_string(),
            pushed_by: new.by.to_owned(),
            pushed_at: now,
        };
        rows::insert(&mut transaction, id, &row).await.map_err(|error| gone(repository, error))?;
        rows::link(&mut transaction, id, &text, &list(&checked.blobs), &list(&checked.manifests)).await?;
        for tag in new.tags {
            let before = tags::digest(&mut transaction, id, tag.as_str()).await?;
            if repository.immutable_tags && before.as_ref().is_some_and(|before| *before != text) {
                return Err(RegistryError::TagImmutable { tag: tag.clone() });
            }
            let row =
                TagRow { name: tag.to_string(), digest: text.clone(), tagged_by: new.by.to_owned(), tagged_at: now };
            tags::put(&mut transaction, id, &row).await?;
            if let Some(before) = before.filter(|before| *before != text) {
                tags::left(&mut transaction, id, &before, now).await?;
            }
        }
        fault::rows(Write::ManifestRows)?;
        transaction.commit().await?;
        fault::step(Step::ManifestRecorded);
        Ok(())
    }

    /// The manifest that a tag names.
    ///
    /// # Errors
    /// [`RegistryError::ManifestUnknown`].
    pub async fn manifest_by_tag(&self, repository: &Repository, tag: &Tag) -> Result<Manifest, RegistryError> {
        let row = rows::by_tag(&self.shared.read, repository.id, tag.as_str()).await?;
        self.read_manifest(row.ok_or_else(|| RegistryError::ManifestUnknown { reference: tag.to_string() })?).await
    }

    /// The manifest of that digest.
    ///
    /// # Errors
    /// [`RegistryError::ManifestUnknown`].
    pub async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Manifest, RegistryError> {
        let row = rows::by_digest(&self.shared.read, repository.id, &digest.to_string()).await?;
        self.read_manifest(row.ok_or_else(|| RegistryError::ManifestUnknown { reference: digest.to_string() })?).await
    }

    async fn read_manifest(&self, row: ManifestRow) -> Result<Manifest, RegistryError> {
        let digest: Digest = row.digest.parse().map_err(|error| RegistryError::Damaged {
            what: format!("manifest {}", row.digest),
            reason: format!("{error}"),
        })?;
        let content = self.shared.content.clone();
        let reading = tokio::task::spawn_blocking(move || content.read_blob(&digest, MANIFEST_BYTES as u64));
        let bytes = reading.await.map_err(super::error::joining)??;
        Ok(Manifest { digest, media_type: row.media_type, bytes })
    }

    /// All of the repository, in the order of their digests, behind `after`.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn manifests(
        &self,
        repository: &Repository,
        after: &str,
        most: u32,
    ) -> Result<Vec<ListedManifest>, RegistryError> {
        let page = rows::page(&self.shared.read, repository.id, after, i64::from(most)).await?;
        Ok(page.into_iter().map(ListedManifest::from).collect())
    }

    /// Those that neither a tag nor an index names, in the order of their digests, behind `after`.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn untagged(
        &self,
        repository: &Repository,
        after: &str,
        most: u32,
    ) -> Result<Vec<ListedManifest>, RegistryError> {
        let page = rows::untagged(&self.shared.read, repository.id, after, i64::from(most)).await?;
        Ok(page.into_iter().map(ListedManifest::from).collect())
    }

    /// Bytes of the blobs that each of the manifests needs, by itself or by those that it names, each blob once. One that
    /// needs none is not in the answer.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn bytes(
        &self,
        repository: &Repository,
        digests: &[&str],
    ) -> Result<HashMap<String, u64>, RegistryError> {
        let digests = serde_json::json!(digests).to_string();
        let found = rows::bytes(&self.shared.read, repository.id, &digests).await?;
        Ok(found.into_iter().map(|(digest, bytes)| (digest, bytes.unsigned_abs())).collect())
    }

    /// Deletes a manifest with all its tags. One that an index needs stays.
    ///
    /// # Errors
    /// [`RegistryError::ManifestUnknown`], [`RegistryError::ManifestInUse`].
    pub async fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<(), RegistryError> {
        let text = digest.to_string();
        if let Some(parent) = rows::parents(&self.shared.read, repository.id, &text).await?.into_iter().next() {
            return Err(RegistryError::ManifestInUse { digest: *digest, parent });
        }
        let mut connection = self.shared.write.acquire().await?;
        fault::rows(Write::ManifestDelete)?;
        if !rows::delete(&mut connection, repository.id, &text).await? {
            return Err(RegistryError::ManifestUnknown { reference: text });
        }
        fault::step(Step::ManifestDeleted);
        self.tidy_later();
        Ok(())
    }
}

/// Refuses a manifest that needs what is not there, or what has another size there.
async fn missing(
    connection: &mut sqlx::SqliteConnection,
    repository: &Repository,
    checked: &Checked,
) -> Result<(), RegistryError> {
    let blobs: Vec<(String, i64)> = blobs::among(&mut *connection, repository.id, &list(&checked.blobs))
        .await?
        .into_iter()
        .map(|row| (row.digest, row.size))
        .collect();
    let manifests = rows::among(connection, repository.id, &list(&checked.manifests)).await?;
    let mut unknown = Vec::new();
    for (needed, found) in [(&checked.blobs, blobs), (&checked.manifests, manifests)] {
        let found: HashMap<String, i64> = found.into_iter().collect();
        for (digest, size) in needed {
            match found.get(&digest.to_string()) {
                None => unknown.push(*digest),
                Some(there) if there.unsigned_abs() != *size => {
                    let reason = format!("it says that {digest} has {size} bytes, and that has {there}");
                    return Err(RegistryError::ManifestInvalid { reason });
                }
                Some(_) => {}
            }
        }
    }
    unknown.sort();
    unknown.dedup();
    if unknown.is_empty() { Ok(()) } else { Err(RegistryError::ReferencesUnknown { digests: unknown }) }
}

/// A JSON list of digests.
pub(super) fn list(needed: &[(Digest, u64)]) -> String {
    let digests: Vec<String> = needed.iter().map(|(digest, _)| digest.to_string()).collect();
    serde_json::json!(digests).to_string()
}

/// The repository was removed meanwhile.
pub(super) fn gone(repository: &Repository, error: sqlx::Error) -> RegistryError {
    match error {
        sqlx::Error::Database(cause) if cause.is_foreign_key_violation() => {
            RegistryError::RepositoryUnknown { name: repository.name.clone() }
        }
        other => other.into(),
    }
}
