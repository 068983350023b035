//! What a team's images take of the disk.

use std::collections::{HashMap, HashSet};

use super::{Image, ImageError, Images};
use crate::owner::Owner;
use crate::store::images;

/// One image and its part of the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageUsage {
    /// The image.
    pub image: Image,
    /// Bytes of layers that no other image of the team has.
    pub unique_bytes: u64,
    /// Bytes of layers that another image of the team has too.
    pub shared_bytes: u64,
    /// Containers of it, stopped ones too.
    pub containers: usize,
}

/// All images of a team. Bytes are those on disk, indexes included.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// Each.
    pub images: Vec<ImageUsage>,
    /// All layers, each counted once.
    pub layers_bytes: u64,
    /// What a prune of all unused images would give back, of these layers.
    pub reclaimable_bytes: u64,
}

impl Images {
    /// What the team's images take of the disk.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub async fn usage(&self, owner: &Owner) -> Result<Usage, ImageError> {
        let list = self.list(owner).await?;
        let mut connection = self.shared.pool.acquire().await?;
        let layers = images::layers(&mut connection).await?;
        let sizes: HashMap<_, _> = layers.into_iter().map(|row| (row.diff_id, row.disk_bytes.unsigned_abs())).collect();
        let mut containers: HashMap<String, usize> = HashMap::new();
        for user in images::users(&mut connection, owner.team_id).await? {
            *containers.entry(user.image_id).or_default() += 1;
        }
        drop(connection);
        let size = |diff_id: &str| sizes.get(diff_id).copied().unwrap_or_default();
        let distinct = |image: &Image| image.diff_ids.iter().map(ToString::to_string).collect::<HashSet<_>>();
        let mut holders: HashMap<String, usize> = HashMap::new();
        let mut kept: HashSet<String> = HashSet::new();
        for image in &list {
            let own = distinct(image);
            own.iter().for_each(|diff_id| *holders.entry(diff_id.clone()).or_default() += 1);
            if containers.contains_key(&image.id.to_string()) {
                kept.extend(own);
            }
        }
        let layers_bytes: u64 = holders.keys().map(|diff_id| size(diff_id)).sum();
        let kept_bytes: u64 = kept.iter().map(|diff_id| size(diff_id)).sum();
        let images = list.into_iter().map(|image| {
            let (shared, unique): (Vec<_>, Vec<_>) =
                distinct(&image).into_iter().partition(|diff_id| holders[diff_id] > 1);
            ImageUsage {
                unique_bytes: unique.iter().map(|diff_id| size(diff_id)).sum(),
                shared_bytes: shared.iter().map(|diff_id| size(diff_id)).sum(),
                containers: containers.get(&image.id.to_string()).copied().unwrap_or_default(),
                image,
            }
        });
        Ok(Usage { images: images.collect(), layers_bytes, reclaimable_bytes: layers_bytes - kept_bytes })
    }
}
