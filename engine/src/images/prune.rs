//! Removing what nobody uses.

use std::collections::{BTreeMap, HashSet};

use super::usage::{Piece, in_repositories, pieces};
use super::{ImageError, Images, Removed};
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::owner::Owner;
use crate::store::images;

/// Which images a prune takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilter {
    /// Also images with a name that no container uses; else only those without a name.
    pub all: bool,
    /// Only those that the team got before this time, nanoseconds since 1970.
    pub until: Option<i64>,
    /// Only those with all of these labels; an empty value means any.
    pub labels: BTreeMap<String, String>,
    /// Only those without any of these labels; an empty value means any.
    pub without_labels: BTreeMap<String, String>,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names and images.
    pub removed: Vec<Removed>,
    /// Bytes on disk that only they used.
    pub reclaimed_bytes: u64,
}

impl Images {
    /// Removes the team's images that no container uses.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub async fn prune(&self, owner: &Owner, filter: &PruneFilter) -> Result<Pruned, ImageError> {
        let all = self.list(owner).await?;
        let mut transaction = self.shared.pool.begin_with("BEGIN IMMEDIATE").await?;
        let used: HashSet<String> =
            images::users(&mut transaction, owner.team_id).await?.into_iter().map(|user| user.image_id).collect();
        let named: HashSet<String> =
            images::tags(&mut transaction, owner.team_id).await?.into_iter().map(|tag| tag.image_id).collect();
        let (mut removed, mut doomed) = (Vec::new(), HashSet::new());
        for image in all {
            let id = image.id.to_string();
            let labels = &image.configuration.config.labels;
            let wanted = filter.labels.iter().all(|label| has(labels, label))
                && !filter.without_labels.iter().any(|label| has(labels, label))
                && filter.until.is_none_or(|until| image.created_at < until);
            if !wanted || used.contains(&id) || (!filter.all && named.contains(&id)) {
                continue;
            }
            self.delete(&mut transaction, owner, &image.id).await?;
            removed.extend(image.tags.iter().chain(&image.digests).map(|tag| Removed::Untagged(tag.familiar())));
            doomed.extend(pieces(&image.diff_ids));
            removed.push(Removed::Deleted(image.id));
        }
        let marked: HashSet<Piece> = images::marks(&mut transaction)
            .await?
            .into_iter()
            .flat_map(|(_, diff_ids)| pieces(&serde_json::from_str::<Vec<Digest>>(&diff_ids).unwrap_or_default()))
            .collect();
        let repositories = in_repositories(&mut transaction, None).await?;
        let doomed: HashSet<Piece> =
            doomed.into_iter().filter(|piece| !marked.contains(piece) && !repositories.contains(piece)).collect();
        let layers = images::layers(&mut transaction).await?;
        let is_doomed = |id: &str| id.parse().is_ok_and(|id| doomed.contains(&Piece::Layer(id)));
        let tars = layers.iter().filter(|layer| is_doomed(&layer.diff_id));
        let mut reclaimed_bytes = tars.map(|layer| layer.disk_bytes.unsigned_abs()).sum();
        fault::rows(Write::PruneRows)?;
        transaction.commit().await?;
        fault::step(Step::ImagesPruned);
        for piece in &doomed {
            if let Piece::Folder(chain_id) = piece {
                reclaimed_bytes += self.folder_bytes(chain_id).await?;
            }
        }
        self.sweep_later();
        Ok(Pruned { removed, reclaimed_bytes })
    }
}

fn has(labels: &BTreeMap<String, String>, (name, value): (&String, &String)) -> bool {
    labels.get(name).is_some_and(|found| value.is_empty() || found == value)
}
