//! An image whose manifest, configuration and packed layers lie in the store already: what a repository of the registry
//! inside has becomes an image of a team, without a request and without a copy.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;

use super::document::{self, CONFIGURATIONS, Descriptor, LAYERS, Read};
use super::handle::{Shared, joining};
use super::load::checked;
use super::plan::{Plan, Wanted};
use super::provenance::{Packed, Provenance};
use super::pull::{LayerStep, PullEvent, Pulled, Tell, repository};
use super::{ImageConfiguration, ImageError, Images, LAYERS_MAX, Side};
use crate::digest::Digest;
use crate::layers::NewLayer;
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::{images as rows, upstream as store};

/// Bytes read at once.
const PIECE: usize = 512 << 10;

/// A manifest or an index as it lies there.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Bytes,
}

/// Which manifest of an index a team wants, or which blobs a manifest needs.
pub(crate) enum Next {
    /// The manifest of an index for the platform.
    Manifest(Digest),
    /// The configuration, then the layers, bottom to top.
    Blobs(Digest, Vec<Digest>),
}

/// All of one image, open.
pub(crate) struct Kept {
    pub reference: ImageReference,
    /// What the name led to.
    pub top: Document,
    /// The image's own manifest; the same where there is no index.
    pub manifest: Document,
    pub configuration: Vec<u8>,
    /// The layers' packed bytes, bottom to top.
    pub layers: Vec<File>,
}

impl Images {
    /// What of a document is needed next.
    ///
    /// # Errors
    /// [`ImageError::NoMatchingManifest`], [`ImageError::NotAnImage`], [`ImageError::Manifest`].
    pub(crate) fn next_of(
        reference: &ImageReference,
        document: &Document,
        platform: Option<&str>,
    ) -> Result<Next, ImageError> {
        match read(reference, document)? {
            Read::Index(offered) => {
                let wanted = Wanted::parse(platform)?;
                let chosen = wanted.choose(&offered);
                let chosen = chosen.ok_or_else(|| ImageError::NoMatchingManifest { platform: wanted.to_string() })?;
                Ok(Next::Manifest(chosen.digest))
            }
            Read::Manifest { config, layers, .. } => {
                let known = |layer: &&Descriptor| LAYERS.iter().any(|known| layer.media_type.starts_with(known));
                let other = Some(&*config).filter(|config| !CONFIGURATIONS.contains(&config.media_type.as_str()));
                let other = other.or_else(|| layers.iter().find(|layer| !known(layer) || layer.is_foreign()));
                if let Some(other) = other {
                    let media_type = other.media_type.chars().take(200).collect();
                    return Err(ImageError::NotAnImage { reference: reference.familiar(), media_type });
                }
                Ok(Next::Blobs(config.digest, layers.iter().map(|layer| layer.digest).collect()))
            }
        }
    }

    /// Makes it an image of the team. A layer that is unpacked already is taken as it is only if these very bytes were
    /// once seen to hold it: what a configuration says about its layers proves nothing.
    ///
    /// # Errors
    /// [`ImageError`]; nothing is left then.
    pub(crate) async fn take(
        &self,
        owner: &Owner,
        kept: Kept,
        platform: Option<&str>,
        tell: Tell<'_>,
    ) -> Result<Pulled, ImageError> {
        let Kept { reference, top, manifest, configuration, layers: files } = kept;
        let Read::Manifest { config, layers, .. } = read(&reference, &manifest)? else {
            let reason = "an index leads to another index".to_owned();
            return Err(ImageError::Manifest { reference: reference.familiar(), reason });
        };
        let name = reference.digest().map_or_else(|| reference.tag().unwrap_or("latest").to_owned(), |d| d.to_string());
        tell(PullEvent::From { repository: reference.repository().to_owned(), name });
        let raw = String::from_utf8(configuration)
            .map_err(|_| ImageError::Configuration { reason: "it is not UTF-8".to_owned() })?;
        let parsed = ImageConfiguration::parse(raw.as_bytes())?;
        let wanted = Wanted::parse(platform)?;
        if !wanted.fits(&parsed.os, &parsed.architecture, &parsed.variant) || !wanted.runs_here() {
            return Err(ImageError::OtherPlatform {
                reference: reference.familiar(),
                wanted: wanted.to_string(),
                actual: parsed.platform(),
            });
        }
        let diff_ids = parsed.rootfs.diff_ids;
        if layers.len() != diff_ids.len() || layers.len() > LAYERS_MAX {
            let (found, most) = (layers.len(), LAYERS_MAX);
            let reason = format!("it names {} layers, and the manifest {found} (at most {most})", diff_ids.len());
            return Err(ImageError::Configuration { reason });
        }
        let held = diff_ids.iter().copied().chain([config.digest, top.digest, manifest.digest]);
        let _lease = self.shared.leases.hold(held).await;
        let (mut new, mut packed, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for ((layer, diff_id), file) in layers.iter().zip(&diff_ids).zip(files) {
            let say = |step| tell(PullEvent::Layer { digest: layer.digest, step });
            if !seen.insert(layer.digest) || self.is_unpacked_from(&layer.digest, diff_id).await? {
                say(LayerStep::Exists);
                continue;
            }
            say(LayerStep::Found);
            let taken = unpack(self.shared.clone(), file).await?;
            for (expected, found) in [(layer.digest, taken.blob), (*diff_id, taken.diff_id)] {
                if expected != found {
                    let what = format!("layer {}", layer.digest);
                    return Err(ImageError::WrongDigest { what, expected, found });
                }
            }
            say(LayerStep::Complete);
            let (digest, size, media_type) = (layer.digest, layer.size, layer.media_type.clone());
            packed.push(Packed { digest, diff_id: *diff_id, size, media_type, origin: None });
            new.push(taken);
        }
        let before = rows::by_reference(&self.shared.pool, owner.team_id, &reference.to_string()).await?;
        let newer = before.is_none_or(|row| row.id != config.digest.to_string());
        let mut documents = vec![manifest.bytes.clone()];
        if top.digest != manifest.digest {
            documents.push(top.bytes.clone());
        }
        let provenance = Provenance {
            repository: repository(&reference),
            digest: top.digest,
            manifest: manifest.digest,
            documents,
            packed,
        };
        let tags = if reference.digest().is_some() { Vec::new() } else { vec![reference.clone()] };
        let plan = checked(Plan { tags, raw, id: config.digest, diff_ids })?;
        self.store_from(owner, vec![plan], new, Some(provenance)).await?;
        tell(PullEvent::Digest(top.digest));
        tell(PullEvent::Done { reference: reference.familiar(), newer });
        Ok(Pulled { id: config.digest, digest: top.digest, newer })
    }

    /// An image of a repository, to be compared, whose layers are all unpacked from these very bytes.
    ///
    /// # Errors
    /// [`ImageError::NotUnpacked`], [`ImageError::Configuration`].
    pub(crate) async fn side(
        &self,
        reference: &ImageReference,
        configuration: &[u8],
        layers: &[Digest],
    ) -> Result<Side, ImageError> {
        let configuration = ImageConfiguration::parse(configuration)?;
        let diff_ids = configuration.rootfs.diff_ids.clone();
        if layers.len() != diff_ids.len() || layers.len() > LAYERS_MAX {
            let (found, most) = (layers.len(), LAYERS_MAX);
            let reason = format!("it names {} layers, and the manifest {found} (at most {most})", diff_ids.len());
            return Err(ImageError::Configuration { reason });
        }
        for (layer, diff_id) in layers.iter().zip(&diff_ids) {
            if !self.is_unpacked_from(layer, diff_id).await? {
                return Err(ImageError::NotUnpacked { reference: reference.familiar(), layer: *layer });
            }
        }
        Ok(Side { configuration, diff_ids })
    }

    async fn is_unpacked_from(&self, layer: &Digest, diff_id: &Digest) -> Result<bool, ImageError> {
        if !self.shared.layers.contains(diff_id) {
            return Ok(false);
        }
        if layer == diff_id {
            return Ok(true);
        }
        let known = store::packed(&self.shared.pool, &layer.to_string()).await?;
        Ok(known.is_some_and(|known| known.diff_id == diff_id.to_string()))
    }
}

fn read(reference: &ImageReference, document: &Document) -> Result<Read, ImageError> {
    document::read(&document.media_type, &document.bytes).map_err(|_| ImageError::Manifest {
        reference: reference.familiar(),
        reason: format!("{} is no manifest of an image", document.digest),
    })
}

/// A layer from its packed bytes.
async fn unpack(shared: Arc<Shared>, mut file: File) -> Result<NewLayer, ImageError> {
    let failed = |source| ImageError::Root { source };
    let work = move || {
        let mut ingest = shared.layers.begin().map_err(failed)?;
        loop {
            let mut piece = vec![0; PIECE];
            let count = file.read(&mut piece).map_err(|source| ImageError::Read { source })?;
            if count == 0 {
                return ingest.finish().map_err(failed)?.wait().map_err(failed);
            }
            piece.truncate(count);
            ingest.write(Bytes::from(piece)).map_err(failed)?;
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(joining)?
}
