//! `docker pull`: an image of a registry becomes one of the team.
//!
//! ```text
//! resolve the name ─> choose by platform ─> configuration ─> layers, several at once ─> the step that loads share
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::document::{self, CONFIGURATIONS, Descriptor, LAYERS, Read, Unreadable};
use super::fetch::Fetch;
use super::flights::Flight;
use super::load::checked;
use super::plan::{Plan, Wanted};
use super::provenance::Provenance;
use super::{CONFIG_BYTES, ImageConfiguration, ImageError, Images, LAYERS_MAX};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::images as rows;
use crate::store::upstream::{self as store, FetchRow};
use crate::upstream::{Credentials, Manifest, Places, Rules};

/// Indexes within indexes.
const DEPTH_MAX: usize = 4;

/// What to pull, and on whose behalf.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// With a tag or a digest; with both, the digest counts.
    pub reference: ImageReference,
    /// `os[/architecture[/variant]]`; `None`: this host's.
    pub platform: Option<String>,
    /// Shown to the registry.
    pub credentials: Credentials,
    /// An administrator asks.
    pub elevated: bool,
}

/// How far a pull is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The registry knows it.
    From {
        /// As Docker shows it: `library/nginx`.
        repository: String,
        /// Tag or digest.
        name: String,
    },
    /// Something a person should know.
    Note(String),
    /// A layer got further.
    Layer {
        /// Of its packed bytes.
        digest: Digest,
        /// How far it is.
        step: LayerStep,
    },
    /// The image's, or its index's.
    Digest(Digest),
    /// It is one of the team's.
    Done {
        /// As Docker shows it.
        reference: String,
        /// The name led to another image before, or to none.
        newer: bool,
    },
}

/// How far a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerStep {
    /// It is part of the image.
    Found,
    /// The team has it.
    Exists,
    /// Bytes of so many.
    Downloading {
        /// That came.
        current: u64,
        /// In all.
        total: u64,
    },
    /// Its last bytes came.
    Verifying,
    /// They are the right ones.
    Downloaded,
    /// It lies in the store.
    Complete,
}

/// What a pull came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image.
    pub id: Digest,
    /// Of its index or manifest.
    pub digest: Digest,
    /// The name led to another image before, or to none.
    pub newer: bool,
}

/// Told how far it is.
pub(super) type Tell<'a> = &'a (dyn Fn(PullEvent) + Send + Sync);

/// One pull under way.
pub(super) struct Pull<'a> {
    pub images: &'a Images,
    pub owner: &'a Owner,
    pub reference: &'a ImageReference,
    pub places: Arc<Places>,
    /// Kept until the rows are there, so that who comes meanwhile finds them.
    pub landed: Mutex<Vec<Arc<Flight>>>,
    pub tell: Tell<'a>,
}

/// The image's own manifest, and the index that led to it.
struct Chosen {
    config: Descriptor,
    layers: Vec<Descriptor>,
    manifest: Manifest,
}

impl Images {
    /// Pulls one image. Dropped before its end it leaves nothing that the next sweep does not take.
    ///
    /// # Errors
    /// [`ImageError`]: what the registry said, what is wrong with what it gave; no space.
    pub async fn pull(&self, owner: &Owner, request: &PullRequest, tell: Tell<'_>) -> Result<Pulled, ImageError> {
        let rules = Arc::new(Rules::load(&self.shared.pool).await?);
        let PullRequest { reference, platform, credentials, elevated } = request;
        let (transport, health) = (&self.shared.transport, &self.shared.health);
        let places = Places::new(transport, &rules, health, *elevated, credentials, reference)?;
        let wanted = Wanted::parse(platform.as_deref())?;
        let pull = Pull { images: self, owner, reference, places: Arc::new(places), landed: Mutex::default(), tell };
        pull.run(&wanted).await
    }

    /// Pulls every tag of a repository, one after another.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub async fn pull_all(
        &self,
        owner: &Owner,
        request: &PullRequest,
        tell: Tell<'_>,
    ) -> Result<Vec<Pulled>, ImageError> {
        let rules = Arc::new(Rules::load(&self.shared.pool).await?);
        let PullRequest { reference, credentials, elevated, .. } = request;
        let (transport, health) = (&self.shared.transport, &self.shared.health);
        let places = Places::new(transport, &rules, health, *elevated, credentials, reference)?;
        let mut pulled = Vec::new();
        for tag in places.registry().tags().await? {
            let reference = format!("{}/{}:{tag}", reference.registry(), reference.repository()).parse()?;
            pulled.push(self.pull(owner, &PullRequest { reference, ..request.clone() }, tell).await?);
        }
        Ok(pulled)
    }
}

impl Pull<'_> {
    async fn run(&self, wanted: &Wanted) -> Result<Pulled, ImageError> {
        let mut served = Served::default();
        let (top, chosen) = self.resolve(wanted, &mut served).await?;
        fault::step(Step::PullResolved);
        let (raw, configuration) = self.configuration(&chosen, wanted, &mut served).await?;
        let diff_ids = configuration.rootfs.diff_ids;
        let layers = self.layers(&chosen.layers, &diff_ids)?;
        let id = chosen.config.digest;
        let mut unfinished = Unfinished(Some(self.images));
        // From here on the sweep leaves what is there, and what comes.
        let kept = diff_ids.iter().copied().chain([id, top.digest, chosen.manifest.digest]);
        let _lease = self.images.shared.leases.hold(kept).await;
        let packed = Fetch { pull: self, served: &mut served }.all(&layers).await?;
        let tags = if self.reference.digest().is_some() { Vec::new() } else { vec![self.reference.clone()] };
        let newer = self.leads_elsewhere(&id, &top.digest).await?;
        let mut documents = vec![chosen.manifest.bytes.clone()];
        if top.digest != chosen.manifest.digest {
            documents.push(top.bytes);
        }
        let provenance = Provenance {
            repository: repository(self.reference),
            digest: top.digest,
            manifest: chosen.manifest.digest,
            documents,
            packed,
        };
        let plan = checked(Plan { tags, raw, id, diff_ids })?;
        self.images.store_from(self.owner, vec![plan], Vec::new(), Some(provenance)).await?;
        unfinished.0 = None;
        // It is the team's now: what cannot be told about its way is no failure of the pull.
        if let Err(error) = self.note_served(served).await {
            tracing::error!(error = &error as &dyn std::error::Error, "what served a pull cannot be noted");
        }
        (self.tell)(PullEvent::Digest(top.digest));
        (self.tell)(PullEvent::Done { reference: self.reference.familiar(), newer });
        Ok(Pulled { id, digest: top.digest, newer })
    }

    /// What the name is, and of an index the image for the platform.
    async fn resolve(&self, wanted: &Wanted, served: &mut Served) -> Result<(Manifest, Chosen), ImageError> {
        let name = name(self.reference);
        let found = self.places.resolve(&name).await?;
        if found.unconfirmed {
            (self.tell)(PullEvent::Note(format!(
                "{} cannot be reached: what {} is, {} says",
                self.reference.registry(),
                self.reference.familiar(),
                found.endpoint
            )));
        }
        served.by(&found.endpoint, 0, 0);
        let top = found.manifest;
        let mut manifest = top.clone();
        for _ in 0..DEPTH_MAX {
            let read = document::read(&manifest.media_type, &manifest.bytes).map_err(|error| self.unreadable(error))?;
            match read {
                Read::Manifest { config, layers, .. } => {
                    let repository = self.reference.repository().to_owned();
                    let chosen = Chosen { config: *config, layers, manifest };
                    self.check(&chosen)?;
                    (self.tell)(PullEvent::From { repository, name });
                    return Ok((top, chosen));
                }
                Read::Index(offered) => {
                    let next = wanted
                        .choose(&offered)
                        .ok_or_else(|| ImageError::NoMatchingManifest { platform: wanted.to_string() })?;
                    let (fetched, endpoint) = self.places.manifest(&next.digest).await?;
                    served.by(&endpoint, 0, 0);
                    if fetched.bytes.len() as u64 != next.size {
                        return Err(self.unreadable(Unreadable::Wrong(format!(
                            "manifest {} has {} bytes and should have {}",
                            next.digest,
                            fetched.bytes.len(),
                            next.size
                        ))));
                    }
                    manifest = Manifest { media_type: next.media_type.clone(), ..fetched };
                }
            }
        }
        Err(self.unreadable(Unreadable::Wrong("its indexes are nested too deeply".to_owned())))
    }

    /// Only what is an image, and all of whose layers are where it is.
    fn check(&self, chosen: &Chosen) -> Result<(), ImageError> {
        let media_type = &chosen.config.media_type;
        if !CONFIGURATIONS.contains(&media_type.as_str()) {
            return Err(ImageError::NotAnImage {
                reference: self.reference.familiar(),
                media_type: media_type.chars().take(200).collect(),
            });
        }
        for layer in &chosen.layers {
            if layer.is_foreign() {
                let reason = format!("layer {} is foreign: its bytes are not in the registry", layer.digest);
                return Err(self.unreadable(Unreadable::Wrong(reason)));
            }
            if !LAYERS.iter().any(|known| layer.media_type.starts_with(known)) {
                return Err(ImageError::NotAnImage {
                    reference: self.reference.familiar(),
                    media_type: layer.media_type.chars().take(200).collect(),
                });
            }
        }
        Ok(())
    }

    async fn configuration(
        &self,
        chosen: &Chosen,
        wanted: &Wanted,
        served: &mut Served,
    ) -> Result<(String, ImageConfiguration), ImageError> {
        let Descriptor { digest, size, .. } = chosen.config;
        let (bytes, endpoint) = self.places.small_blob(&digest, size, CONFIG_BYTES).await?;
        served.by(&endpoint, 1, size);
        let raw = String::from_utf8(Bytes::into(bytes))
            .map_err(|_| ImageError::Configuration { reason: "it is not UTF-8".to_owned() })?;
        let configuration = ImageConfiguration::parse(raw.as_bytes())?;
        if !wanted.fits(&configuration.os, &configuration.architecture, &configuration.variant) || !wanted.runs_here() {
            return Err(ImageError::OtherPlatform {
                reference: self.reference.familiar(),
                wanted: if wanted.runs_here() { wanted.to_string() } else { Wanted::host().to_string() },
                actual: configuration.platform(),
            });
        }
        Ok((raw, configuration))
    }

    /// The layers with what each must hold, every packed one once.
    fn layers(&self, layers: &[Descriptor], diff_ids: &[Digest]) -> Result<Vec<(Descriptor, Digest)>, ImageError> {
        if layers.len() != diff_ids.len() || layers.len() > LAYERS_MAX {
            let (found, most) = (layers.len(), LAYERS_MAX);
            let reason = format!("it names {} layers, and the manifest {found} (at most {most})", diff_ids.len());
            return Err(ImageError::Configuration { reason });
        }
        let mut once: Vec<(Descriptor, Digest)> = Vec::new();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            match once.iter().find(|(known, _)| known.digest == layer.digest) {
                Some((known, expected)) if known.size != layer.size || expected != diff_id => {
                    let what = format!("layer {}", layer.digest);
                    return Err(ImageError::WrongDigest { what, expected: *expected, found: *diff_id });
                }
                Some(_) => {}
                None => once.push((layer.clone(), *diff_id)),
            }
        }
        Ok(once)
    }

    async fn leads_elsewhere(&self, id: &Digest, digest: &Digest) -> Result<bool, ImageError> {
        let pool = &self.images.shared.pool;
        let before = match self.reference.digest() {
            None => rows::by_reference(pool, self.owner.team_id, &self.reference.to_string()).await?.map(|row| row.id),
            Some(_) => {
                let mut connection = pool.acquire().await?;
                let known = store::digests(&mut connection, self.owner.team_id).await?.into_iter();
                let (repository, digest) = (repository(self.reference), digest.to_string());
                known.filter(|row| row.repository == repository && row.digest == digest).map(|row| row.image_id).next()
            }
        };
        Ok(before.as_deref() != Some(&id.to_string()))
    }

    async fn note_served(&self, served: Served) -> Result<(), ImageError> {
        let at = now_ns();
        for (endpoint, (blobs, bytes)) in served.all {
            let row = FetchRow {
                id: 0,
                at,
                reference: self.reference.familiar(),
                endpoint,
                blobs,
                bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            };
            fault::rows(Write::PullServed)?;
            store::insert_fetch(&self.images.shared.pool, self.owner.team_id, &row).await?;
        }
        Ok(())
    }

    fn unreadable(&self, error: Unreadable) -> ImageError {
        let reference = self.reference.familiar();
        match error {
            Unreadable::SchemaOne => ImageError::SchemaOne { reference },
            Unreadable::Wrong(reason) => ImageError::Manifest { reference, reason },
        }
    }
}

/// A pull that came to nothing leaves whole layers that nobody has: the next sweep is now.
struct Unfinished<'a>(Option<&'a Images>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(images) = self.0
            && tokio::runtime::Handle::try_current().is_ok()
        {
            images.sweep_later();
        }
    }
}

/// Who gave how much.
#[derive(Debug, Default)]
pub(super) struct Served {
    all: HashMap<String, (i64, u64)>,
}

impl Served {
    pub fn by(&mut self, endpoint: &str, blobs: i64, bytes: u64) {
        let entry = self.all.entry(endpoint.to_owned()).or_default();
        entry.0 += blobs;
        entry.1 += bytes;
    }
}

/// `docker.io/library/nginx`.
pub(super) fn repository(reference: &ImageReference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

/// What a registry is asked for: the digest, else the tag.
pub(super) fn name(reference: &ImageReference) -> String {
    match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    }
}
