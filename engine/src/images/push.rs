//! `docker push`: an image of the team goes to a registry, with as few bytes as can be.
//!
//! If everything that the manifest names under which it came is already there, that manifest is given, and the digest
//! stays. Else one is made of what is there and what is packed and sent now.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::document::{self, CONFIGURATIONS, Descriptor, MANIFESTS, Read};
use super::handle::joining;
use super::plan::Wanted;
use super::provenance::{Packed, Provenance};
use super::pull::repository;
use super::send::{Layers, There};
use super::{Image, ImageError, Images};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::images as rows;
use crate::store::upstream as store;
use crate::upstream::{Credentials, MANIFEST_BYTES, Remote, Rules};

/// Questions to the other side at the same time.
const AT_ONCE: usize = 4;

/// What to push, and on whose behalf.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// With the tag to push.
    pub reference: ImageReference,
    /// All tags of the repository instead.
    pub all: bool,
    /// `os[/architecture[/variant]]` that the image must be for; `None`: any.
    pub platform: Option<String>,
    /// Shown to the registry.
    pub credentials: Credentials,
    /// An administrator asks.
    pub elevated: bool,
}

/// How far a push is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// It begins.
    To {
        /// `docker.io/library/nginx`.
        repository: String,
    },
    /// A layer got further.
    Layer {
        /// Of its tar.
        diff_id: Digest,
        /// How far it is.
        step: PushStep,
    },
    /// A tag is there.
    Pushed(Pushed),
}

/// How far a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushStep {
    /// It is part of the image.
    Preparing,
    /// The other side has it.
    Exists,
    /// The other side took it over from another of its repositories.
    Mounted {
        /// Which: `library/busybox`.
        from: String,
    },
    /// Bytes of so many.
    Pushing {
        /// That went.
        current: u64,
        /// In all.
        total: u64,
    },
    /// The other side has it now.
    Pushed,
}

/// A tag that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Which.
    pub tag: String,
    /// Of its manifest.
    pub digest: Digest,
    /// Bytes of its manifest.
    pub size: u64,
}

pub(super) type Tell<'a> = &'a (dyn Fn(PushEvent) + Send + Sync);

/// A manifest to be given.
struct Given {
    media_type: String,
    bytes: Bytes,
    packed: Vec<Packed>,
}

impl Images {
    /// Pushes a tag, or all tags of a repository.
    ///
    /// # Errors
    /// [`ImageError::NothingToPush`], [`ImageError::NoTag`], what the registry said.
    pub async fn push(&self, owner: &Owner, request: &PushRequest, tell: Tell<'_>) -> Result<Vec<Pushed>, ImageError> {
        let PushRequest { reference, all, platform, credentials, elevated } = request;
        let rules = Arc::new(Rules::load(&self.shared.pool).await?);
        let endpoint = rules.endpoint(reference.registry(), *elevated)?;
        let remote = Remote::new(&self.shared.transport, &rules, endpoint, *elevated, credentials.clone(), reference);
        tell(PushEvent::To { repository: repository(reference) });
        let mut pushed = Vec::new();
        for reference in self.tags_to_push(owner, reference, *all).await? {
            let image = self.find(owner, &reference.to_string()).await?;
            image.must_be_for(platform.as_deref(), &reference)?;
            let one = Push { images: self, owner, image: &image, reference: &reference, remote: &remote, tell };
            pushed.push(one.run().await?);
        }
        Ok(pushed)
    }

    async fn tags_to_push(
        &self,
        owner: &Owner,
        reference: &ImageReference,
        all: bool,
    ) -> Result<Vec<ImageReference>, ImageError> {
        let mut connection = self.shared.pool.acquire().await?;
        let mut tags = Vec::new();
        for row in rows::tags(&mut connection, owner.team_id).await? {
            let tag: ImageReference = row.reference.parse()?;
            if repository(&tag) == repository(reference) {
                tags.push(tag);
            }
        }
        if tags.is_empty() {
            return Err(ImageError::NothingToPush { name: reference.familiar_name() });
        }
        if !all {
            tags.retain(|tag| tag == reference);
        }
        if tags.is_empty() { Err(ImageError::NoTag { name: reference.familiar() }) } else { Ok(tags) }
    }
}

struct Push<'a> {
    images: &'a Images,
    owner: &'a Owner,
    image: &'a Image,
    reference: &'a ImageReference,
    remote: &'a Remote,
    tell: Tell<'a>,
}

impl Push<'_> {
    async fn run(&self) -> Result<Pushed, ImageError> {
        let Self { images, image, .. } = *self;
        let kept: Vec<Digest> = image.digests.iter().filter_map(ImageReference::digest).collect();
        let _lease = images.shared.leases.hold(image.diff_ids.iter().copied().chain([image.id]).chain(kept)).await;
        let mut told: Vec<Digest> = Vec::new();
        for diff_id in &image.diff_ids {
            if !told.contains(diff_id) {
                told.push(*diff_id);
                (self.tell)(PushEvent::Layer { diff_id: *diff_id, step: PushStep::Preparing });
            }
        }
        let layers = Layers {
            images,
            remote: self.remote,
            registry: self.reference.registry(),
            sources: self.sources().await?,
            tell: self.tell,
        };
        let given = match self.kept_manifest(&layers).await? {
            Some(given) => given,
            None => self.new_manifest(&layers, &told).await?,
        };
        layers.configuration(image).await?;
        let tag = self.reference.tag().unwrap_or("latest").to_owned();
        self.remote.put_manifest(&tag, &given.media_type, given.bytes.clone()).await?;
        fault::step(Step::PushGiven);
        let pushed = Pushed { tag, digest: Digest::of(&given.bytes), size: given.bytes.len() as u64 };
        self.record(given, pushed.digest).await?;
        (self.tell)(PushEvent::Pushed(pushed.clone()));
        Ok(pushed)
    }

    /// The manifest under which the team got the image, if the other side has all that it names.
    async fn kept_manifest(&self, layers: &Layers<'_>) -> Result<Option<Given>, ImageError> {
        let mut connection = self.images.shared.pool.acquire().await?;
        let id = self.image.id.to_string();
        let mut known: Vec<_> = store::digests(&mut connection, self.owner.team_id).await?;
        drop(connection);
        known.retain(|row| row.image_id == id);
        // The same repository first: it most likely has everything.
        known.sort_by_key(|row| row.repository != repository(self.reference));
        for row in known {
            let Ok(manifest) = row.manifest.parse::<Digest>() else { continue };
            let content = self.images.shared.content.clone();
            let reading = tokio::task::spawn_blocking(move || content.read_blob(&manifest, MANIFEST_BYTES as u64));
            let Ok(bytes) = reading.await.map_err(joining)? else { continue };
            let own = serde_json::from_slice::<Value>(&bytes).ok();
            let told = own.as_ref().and_then(|own| own["mediaType"].as_str()).unwrap_or(MANIFESTS[0]).to_owned();
            let Ok(Read::Manifest { media_type, config, layers: parts }) = document::read(&told, &bytes) else {
                continue;
            };
            if config.digest == self.image.id && self.all_there(layers, &parts).await? {
                return Ok(Some(Given { media_type, bytes: bytes.into(), packed: Vec::new() }));
            }
        }
        Ok(None)
    }

    async fn all_there(&self, layers: &Layers<'_>, parts: &[Descriptor]) -> Result<bool, ImageError> {
        if parts.len() != self.image.diff_ids.len() {
            return Ok(false);
        }
        let pairs = parts.iter().zip(&self.image.diff_ids);
        let asking: Vec<_> = pairs.map(|(part, diff_id)| layers.there(&part.digest, diff_id)).collect();
        let answers: Vec<Option<There>> = stream::iter(asking).buffered(AT_ONCE).try_collect().await?;
        if answers.iter().any(Option::is_none) {
            return Ok(false);
        }
        for (diff_id, there) in self.image.diff_ids.iter().zip(answers.into_iter().flatten()) {
            (self.tell)(PushEvent::Layer { diff_id: *diff_id, step: there.step() });
        }
        Ok(true)
    }

    async fn new_manifest(&self, layers: &Layers<'_>, diff_ids: &[Digest]) -> Result<Given, ImageError> {
        let sending: Vec<_> = diff_ids.iter().map(|diff_id| layers.send(diff_id)).collect();
        let sent: Vec<Packed> = stream::iter(sending).buffer_unordered(AT_ONCE).try_collect().await?;
        let by_diff_id: HashMap<Digest, &Packed> = sent.iter().map(|packed| (packed.diff_id, packed)).collect();
        let parts: Vec<&Packed> =
            self.image.diff_ids.iter().filter_map(|diff_id| by_diff_id.get(diff_id).copied()).collect();
        let (media_type, bytes) = manifest(self.image, &parts);
        Ok(Given { media_type, bytes, packed: sent })
    }

    /// Repositories of the same registry that the team got images from or gave them to, by the layers they have.
    async fn sources(&self) -> Result<Vec<(String, Vec<Digest>)>, ImageError> {
        let mut sources: Vec<(String, Vec<Digest>)> = Vec::new();
        let own = self.reference.repository();
        for image in self.images.list(self.owner).await? {
            for known in image.digests.iter().filter(|known| known.registry() == self.reference.registry()) {
                if known.repository() != own {
                    sources.push((known.repository().to_owned(), image.diff_ids.clone()));
                }
            }
        }
        Ok(sources)
    }

    async fn record(&self, given: Given, digest: Digest) -> Result<(), ImageError> {
        let provenance = Provenance {
            repository: repository(self.reference),
            digest,
            manifest: digest,
            documents: vec![given.bytes],
            packed: given.packed,
        };
        let shared = &self.images.shared;
        let _gate = shared.leases.shared().await;
        let (content, kept) = (shared.content.clone(), provenance.clone());
        tokio::task::spawn_blocking(move || kept.store(&content)).await.map_err(joining)??;
        fault::step(Step::PushStored);
        let mut transaction = shared.pool.begin_with("BEGIN IMMEDIATE").await?;
        provenance.record(&mut transaction, self.owner, &self.image.id, now_ns()).await?;
        fault::rows(Write::PushRows)?;
        transaction.commit().await?;
        fault::step(Step::PushRecorded);
        Ok(())
    }
}

impl Image {
    /// Refuses an image that is for another platform than the one that is asked for (`os[/architecture[/variant]]`).
    ///
    /// # Errors
    /// [`ImageError::OtherPlatform`], [`ImageError::WrongPlatform`].
    pub fn must_be_for(&self, platform: Option<&str>, reference: &ImageReference) -> Result<(), ImageError> {
        let Some(platform) = platform else { return Ok(()) };
        let (wanted, own) = (Wanted::parse(Some(platform))?, &self.configuration);
        match wanted.fits(&own.os, &own.architecture, &own.variant) {
            true => Ok(()),
            false => Err(ImageError::OtherPlatform {
                reference: reference.familiar(),
                wanted: wanted.to_string(),
                actual: own.platform(),
            }),
        }
    }
}

impl Images {
    /// Notes under which digest the team gave an image to a repository of the registry inside, which has the manifest.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub async fn note_given(
        &self,
        owner: &Owner,
        image: &Image,
        reference: &ImageReference,
        digest: &Digest,
    ) -> Result<(), ImageError> {
        let _gate = self.shared.leases.shared().await;
        // Deleted there meanwhile, it has nothing to be known by.
        if !self.shared.content.contains(digest) {
            return Ok(());
        }
        let (repository, packed, documents) = (repository(reference), Vec::new(), Vec::new());
        let provenance = Provenance { repository, digest: *digest, manifest: *digest, documents, packed };
        let mut transaction = self.shared.pool.begin_with("BEGIN IMMEDIATE").await?;
        provenance.record(&mut transaction, owner, &image.id, now_ns()).await?;
        Ok(transaction.commit().await?)
    }
}

/// A manifest of packed layers: Docker's, which every registry and client knows, unless a layer is packed as only OCI
/// has it.
fn manifest(image: &Image, layers: &[&Packed]) -> (String, Bytes) {
    let is_oci = layers.iter().any(|layer| layer.media_type.ends_with("zstd"));
    let place = usize::from(!is_oci);
    let layer_type = |layer: &Packed| {
        let words = layer.media_type.rsplit(['.', '+']).next().unwrap_or_default();
        let (oci, docker) = match words {
            "gzip" => ("tar+gzip", "diff.tar.gzip"),
            "zstd" => ("tar+zstd", "diff.tar.zstd"),
            _ => ("tar", "diff.tar"),
        };
        if is_oci {
            format!("application/vnd.oci.image.layer.v1.{oci}")
        } else {
            format!("application/vnd.docker.image.rootfs.{docker}")
        }
    };
    let media_type = MANIFESTS[place];
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": { "mediaType": CONFIGURATIONS[place], "size": image.raw.len(), "digest": image.id },
        "layers": layers.iter().map(|layer| json!({
            "mediaType": layer_type(layer), "size": layer.size, "digest": layer.digest,
        })).collect::<Vec<_>>(),
    });
    (media_type.to_owned(), manifest.to_string().into())
}
