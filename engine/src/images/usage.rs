//! What a team's images take of the disk.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;

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
    /// Bytes that the team has no more once the image is removed: those of its own layers, but for what repositories
    /// of the team's keep.
    pub freed_bytes: u64,
    /// Containers of it, stopped ones too.
    pub containers: usize,
    /// Its layers, bottom to top.
    pub layers: Vec<LayerUsage>,
}

/// One layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerUsage {
    /// Which.
    pub diff_id: Digest,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Images of the team that have it, this one included.
    pub images: usize,
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
    /// What it would not: layers of unused images that images in use, or repositories of the team's, have too.
    pub unused_kept_bytes: u64,
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
        let repositories = in_repositories(&mut connection, Some(owner.team_id)).await?;
        drop(connection);
        let mut holders: HashMap<Piece, usize> = HashMap::new();
        let (mut kept, mut unused) = (repositories.clone(), HashSet::new());
        for image in &list {
            let own = pieces(&image.diff_ids);
            own.iter().for_each(|piece| *holders.entry(*piece).or_default() += 1);
            let of = if containers.contains_key(&image.id.to_string()) { &mut kept } else { &mut unused };
            of.extend(own);
        }
        for piece in holders.keys() {
            if let Piece::Folder(chain_id) = piece {
                sizes.insert(*piece, self.folder_bytes(chain_id).await?);
            }
        }
        let size = |piece: &Piece| sizes.get(piece).copied().unwrap_or_default();
        let images = list.into_iter().map(|image| {
            let (shared, unique): (Vec<_>, Vec<_>) =
                pieces(&image.diff_ids).into_iter().partition(|piece| holders[piece] > 1);
            let layer = |diff_id: &Digest| {
                let piece = Piece::Layer(*diff_id);
                LayerUsage { diff_id: *diff_id, disk_bytes: size(&piece), images: holders[&piece] }
            };
            ImageUsage {
                unique_bytes: unique.iter().map(size).sum(),
                shared_bytes: shared.iter().map(size).sum(),
                freed_bytes: unique.iter().filter(|piece| !repositories.contains(piece)).map(size).sum(),
                containers: containers.get(&image.id.to_string()).copied().unwrap_or_default(),
                layers: image.diff_ids.iter().map(layer).collect(),
                image,
            }
        });
        Ok(Usage {
            images: images.collect(),
            layers_bytes: holders.keys().map(size).sum(),
            reclaimable_bytes: unused.difference(&kept).map(size).sum(),
            unused_kept_bytes: unused.intersection(&kept).map(size).sum(),
        })
    }

    /// What one image takes, told as in [`Self::usage`].
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::Store`].
    pub async fn usage_of(&self, owner: &Owner, name: &str) -> Result<ImageUsage, ImageError> {
        let id = self.find(owner, name).await?.id;
        let found = self.usage(owner).await?.images.into_iter().find(|one| one.image.id == id);
        found.ok_or_else(|| ImageError::NotFound { name: name.to_owned() })
    }
}

/// Layers whose tars are blobs of repositories, of one team or of all: what they keep is kept.
pub(super) async fn in_repositories(
    connection: &mut SqliteConnection,
    team_id: Option<i64>,
) -> Result<HashSet<Piece>, ImageError> {
    let digests = images::layers_in_repositories(connection, team_id).await?;
    Ok(digests.iter().filter_map(|digest| digest.parse().ok()).map(Piece::Layer).collect())
}

/// All that an image needs, each once.
pub(super) fn pieces(diff_ids: &[Digest]) -> HashSet<Piece> {
    diff_ids.iter().copied().map(Piece::Layer).chain(chain_ids(diff_ids).map(Piece::Folder)).collect()
}
