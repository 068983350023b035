//! Giving back what nobody needs: blobs that no manifest named in time, uploads that nobody goes on with.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Registry, RegistryError};
use crate::clock::now_ns;
use crate::fault::{self, Step};
use crate::store::registry::{blobs, uploads};

/// A blob that no manifest names stays for so long: its manifest may still be on the way.
const BLOB_GRACE_NS: i64 = 86_400_000_000_000;
/// An upload that got nothing for so long is given up.
const UPLOAD_GRACE: Duration = Duration::from_secs(86_400);
/// Removals that come together are swept up together.
const GATHER: Duration = Duration::from_secs(2);

/// Whether a sweep is on its way.
#[derive(Debug, Default)]
pub(super) struct Tidying(AtomicBool);

impl Registry {
    /// Removes blobs that no manifest needs, uploads that nobody goes on with, and the bytes of all that is gone.
    ///
    /// # Errors
    /// [`RegistryError`]; the next one goes on.
    pub async fn tidy(&self) -> Result<(), RegistryError> {
        self.tidy_before(now_ns() - BLOB_GRACE_NS).await
    }

    pub(crate) async fn tidy_before(&self, before: i64) -> Result<(), RegistryError> {
        self.sweep_uploads().await?;
        let mut connection = self.shared.write.acquire().await?;
        blobs::delete_orphans(&mut connection, before).await?;
        drop(connection);
        fault::step(Step::OrphansDeleted);
        if let Err(error) = self.shared.images.sweep().await {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot sweep the blobs");
        }
        Ok(())
    }

    /// The same, after the answer.
    pub(super) fn tidy_later(&self) {
        if self.shared.tidying.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let registry = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GATHER).await;
            registry.shared.tidying.0.store(false, Ordering::Release);
            if let Err(error) = registry.tidy().await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot tidy the registry");
            }
        });
    }

    /// Removes uploads that got nothing for a day, and files and rows that lack each other.
    pub(super) async fn sweep_uploads(&self) -> Result<(), RegistryError> {
        let rows = uploads::all(&self.shared.read).await?;
        let known: HashSet<String> = rows.iter().map(|(id, _)| id.clone()).collect();
        let folder = self.shared.content.uploads();
        let listing = folder.clone();
        let ages = tokio::task::spawn_blocking(move || ages(&listing)).await.map_err(super::error::joining)??;
        for (id, age) in &ages {
            let young = age.is_some_and(|age| age < UPLOAD_GRACE);
            // Its row may be on the way.
            let just_begun = age.is_some_and(|age| age < Duration::from_secs(60));
            if just_begun || (young && known.contains(id)) {
                continue;
            }
            self.forget_upload(id).await?;
        }
        let present: HashSet<&String> = ages.iter().map(|(id, _)| id).collect();
        let old = now_ns() - 60_000_000_000;
        for (id, started_at) in rows.iter().filter(|(id, _)| !present.contains(id)) {
            if *started_at < old {
                self.forget_upload(id).await?;
            }
        }
        Ok(())
    }
}

/// Names of files, and how long ago they were written; `None`: the clock was set back.
fn ages(folder: &std::path::Path) -> Result<Vec<(String, Option<Duration>)>, RegistryError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(RegistryError::io("list", folder))? {
        let entry = entry.map_err(RegistryError::io("list", folder))?;
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed().unwrap_or_default());
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, age.ok()));
        }
    }
    Ok(found)
}
