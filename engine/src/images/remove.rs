//! Taking names from images, and images from teams.

use sqlx::SqliteConnection;

use super::{Image, ImageError, Images};
use crate::digest::Digest;
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::images::{self, UserRow};

/// One thing that was done by a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name, in its familiar form.
    Untagged(String),
    /// An image.
    Deleted(Digest),
}

impl Images {
    /// Removes by name or id, with Docker's rules: a name of several is only taken away; the last one takes the image
    /// with it; an id takes all its names when they are of one repository. Containers of the image stand in the way;
    /// `force` takes the names, and the image too unless containers still need it. Layers that nobody needs any more
    /// are swept after the answer.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::InUse`].
    pub async fn remove(&self, owner: &Owner, name: &str, force: bool) -> Result<Vec<Removed>, ImageError> {
        let (image, reference) = self.find_by(owner, name).await?;
        let mut transaction = self.shared.pool.begin_with("BEGIN IMMEDIATE").await?;
        // Again, since names and containers may have come or gone before the transaction.
        let tags = images::tags(&mut transaction, owner.team_id).await?;
        let id = image.id.to_string();
        let mut current = Vec::new();
        for row in tags.into_iter().filter(|row| row.image_id == id) {
            current.push(row.reference.parse::<ImageReference>()?);
        }
        let image = Image { tags: current, ..image };
        let users: Vec<UserRow> = images::users(&mut transaction, owner.team_id).await?;
        let users: Vec<UserRow> = users.into_iter().filter(|user| user.image_id == id).collect();
        let taken = match &reference {
            Some(reference) if !image.tags.contains(reference) => {
                return Err(ImageError::NotFound { name: reference.familiar() });
            }
            Some(reference) => {
                check_name(&image, reference, &users, force)?;
                vec![reference.clone()]
            }
            None => {
                check_id(&image, &users, force)?;
                image.tags.clone()
            }
        };
        let last = taken.len() == image.tags.len();
        let mut removed = Vec::new();
        for reference in taken {
            images::untag(&mut transaction, owner.team_id, &reference.to_string()).await?;
            removed.push(Removed::Untagged(reference.familiar()));
        }
        if last && users.is_empty() {
            self.delete(&mut transaction, owner, &image.id).await?;
            removed.push(Removed::Deleted(image.id));
        }
        transaction.commit().await?;
        self.sweep_later();
        Ok(removed)
    }

    pub(super) async fn delete(
        &self,
        connection: &mut SqliteConnection,
        owner: &Owner,
        id: &Digest,
    ) -> Result<(), ImageError> {
        Ok(images::delete(connection, owner.team_id, &id.to_string()).await?)
    }
}

/// Whether a name may be taken away.
fn check_name(image: &Image, reference: &ImageReference, users: &[UserRow], force: bool) -> Result<(), ImageError> {
    match users.first() {
        Some(user) if image.tags.len() == 1 && !force => Err(ImageError::InUse {
            act: format!("remove repository reference {:?}", reference.familiar()),
            remedy: "must force",
            reason: format!("container {} is using its referenced image {}", short(&user.id), image.id.short()),
        }),
        _ => Ok(()),
    }
}

/// Whether an image may go.
fn check_id(image: &Image, users: &[UserRow], force: bool) -> Result<(), ImageError> {
    let act = format!("delete {}", image.id.short());
    if let Some(user) = users.iter().find(|user| matches!(user.state.as_str(), "running" | "paused" | "restarting")) {
        let reason = format!("image is being used by running container {}", short(&user.id));
        return Err(ImageError::InUse { act, remedy: "cannot be forced", reason });
    }
    if force {
        return Ok(());
    }
    let mut repositories: Vec<String> = image.tags.iter().map(ImageReference::familiar_name).collect();
    repositories.dedup();
    if repositories.len() > 1 {
        let reason = "image is referenced in multiple repositories".to_owned();
        return Err(ImageError::InUse { act, remedy: "must be forced", reason });
    }
    match users.first() {
        Some(user) => {
            let reason = format!("image is being used by stopped container {}", short(&user.id));
            Err(ImageError::InUse { act, remedy: "must be forced", reason })
        }
        None => Ok(()),
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
