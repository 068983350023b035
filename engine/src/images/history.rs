//! How an image was made.

use super::{Image, ImageError, Images};
use crate::digest::Digest;
use crate::owner::Owner;

/// One step of an image's making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image's id on the newest line; older steps have no image of their own.
    pub id: Option<Digest>,
    /// RFC 3339.
    pub created: Option<String>,
    /// The command.
    pub created_by: String,
    /// The image's names on the newest line.
    pub tags: Vec<String>,
    /// Bytes of its layer's tar; 0 for a step without a layer.
    pub size: u64,
    /// Its layer; `None`: it made none.
    pub diff_id: Option<Digest>,
    /// A remark.
    pub comment: String,
}

impl Images {
    /// The steps of an image, newest first.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] and the like; [`ImageError::Root`] when a layer's facts are gone.
    pub async fn history(&self, owner: &Owner, name: &str) -> Result<Vec<HistoryLine>, ImageError> {
        let image = self.find(owner, name).await?;
        let layers = self.shared.layers.clone();
        let sizes = move |image: &Image| {
            image
                .diff_ids
                .iter()
                .map(|diff_id| layers.facts(diff_id).map(|facts| (facts.size, *diff_id)))
                .collect::<Result<Vec<_>, _>>()
        };
        let sizes = sizes(&image).map_err(|source| ImageError::Root { source })?;
        let mut sizes = sizes.into_iter();
        let mut lines: Vec<HistoryLine> = Vec::new();
        for entry in &image.configuration.history {
            let layer = if entry.empty_layer { None } else { sizes.next() };
            lines.push(HistoryLine {
                id: None,
                created: entry.created.clone(),
                created_by: entry.created_by.clone(),
                tags: Vec::new(),
                size: layer.map_or(0, |(size, _)| size),
                diff_id: layer.map(|(_, diff_id)| diff_id),
                comment: entry.comment.clone(),
            });
        }
        // Layers that the configuration forgot to tell about.
        lines.extend(sizes.map(|(size, diff_id)| HistoryLine {
            id: None,
            created: None,
            created_by: String::new(),
            tags: Vec::new(),
            size,
            diff_id: Some(diff_id),
            comment: String::new(),
        }));
        lines.reverse();
        if let Some(newest) = lines.first_mut() {
            newest.id = Some(image.id);
            newest.tags = image.tags.iter().map(|tag| tag.familiar()).collect();
        }
        Ok(lines)
    }
}
