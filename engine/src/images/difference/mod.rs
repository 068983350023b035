//! What is different between two images: files, packages, configuration.
//!
//! Nothing is mounted and nothing unpacked: both merged indexes are walked side by side, and bytes are read only where
//! sizes are equal and both files lie in other layers. What is remembered is bounded, whatever the images hold.

mod configuration;
mod files;
mod packages;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use configuration::{Setting, SettingKind};
pub use files::{Change, FileDifference, FileKind, Files, Total};
pub use packages::{PackageDifference, Packages};

use super::handle::joining;
use super::{Image, ImageConfiguration, ImageError, Images};
use crate::digest::Digest;
use crate::layers::{LayerError, LayerStore};
use crate::owner::Owner;

/// What is different between two images.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Files, folders and all else that has a name.
    pub files: Files,
    /// Packages, as far as their managers' databases are read.
    pub packages: Packages,
    /// What containers are started with.
    pub configuration: Vec<Setting>,
}

/// One of two images.
#[derive(Debug, Clone)]
pub struct Side {
    /// Its configuration.
    pub configuration: ImageConfiguration,
    /// Its layers, bottom to top.
    pub diff_ids: Vec<Digest>,
}

impl From<Image> for Side {
    fn from(image: Image) -> Self {
        Self { configuration: image.configuration, diff_ids: image.diff_ids }
    }
}

impl Images {
    /// What is different between two images of a team; lists at most `most` of files and of packages each, the largest
    /// files first.
    ///
    /// # Errors
    /// [`ImageError::NotFound`]; [`ImageError::Root`] when a layer is missing or damaged.
    pub async fn difference(
        &self,
        owner: &Owner,
        (before, after): (&str, &str),
        most: usize,
    ) -> Result<Difference, ImageError> {
        let (before, after) = (self.find(owner, before).await?, self.find(owner, after).await?);
        self.difference_of(before.into(), after.into(), most).await
    }

    /// The same between any two whose layers are here. One after another: each needs memory for two indexes.
    ///
    /// # Errors
    /// [`ImageError::Root`] when a layer is missing or damaged.
    pub async fn difference_of(&self, before: Side, after: Side, most: usize) -> Result<Difference, ImageError> {
        let _one = self.shared.comparing.lock().await;
        let _lease = self.shared.leases.take(before.diff_ids.iter().chain(&after.diff_ids).copied());
        let layers = self.shared.layers.clone();
        let stop = Stop::default();
        let stopped = stop.0.clone();
        let work = move || compare(&layers, &before, &after, most, &stopped);
        let compared = tokio::task::spawn_blocking(work).await.map_err(joining)?;
        compared.map_err(|source| ImageError::Root { source })
    }
}

/// Nobody waits any more: the walk ends.
#[derive(Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn compare(
    layers: &LayerStore,
    before: &Side,
    after: &Side,
    most: usize,
    stopped: &AtomicBool,
) -> Result<Difference, LayerError> {
    let (old, new) = (layers.look(&before.diff_ids)?, layers.look(&after.diff_ids)?);
    Ok(Difference {
        files: files::compare(&old, &new, most, stopped)?,
        packages: packages::compare(packages::read(&old)?, packages::read(&new)?, most),
        configuration: configuration::compare(&before.configuration, &after.configuration),
    })
}
