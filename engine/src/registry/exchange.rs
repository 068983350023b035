//! Between the engine and the registry, which are one store: an image goes into a repository, and what a repository has
//! becomes an image, without a request and without a copied byte.

use bytes::Bytes;
use serde_json::{Value, json};

use super::manifest::MANIFEST;
use super::{Blob, Filled, Manifest, NewManifest, Registry, RegistryError, Repository, Source, Stored, Tag};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::images::{
    self, Distribution, Document, Image, ImageError, Images, Kept, Next, Platforms, PullEvent, Pulled, Side,
};
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::registry::{blobs, manifests};

/// Media type of a layer as the engine keeps it.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of an image's configuration.
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
/// Indexes within indexes.
const DEPTH_MAX: usize = 4;
/// Manifests of one configuration that are looked at.
const MANIFESTS_MAX: i64 = 16;

impl Registry {
    /// Gives an image of the engine to a repository under a tag. A manifest of it that the repository has already is
    /// tagged; else one is made whose layers are the tars that the engine keeps.
    ///
    /// # Errors
    /// [`RegistryError::TagImmutable`], [`RegistryError::Layer`] for a layer that is gone.
    pub async fn publish(
        &self,
        image: &Image,
        repository: &Repository,
        tag: &Tag,
        by: &str,
    ) -> Result<Stored, RegistryError> {
        let _lease = self.shared.leases.hold(image.diff_ids.iter().copied().chain([image.id])).await;
        let (media_type, bytes) = match self.known_manifest(repository, &image.id).await? {
            Some(known) => (known.media_type, known.bytes),
            None => (MANIFEST.to_owned(), self.lend(repository, image).await?),
        };
        let tags = std::slice::from_ref(tag);
        let new = NewManifest { content_type: Some(&media_type), bytes: &bytes, digest: None, tags, by };
        self.put_manifest(repository, new).await
    }

    /// A manifest of the repository with that configuration.
    async fn known_manifest(&self, repository: &Repository, id: &Digest) -> Result<Option<Manifest>, RegistryError> {
        let text = id.to_string();
        for digest in manifests::naming(&self.shared.read, repository.id, &text, MANIFESTS_MAX).await? {
            let Ok(digest) = digest.parse() else { continue };
            let manifest = self.manifest(repository, &digest).await?;
            let own = serde_json::from_slice::<Value>(&manifest.bytes).unwrap_or_default();
            if own["config"]["digest"] == text.as_str() {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// Makes configuration and tars blobs of the repository: rows, no bytes. Gives the manifest that names them.
    async fn lend(&self, repository: &Repository, image: &Image) -> Result<Vec<u8>, RegistryError> {
        let _gate = self.shared.leases.shared().await;
        let (registry, id, raw) = (self.clone(), image.id, image.raw.clone());
        let diff_ids = image.diff_ids.clone();
        let looking = tokio::task::spawn_blocking(move || {
            if !registry.shared.content.contains(&id) {
                registry.shared.content.put(raw.as_bytes())?;
            }
            let size = |diff_id: &Digest| Ok((*diff_id, registry.shared.layers.facts(diff_id)?.size));
            diff_ids.iter().map(size).collect::<Result<Vec<_>, RegistryError>>()
        });
        let layers = looking.await.map_err(super::error::joining)??;
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        let now = now_ns();
        for (digest, size) in layers.iter().copied().chain([(image.id, image.raw.len() as u64)]) {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            let inserted = blobs::insert(&mut transaction, repository.id, &digest.to_string(), size, now).await;
            inserted.map_err(|error| super::manifests::gone(repository, error))?;
        }
        fault::rows(Write::PublishRows)?;
        transaction.commit().await?;
        fault::step(Step::PublishLent);
        let layers: Vec<Value> =
            layers.iter().map(|(digest, size)| json!({ "mediaType": LAYER, "digest": digest, "size": size })).collect();
        let config = json!({ "mediaType": CONFIGURATION, "digest": image.id, "size": image.raw.len() });
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        Ok(manifest.to_string().into_bytes())
    }

    /// Makes what `reference` names in the repository an image of a team, which the caller may pull there. `source`:
    /// where a repository of the cache is filled from.
    ///
    /// # Errors
    /// [`ImageError`]: the repository does not have it, it is no image, or for another platform.
    pub async fn obtain(
        &self,
        owner: &Owner,
        (repository, source): (&Repository, Option<&Source>),
        reference: &ImageReference,
        platform: Option<&str>,
        tell: &(dyn Fn(PullEvent) + Send + Sync),
    ) -> Result<Pulled, ObtainError> {
        let top = document(self.top(repository, reference).await?);
        let from = (repository, source);
        let (manifest, config, layers) = self.image(from, reference, top.clone(), platform).await?;
        self.whole_blob(repository, source, &config).await?;
        let configuration = self.small_blob(repository, &config).await?;
        let mut files = Vec::new();
        for layer in &layers {
            files.push(self.whole_blob(repository, source, layer).await?.file);
        }
        let kept = Kept { reference: reference.clone(), top, manifest, configuration, layers: files };
        self.count_pull(repository);
        Ok(self.shared.images.take(owner, kept, platform, tell).await?)
    }

    /// The image that a manifest of the repository is or leads to, to be compared with another one; `reference` is how
    /// people call it. Only of layers that are unpacked here.
    ///
    /// # Errors
    /// [`ImageError::NotUnpacked`], or it is no image for this host.
    pub async fn side(
        &self,
        repository: &Repository,
        reference: &ImageReference,
        top: Manifest,
    ) -> Result<Side, ObtainError> {
        let (_, config, layers) = self.image((repository, None), reference, document(top), None).await?;
        let configuration = self.small_blob(repository, &config).await?;
        Ok(self.shared.images.side(reference, &configuration, &layers).await?)
    }

    /// The image's own manifest behind all indexes, its configuration and its layers.
    async fn image(
        &self,
        (repository, source): (&Repository, Option<&Source>),
        reference: &ImageReference,
        top: Document,
        platform: Option<&str>,
    ) -> Result<(Document, Digest, Vec<Digest>), ObtainError> {
        let mut manifest = top;
        for _ in 0..DEPTH_MAX {
            match Images::next_of(reference, &manifest, platform)? {
                Next::Manifest(digest) => {
                    manifest = document(match source {
                        Some(source) => {
                            self.cached_by_digest(repository.team_id, &repository.name, source, &digest).await?.manifest
                        }
                        None => self.manifest(repository, &digest).await?,
                    });
                }
                Next::Blobs(config, layers) => return Ok((manifest, config, layers)),
            }
        }
        let reason = "its indexes are nested too deeply".to_owned();
        Err(ImageError::Manifest { reference: reference.familiar(), reason }.into())
    }

    /// What `reference` names in the repository, without making it an image.
    ///
    /// # Errors
    /// As [`Registry::obtain`].
    pub async fn distribution(
        &self,
        (repository, source): (&Repository, Option<&Source>),
        reference: &ImageReference,
    ) -> Result<Distribution, ObtainError> {
        let top = self.top(repository, reference).await?;
        let platforms = match images::platforms(reference, &top.media_type, &top.bytes)? {
            Platforms::Told(all) => all,
            Platforms::Configuration(digest, _) => {
                self.whole_blob(repository, source, &digest).await?;
                vec![images::of_configuration(&self.small_blob(repository, &digest).await?)?]
            }
        };
        let size = top.bytes.len() as u64;
        Ok(Distribution { media_type: top.media_type, digest: top.digest, size, platforms })
    }

    async fn top(&self, repository: &Repository, reference: &ImageReference) -> Result<Manifest, RegistryError> {
        match (reference.digest(), reference.tag().unwrap_or("latest").parse()) {
            (Some(digest), _) => self.manifest(repository, &digest).await,
            (None, tag) => self.manifest_by_tag(repository, &tag?).await,
        }
    }

    /// A blob, from where the cache is filled if need be.
    async fn whole_blob(
        &self,
        repository: &Repository,
        source: Option<&Source>,
        digest: &Digest,
    ) -> Result<Blob, RegistryError> {
        let Some(source) = source else { return self.blob(repository, digest).await };
        match self.cached_blob(repository, source, digest).await? {
            Filled::There(blob) => Ok(blob),
            Filled::Coming(coming) => coming.whole().await,
        }
    }

    async fn small_blob(&self, repository: &Repository, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        self.blob_size(repository, digest, false).await?;
        let (registry, digest) = (self.clone(), *digest);
        let reading = move || registry.shared.content.read_blob(&digest, crate::images::CONFIG_BYTES as u64);
        Ok(tokio::task::spawn_blocking(reading).await.map_err(super::error::joining)??)
    }
}

/// Why a repository's image did not become one of a team.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// The repository does not have it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is no image for this host.
    #[error(transparent)]
    Image(#[from] ImageError),
}

fn document(manifest: Manifest) -> Document {
    Document { digest: manifest.digest, media_type: manifest.media_type, bytes: Bytes::from(manifest.bytes) }
}
