//! An OCI image layout as an archive: index.json, blobs by digest. Spec: OCI image-spec, image-layout.md.
//!
//! Structure and media type are checked together, digest and size of every blob against its descriptor.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::archive::Archive;
use super::document::{CONFIGURATIONS, Descriptor, Document, INDEXES, LAYERS, MANIFESTS, Platform};
use super::plan::{Plan, runs, wrong_platform};
use super::tag::taggable;
use super::{ImageConfiguration, ImageError};
use crate::digest::Digest;
use crate::reference::ImageReference;

/// The file that makes an archive one of these.
pub(super) const INDEX: &str = "index.json";
/// Indexes within indexes.
const DEPTH_MAX: usize = 4;
/// Manifests looked at.
const MANIFESTS_MAX: usize = 1_000;

/// A manifest that may be the wanted one.
struct Candidate {
    config: Descriptor,
    layers: Vec<Descriptor>,
    platform: (String, String, String),
}

/// Finds the images of a layout: for each name in index.json the one for this host.
pub(super) fn plan(archive: &mut Archive) -> Result<Vec<Plan>, ImageError> {
    let top: Document = parse(INDEX, &archive.text(INDEX)?.bytes)?;
    let descriptors = index(INDEX, top)?;
    let mut groups: BTreeMap<Option<String>, Vec<Descriptor>> = BTreeMap::new();
    for descriptor in descriptors {
        groups.entry(name(&descriptor)).or_default().push(descriptor);
    }
    let mut plans = Vec::new();
    for (name, descriptors) in groups {
        let mut candidates = Vec::new();
        collect(archive, &descriptors, 0, &mut candidates)?;
        let offered = candidates.iter().map(|candidate| shown(&candidate.platform)).collect();
        let wanted = candidates.into_iter().find(|candidate| runs(&candidate.platform.0, &candidate.platform.1));
        let wanted = wanted.ok_or_else(|| wrong_platform(offered))?;
        let tags = name.as_deref().map(reference).transpose()?.flatten().into_iter().collect();
        plans.push(image(archive, wanted, tags)?);
    }
    match plans.is_empty() {
        true => Err(ImageError::Archive { reason: format!("{INDEX} lists no image") }),
        false => Ok(plans),
    }
}

/// The name that a tool wrote beside a descriptor: containerd's is whole, OCI's may be a tag alone.
fn name(descriptor: &Descriptor) -> Option<String> {
    let annotations = descriptor.annotations.as_ref()?;
    ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
        .iter()
        .find_map(|key| annotations.get(*key))
        .cloned()
}

/// A reference, unless it is a tag without a repository, which names nothing here.
fn reference(name: &str) -> Result<Option<ImageReference>, ImageError> {
    if name.contains([':', '/']) { taggable(name).map(Some) } else { Ok(None) }
}

/// All image manifests beneath some descriptors. Attestations and other artifacts are passed over.
fn collect(archive: &Archive, from: &[Descriptor], depth: usize, found: &mut Vec<Candidate>) -> Result<(), ImageError> {
    if depth > DEPTH_MAX || found.len() + from.len() > MANIFESTS_MAX {
        return Err(ImageError::Archive { reason: "indexes are nested too deeply or list too much".to_owned() });
    }
    for descriptor in from {
        let place = place(&descriptor.digest);
        if descriptor.attests() {
            continue;
        }
        // Siblings for other platforms need not be in the archive.
        let foreign = descriptor.platform.as_ref().filter(|platform| !runs(&platform.os, &platform.architecture));
        if let Some(platform) = foreign.filter(|_| !archive.has(&place)) {
            found.push(absent(descriptor, platform));
            continue;
        }
        if INDEXES.contains(&descriptor.media_type.as_str()) {
            let nested = index(&place, document(archive, descriptor)?)?;
            collect(archive, &nested, depth + 1, found)?;
        } else if MANIFESTS.contains(&descriptor.media_type.as_str()) {
            found.push(manifest(archive, descriptor, document(archive, descriptor)?)?);
        } else {
            return Err(ImageError::Archive {
                reason: format!("{place} has media type {:?}, which is no image", descriptor.media_type),
            });
        }
    }
    Ok(())
}

/// Stands for a manifest that is not there: only its platform is of interest.
fn absent(descriptor: &Descriptor, platform: &Platform) -> Candidate {
    Candidate { config: descriptor.clone(), layers: Vec::new(), platform: words(platform) }
}

fn index(place: &str, document: Document) -> Result<Vec<Descriptor>, ImageError> {
    let Document {
        schema_version: 2,
        manifests: Some(manifests),
        config: None,
        layers: None,
        fs_layers: None,
        media_type,
    } = document
    else {
        return Err(ImageError::Archive { reason: format!("{place} is no index") });
    };
    match media_type.filter(|given| !INDEXES.contains(&given.as_str())) {
        Some(given) => Err(ImageError::Archive { reason: format!("{place} calls itself {given:?} and is an index") }),
        None => Ok(manifests),
    }
}

fn manifest(archive: &Archive, descriptor: &Descriptor, document: Document) -> Result<Candidate, ImageError> {
    let place = place(&descriptor.digest);
    let refuse = |reason: &str| ImageError::Archive { reason: format!("{place} {reason}") };
    let Document {
        schema_version: 2,
        manifests: None,
        config: Some(config),
        layers: Some(layers),
        fs_layers: None,
        ..
    } = document
    else {
        return Err(refuse("is no manifest"));
    };
    if !CONFIGURATIONS.contains(&config.media_type.as_str()) {
        return Err(refuse("is not of a container image"));
    }
    if layers.iter().any(|layer| !LAYERS.iter().any(|known| layer.media_type.starts_with(known))) {
        return Err(refuse("has layers of an unknown media type"));
    }
    let platform = match &descriptor.platform {
        Some(platform) => words(platform),
        None => {
            let configuration = ImageConfiguration::parse(&blob(archive, &config)?)?;
            (configuration.os, configuration.architecture, configuration.variant)
        }
    };
    Ok(Candidate { config, layers, platform })
}

fn image(archive: &mut Archive, candidate: Candidate, tags: Vec<ImageReference>) -> Result<Plan, ImageError> {
    let raw = String::from_utf8(blob(archive, &candidate.config)?)
        .map_err(|_| ImageError::Configuration { reason: "it is not UTF-8".to_owned() })?;
    let mut diff_ids = Vec::new();
    for descriptor in &candidate.layers {
        let place = place(&descriptor.digest);
        let layer = archive.layer(&place)?;
        check(&place, descriptor, layer.blob, layer.blob_bytes)?;
        diff_ids.push(layer.diff_id);
    }
    Ok(Plan { tags, raw, id: candidate.config.digest, diff_ids })
}

/// An index or a manifest whose own media type, if it gives one, is that of its descriptor.
fn document(archive: &Archive, descriptor: &Descriptor) -> Result<Document, ImageError> {
    let place = place(&descriptor.digest);
    let document: Document = parse(&place, &blob(archive, descriptor)?)?;
    match document.media_type.as_ref().filter(|given| **given != descriptor.media_type) {
        Some(given) => {
            Err(ImageError::Archive { reason: format!("{place} is {given:?} and not {:?}", descriptor.media_type) })
        }
        None => Ok(document),
    }
}

fn blob(archive: &Archive, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let place = place(&descriptor.digest);
    let text = archive.text(&place)?;
    check(&place, descriptor, text.digest, text.bytes.len() as u64)?;
    Ok(text.bytes.clone())
}

fn check(place: &str, descriptor: &Descriptor, digest: Digest, size: u64) -> Result<(), ImageError> {
    if digest != descriptor.digest {
        return Err(ImageError::WrongDigest { what: place.to_owned(), expected: descriptor.digest, found: digest });
    }
    if size != descriptor.size {
        return Err(ImageError::Archive {
            reason: format!("{place} has {size} bytes and should have {}", descriptor.size),
        });
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Archive { reason: format!("{place} does not read: {error}") })
}

fn place(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn words(platform: &Platform) -> (String, String, String) {
    (platform.os.clone(), platform.architecture.clone(), platform.variant.clone().unwrap_or_default())
}

fn shown((os, architecture, variant): &(String, String, String)) -> String {
    let variant = if variant.is_empty() { String::new() } else { format!("/{variant}") };
    format!("{os}/{architecture}{variant}")
}
