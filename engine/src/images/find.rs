//! Which image a person means, and all of them.

use super::pull::repository;
use super::{Image, ImageError, Images};
use crate::digest::Digest;
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::images::{self, ImageRow};
use crate::store::upstream;

impl Images {
    /// All images of a team, newest first.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub async fn list(&self, owner: &Owner) -> Result<Vec<Image>, ImageError> {
        let rows = images::list(&self.shared.pool, owner.team_id).await?;
        let mut names = self.names_by_image(owner).await?;
        let named = |row: ImageRow| {
            let names = names.take(&row.id);
            Image::from_row(row, names)
        };
        rows.into_iter().map(named).collect()
    }

    /// The image that a name, an id, a short id or `sha256:…` stands for. A name is tried first, as Docker does.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::Ambiguous`] for a short id of several images.
    pub async fn find(&self, owner: &Owner, name: &str) -> Result<Image, ImageError> {
        Ok(self.find_by(owner, name).await?.0)
    }

    /// The image, and the reference by which it was found; none when it was by id.
    pub(super) async fn find_by(
        &self,
        owner: &Owner,
        name: &str,
    ) -> Result<(Image, Option<ImageReference>), ImageError> {
        let reference = name.parse::<ImageReference>().ok();
        let by_name = match &reference {
            Some(reference) => self.by_reference(owner, reference).await?,
            None => None,
        };
        if let Some(row) = by_name {
            return Ok((self.with_tags(owner, row).await?, reference));
        }
        let shown = || reference.as_ref().map_or_else(|| name.chars().take(300).collect(), ImageReference::familiar);
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        if digits.is_empty()
            || digits.len() > 64
            || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(ImageError::NotFound { name: shown() });
        }
        let mut rows = images::by_id_prefix(&self.shared.pool, owner.team_id, &format!("sha256:{digits}")).await?;
        match (rows.pop(), rows.pop()) {
            (Some(row), None) => Ok((self.with_tags(owner, row).await?, None)),
            (Some(_), Some(_)) => Err(ImageError::Ambiguous { prefix: name.to_owned() }),
            (None, _) => Err(ImageError::NotFound { name: shown() }),
        }
    }

    /// The same without the image's names (`tags` is empty): for a container, which needs only what it is made of.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn find_nameless(&self, owner: &Owner, name: &str) -> Result<Image, ImageError> {
        if let Ok(reference) = name.parse::<ImageReference>()
            && let Some(row) = self.by_reference(owner, &reference).await?
        {
            return Image::from_row(row, (Vec::new(), Vec::new()));
        }
        self.find(owner, name).await
    }

    /// The image of an exact id.
    ///
    /// # Errors
    /// [`ImageError::NotFound`].
    pub async fn get(&self, owner: &Owner, id: &Digest) -> Result<Image, ImageError> {
        self.find(owner, &id.to_string()).await
    }

    async fn with_tags(&self, owner: &Owner, row: ImageRow) -> Result<Image, ImageError> {
        let names = self.names_by_image(owner).await?.take(&row.id);
        Image::from_row(row, names)
    }

    /// By a tag, or by the digest under which the team got it.
    async fn by_reference(&self, owner: &Owner, reference: &ImageReference) -> Result<Option<ImageRow>, ImageError> {
        let pool = &self.shared.pool;
        Ok(match reference.digest() {
            None => images::by_reference(pool, owner.team_id, &reference.to_string()).await?,
            Some(digest) => images::by_digest(pool, owner.team_id, &repository(reference), &digest.to_string()).await?,
        })
    }

    async fn names_by_image(&self, owner: &Owner) -> Result<Names, ImageError> {
        let mut connection = self.shared.pool.acquire().await?;
        let tags = images::tags(&mut connection, owner.team_id).await?.into_iter();
        let digests = upstream::digests(&mut connection, owner.team_id).await?.into_iter();
        Ok(Names {
            tags: tags.map(|row| Ok((row.image_id, row.reference.parse()?))).collect::<Result<_, ImageError>>()?,
            digests: digests
                .map(|row| Ok((row.image_id, format!("{}@{}", row.repository, row.digest).parse()?)))
                .collect::<Result<_, ImageError>>()?,
        })
    }
}

/// The names of a team's images.
struct Names {
    tags: Vec<(String, ImageReference)>,
    digests: Vec<(String, ImageReference)>,
}

impl Names {
    fn take(&mut self, id: &str) -> (Vec<ImageReference>, Vec<ImageReference>) {
        let of = |names: &mut Vec<(String, ImageReference)>| {
            names.extract_if(.., |(image, _)| image == id).map(|(_, reference)| reference).collect()
        };
        (of(&mut self.tags), of(&mut self.digests))
    }
}
