//! Taking names from images, and images from teams.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use super::pull::repository;
use super::{Image, ImageError, Images};
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::images::{self, UserRow};
use crate::store::upstream;

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
        let mut digests = Vec::new();
        for row in
            upstream::digests(&mut transaction, owner.team_id).await?.into_iter().filter(|row| row.image_id == id)
        {
            digests.push(format!("{}@{}", row.repository, row.digest).parse::<ImageReference>()?);
        }
        let image = Image { tags: current, digests, ..image };
        let users: Vec<UserRow> = images::users(&mut transaction, owner.team_id).await?;
        let users: Vec<UserRow> = users.into_iter().filter(|user| user.image_id == id).collect();
        let taken = match &reference {
            Some(reference) => {
                let taken = named(&image, reference)?;
                check_name(&image, reference, &users, force)?;
                taken
            }
            None => {
                check_id(&image, &users, force)?;
                image.tags.iter().chain(&image.digests).cloned().collect()
            }
        };
        let last = taken.len() == image.tags.len() + image.digests.len();
        let mut removed = Vec::new();
        for reference in taken {
            match reference.digest() {
                None => images::untag(&mut transaction, owner.team_id, &reference.to_string()).await?,
                Some(digest) => {
                    let (repository, digest) = (repository(&reference), digest.to_string());
                    upstream::delete_digest(&mut transaction, owner.team_id, &repository, &digest).await?;
                }
            }
            removed.push(Removed::Untagged(reference.familiar()));
        }
        if last && users.is_empty() {
            self.delete(&mut transaction, owner, &image.id).await?;
            removed.push(Removed::Deleted(image.id));
        }
        fault::rows(Write::RemoveRows)?;
        transaction.commit().await?;
        fault::step(Step::ImageRemoved);
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

/// What goes with a name: with the last tag of a repository also the digests there, as Docker has it.
fn named(image: &Image, reference: &ImageReference) -> Result<Vec<ImageReference>, ImageError> {
    let same = |other: &&ImageReference| repository(other) == repository(reference);
    let gone = || ImageError::NotFound { name: reference.familiar() };
    if let Some(digest) = reference.digest() {
        let found = image.digests.iter().filter(same).find(|known| known.digest() == Some(digest));
        return found.map(|known| vec![known.clone()]).ok_or_else(gone);
    }
    if !image.tags.contains(reference) {
        return Err(gone());
    }
    let mut taken = vec![reference.clone()];
    if !image.tags.iter().filter(same).any(|other| other != reference) {
        taken.extend(image.digests.iter().filter(same).cloned());
    }
    Ok(taken)
}

/// Whether a name may be taken away.
fn check_name(image: &Image, reference: &ImageReference, users: &[UserRow], force: bool) -> Result<(), ImageError> {
    match users.first() {
        Some(user) if named(image, reference)?.len() == image.tags.len() + image.digests.len() && !force => {
            Err(ImageError::InUse {
                act: format!("remove repository reference {:?}", reference.familiar()),
                remedy: "must force",
                reason: format!("container {} is using its referenced image {}", short(&user.id), image.id.short()),
            })
        }
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
    let names = image.tags.iter().chain(&image.digests);
    let repositories: BTreeSet<String> = names.map(ImageReference::familiar_name).collect();
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
