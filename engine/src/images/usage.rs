//! What a team's images take of the disk.

use std::collections::{HashMap, HashSet};

use super::{Image, ImageError, Images};
use crate::digest::Digest;
use crate::layers::chain_ids;
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

/// What images share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    /// A layer's tar with its index, by diff id.
    Layer(Digest),
    /// A layer's plain folder, by chain id.
    Folder(Digest),
}

/// All images of a team. Bytes are those on disk, indexes and plain folders included.
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
        let mut sizes = HashMap::new();
        for row in layers {
            if let Ok(diff_id) = row.diff_id.parse() {
                sizes.insert(Piece::Layer(diff_id), row.disk_bytes.unsigned_abs());
            }
        }
        let mut containers: HashMap<String, usize> = HashMap::new();
        for user in images::users(&mut connection, owner.team_id).await? {
            *containers.entry(user.image_id).or_default() += 1;
        }
        drop(connection);
        let mut holders: HashMap<Piece, usize> = HashMap::new();
        let mut kept: HashSet<Piece> = HashSet::new();
        for image in &list {
            let own = pieces(&image.diff_ids);
            own.iter().for_each(|piece| *holders.entry(*piece).or_default() += 1);
            if containers.contains_key(&image.id.to_string()) {
                kept.extend(own);
            }
        }
        for piece in holders.keys() {
            if let Piece::Folder(chain_id) = piece {
                sizes.insert(*piece, self.folder_bytes(chain_id).await?);
            }
        }
        let size = |piece: &Piece| sizes.get(piece).copied().unwrap_or_default();
        let layers_bytes: u64 = holders.keys().map(size).sum();
        let kept_bytes: u64 = kept.iter().map(size).sum();
        let images = list.into_iter().map(|image| {
            let (shared, unique): (Vec<_>, Vec<_>) =
                pieces(&image.diff_ids).into_iter().partition(|piece| holders[piece] > 1);
            ImageUsage {
                unique_bytes: unique.iter().map(size).sum(),
                shared_bytes: shared.iter().map(size).sum(),
                containers: containers.get(&image.id.to_string()).copied().unwrap_or_default(),
                image,
            }
        });
        Ok(Usage { images: images.collect(), layers_bytes, reclaimable_bytes: layers_bytes - kept_bytes })
    }
}

/// All that an image needs, each once.
pub(super) fn pieces(diff_ids: &[Digest]) -> HashSet<Piece> {
    diff_ids.iter().copied().map(Piece::Layer).chain(chain_ids(diff_ids).map(Piece::Folder)).collect()
}
