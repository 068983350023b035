//! Bringing once more what the disk damaged, from where an image came from or went to.
//!
//! It is asked as its team would ask: with the team's name there, and no further than a team may reach. Bytes are what
//! they are named by, or they are not taken.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::document::{self, Descriptor, Read, Unreadable};
use super::fetch::from_places;
use super::flights::Stage;
use super::plan::Wanted;
use super::pull::name;
use super::{ImageError, LAYERS_MAX};
use crate::content::{ContentError, ContentStore};
use crate::digest::Digest;
use crate::layers::{LayerStore, NewLayer};
use crate::reference::ImageReference;
use crate::upstream::{Credentials, Health, MANIFEST_BYTES, Manifest, Places, Rules, Transport, UpstreamError};

/// Indexes within indexes.
const DEPTH_MAX: usize = 4;

/// Where a team got an image, or gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub team_id: i64,
    /// By the digest of its manifest, or by a name that may lead elsewhere by now.
    pub reference: ImageReference,
    /// The image.
    pub image_id: Digest,
}

/// Asks other registries on behalf of teams.
#[derive(Debug)]
pub(crate) struct Refetch {
    pub transport: Transport,
    pub rules: Arc<Rules>,
    /// Names of teams at registries.
    pub credentials: Vec<(i64, String, Credentials)>,
    pub content: ContentStore,
    pub layers: LayerStore,
}

impl Refetch {
    /// A manifest or an index that was kept.
    pub async fn document(&self, origin: &Origin, digest: &Digest) -> Result<Bytes, ImageError> {
        Ok(self.places(origin)?.manifest(digest).await?.0.bytes)
    }

    /// A configuration or a packed layer, put into the store; false: the image does not have it.
    pub async fn blob(&self, origin: &Origin, digest: &Digest) -> Result<bool, ImageError> {
        let places = self.places(origin)?;
        let (config, layers) = self.parts(origin, &places).await?;
        let Some(wanted) = layers.iter().chain([&config]).find(|part| part.digest == *digest) else { return Ok(false) };
        let mut last = None;
        for place in places.in_order() {
            let mut stream = place.blob(digest, wanted.size);
            let mut ingest = self.content.begin()?;
            let outcome = loop {
                match stream.next().await {
                    Ok(Some(piece)) => ingest.write(&piece)?,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let another = places.judge(&place, &outcome);
            match outcome.map(|()| ingest.commit(digest, Some(wanted.size))) {
                Ok(Ok(())) => return Ok(true),
                Ok(Err(error @ ContentError::Io { .. })) => return Err(error.into()),
                Ok(Err(error)) => last = Some(error.into()),
                Err(error) if !another => return Err(error.into()),
                Err(error) => last = Some(error.into()),
            }
        }
        Err(last.unwrap_or_else(nowhere))
    }

    /// A layer, in a folder of its own; none: the image does not have it. `diff_ids`: the image's, bottom to top.
    pub async fn layer(
        &self,
        origin: &Origin,
        diff_ids: &[Digest],
        diff_id: &Digest,
    ) -> Result<Option<NewLayer>, ImageError> {
        let places = self.places(origin)?;
        let (_, layers) = self.parts(origin, &places).await?;
        let wanted = diff_ids.iter().zip(&layers).find(|(other, _)| *other == diff_id).map(|(_, layer)| layer);
        let Some(wanted) = wanted.filter(|_| layers.len() == diff_ids.len() && layers.len() <= LAYERS_MAX) else {
            return Ok(None);
        };
        let (stage, _told) = watch::channel(Stage::Coming(0));
        let (layer, _) = from_places(&self.layers, &places, wanted.digest, wanted.size, &stage).await?;
        match layer.diff_id == *diff_id {
            true => Ok(Some(layer)),
            false => {
                let what = format!("layer {}", wanted.digest);
                Err(ImageError::WrongDigest { what, expected: *diff_id, found: layer.diff_id })
            }
        }
    }

    fn places(&self, origin: &Origin) -> Result<Places, UpstreamError> {
        let registry = origin.reference.registry();
        let known = self.credentials.iter().find(|(team, at, _)| *team == origin.team_id && at == registry);
        let credentials = known.map_or(Credentials::Anonymous, |(.., credentials)| credentials.clone());
        Places::new(&self.transport, &self.rules, &Health::default(), false, &credentials, &origin.reference)
    }

    /// Configuration and layers of the image by its manifest: the one that was kept, or what the registry has.
    async fn parts(&self, origin: &Origin, places: &Places) -> Result<(Descriptor, Vec<Descriptor>), ImageError> {
        let unreadable = |error: Unreadable| {
            let reason = match error {
                Unreadable::SchemaOne => "it is of the first schema".to_owned(),
                Unreadable::Wrong(reason) => reason,
            };
            ImageError::Manifest { reference: origin.reference.familiar(), reason }
        };
        let mut manifest = match origin.reference.digest().and_then(|digest| self.kept(&digest)) {
            Some(kept) => kept,
            None => places.resolve(&name(&origin.reference)).await?.manifest,
        };
        for _ in 0..DEPTH_MAX {
            match document::read(&manifest.media_type, &manifest.bytes).map_err(unreadable)? {
                Read::Manifest { config, layers, .. } if config.digest == origin.image_id => {
                    return Ok((*config, layers));
                }
                Read::Manifest { .. } => break,
                Read::Index(offered) => {
                    let Some(next) = Wanted::host().choose(&offered) else { break };
                    let fetched = places.manifest(&next.digest).await?.0;
                    manifest = Manifest { media_type: next.media_type.clone(), ..fetched };
                }
            }
        }
        Err(unreadable(Unreadable::Wrong("the name leads to another image by now".to_owned())))
    }

    fn kept(&self, digest: &Digest) -> Option<Manifest> {
        let bytes = self.content.read_blob(digest, MANIFEST_BYTES as u64).ok()?;
        // What it is, it says itself; OCI manifests need not.
        let own = serde_json::from_slice::<serde_json::Value>(&bytes).ok()?;
        let media_type = own["mediaType"].as_str().unwrap_or(document::MANIFESTS[0]).to_owned();
        Some(Manifest { media_type, digest: *digest, bytes: bytes.into() })
    }
}

fn nowhere() -> ImageError {
    UpstreamError::Setting { reason: "there is no place to ask".to_owned() }.into()
}
