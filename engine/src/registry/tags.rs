//! Tags: listed, deleted. They are made by pushes.

use super::{Registry, RegistryError, Repository, Tag};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::store::registry::tags::{self as rows, TagRow};

/// A tag in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTag {
    /// Its name.
    pub name: String,
    /// The manifest that it names.
    pub digest: String,
    /// Who gave it.
    pub tagged_by: String,
    /// When: nanoseconds since 1970.
    pub tagged_at: i64,
}

impl From<TagRow> for ListedTag {
    fn from(row: TagRow) -> Self {
        Self { name: row.name, digest: row.digest, tagged_by: row.tagged_by, tagged_at: row.tagged_at }
    }
}

impl Registry {
    /// Names of tags, sorted by their bytes, behind `after`.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn tag_names(
        &self,
        repository: &Repository,
        after: &str,
        most: u32,
    ) -> Result<Vec<String>, RegistryError> {
        Ok(rows::names(&self.shared.read, repository.id, after, i64::from(most)).await?)
    }

    /// The same with what they name.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn tags(&self, repository: &Repository, after: &str, most: u32) -> Result<Vec<ListedTag>, RegistryError> {
        let page = rows::page(&self.shared.read, repository.id, after, i64::from(most)).await?;
        Ok(page.into_iter().map(ListedTag::from).collect())
    }

    /// Takes a tag away; the manifest stays. Gives what it named.
    ///
    /// # Errors
    /// [`RegistryError::ManifestUnknown`].
    pub async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<Digest, RegistryError> {
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        let named = rows::digest(&mut transaction, repository.id, tag.as_str()).await?;
        let unknown = || RegistryError::ManifestUnknown { reference: tag.to_string() };
        let digest: Digest = named.and_then(|digest| digest.parse().ok()).ok_or_else(unknown)?;
        rows::delete(&mut transaction, repository.id, tag.as_str()).await?;
        rows::left(&mut transaction, repository.id, &digest.to_string(), now_ns()).await?;
        fault::rows(Write::TagDelete)?;
        transaction.commit().await?;
        fault::step(Step::TagDeleted);
        Ok(digest)
    }
}
