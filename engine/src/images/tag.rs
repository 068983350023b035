//! Giving an image one more name.

use super::{ImageError, Images};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Write};
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::images;

/// A name that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The name.
    pub reference: ImageReference,
    /// The image that has it now.
    pub id: Digest,
    /// The image that had it before, if another did.
    pub before: Option<String>,
}

impl Images {
    /// Gives the image `name` the further name `reference`, taking it from another image of the team if need be.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] for the image, [`ImageError::Reference`] or [`ImageError::TagWithDigest`] for the name.
    pub async fn tag(&self, owner: &Owner, name: &str, reference: &str) -> Result<Tagged, ImageError> {
        let reference = taggable(reference)?;
        let image = self.find(owner, name).await?;
        let mut transaction = self.shared.pool.begin_with("BEGIN IMMEDIATE").await?;
        let id = image.id.to_string();
        let before = images::tag(&mut transaction, owner.team_id, &reference.to_string(), &id, now_ns()).await;
        let before = before.map_err(|error| match error {
            // Removed since it was found.
            sqlx::Error::Database(cause) if cause.is_foreign_key_violation() => {
                ImageError::NotFound { name: name.to_owned() }
            }
            other => other.into(),
        })?;
        fault::rows(Write::TagRow)?;
        transaction.commit().await?;
        Ok(Tagged { reference, id: image.id, before })
    }
}

/// A reference that can be given to an image.
pub(super) fn taggable(text: &str) -> Result<ImageReference, ImageError> {
    let reference: ImageReference = text.parse()?;
    match reference.digest() {
        Some(_) => Err(ImageError::TagWithDigest { reference: text.to_owned() }),
        None => Ok(reference),
    }
}
