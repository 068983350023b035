//! What a repository's own rules say may go: tags beyond the newest, manifests that no tag names.

use super::{Registry, RegistryError, Repository};
use crate::clock::now_ns;
use crate::store::registry::{manifests, repositories, tags};

const DAY_NS: i64 = 86_400_000_000_000;

/// What a round removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// Tags that went.
    pub tags: Vec<String>,
    /// Digests of manifests that went.
    pub manifests: Vec<String>,
}

impl Registry {
    /// Applies the repository's rules: tags first, then manifests that have had none for so long; what is only about a
    /// manifest that went goes with it.
    ///
    /// # Errors
    /// [`RegistryError::Store`]; nothing was removed then.
    pub async fn retain(&self, repository: &Repository) -> Result<Retained, RegistryError> {
        let mut gone = Retained::default();
        let now = now_ns();
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(keep) = repository.keep_tags {
            for tag in tags::beyond(&mut transaction, repository.id, i64::from(keep)).await? {
                tags::delete(&mut transaction, repository.id, &tag.name).await?;
                tags::left(&mut transaction, repository.id, &tag.digest, now).await?;
                gone.tags.push(tag.name);
            }
        }
        if let Some(days) = repository.keep_untagged_days {
            let before = now - i64::from(days) * DAY_NS;
            loop {
                // An index that went lets its manifests go, and they what is about them.
                let more = manifests::delete_untagged(&mut transaction, repository.id, before).await?;
                if more.is_empty() {
                    break;
                }
                gone.manifests.extend(more);
            }
        }
        transaction.commit().await?;
        if !gone.manifests.is_empty() {
            self.tidy_later();
        }
        Ok(gone)
    }

    /// All repositories that have rules.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn with_rules(&self) -> Result<Vec<Repository>, RegistryError> {
        Ok(repositories::with_rules(&self.shared.read).await?.into_iter().map(Repository::from).collect())
    }
}
