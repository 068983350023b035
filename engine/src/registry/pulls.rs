//! How often a repository is pulled: counted in memory, written together.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Registry, RegistryError, Repository};
use crate::clock::now_ns;
use crate::store::registry::repositories as rows;

/// How often the counts are written; a killed server loses so much of them.
const EVERY: Duration = Duration::from_secs(10);

/// Pulls that are not written yet: repository to how many, and when the last one was.
#[derive(Debug, Default)]
pub(super) struct Pulls(Mutex<HashMap<i64, (i64, i64)>>);

impl Registry {
    /// Counts one.
    pub fn count_pull(&self, repository: &Repository) {
        let mut waiting = self.shared.pulls.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = waiting.is_empty();
        let entry = waiting.entry(repository.id).or_default();
        *entry = (entry.0 + 1, now_ns());
        drop(waiting);
        if begun {
            let registry = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(EVERY).await;
                if let Err(error) = registry.write_pulls().await {
                    tracing::warn!(%error, "pulls could not be counted");
                }
            });
        }
    }

    /// Writes what was counted.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn write_pulls(&self) -> Result<(), RegistryError> {
        let waiting = std::mem::take(&mut *self.shared.pulls.0.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        for (id, (count, last)) in waiting {
            rows::add_pulls(&mut transaction, id, count, last).await?;
        }
        Ok(transaction.commit().await?)
    }
}
