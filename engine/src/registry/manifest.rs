//! Reading a manifest: media type and structure together, so that no two clients see different things in the same bytes
//! (CVE-2021-41190). Spec: OCI image-spec, manifest.md and image-index.md; Docker's schema 2.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::RegistryError;
use crate::digest::{Digest, DigestError};

/// Most bytes of a manifest. Spec: distribution-spec, "Pushing Manifests".
pub const MANIFEST_BYTES: usize = 4 << 20;
/// Media type of an OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an OCI image manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Longest media type.
const MEDIA_TYPE_MAX: usize = 255;

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A configuration and layers.
    Manifest,
    /// Other manifests.
    Index,
}

impl Kind {
    /// By its media type; `None`: none that is kept here.
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type {
            MANIFEST | DOCKER_MANIFEST => Some(Self::Manifest),
            INDEX | DOCKER_LIST => Some(Self::Index),
            _ => None,
        }
    }
}

/// What a manifest says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub media_type: String,
    /// Blobs that must be there, with their sizes.
    pub blobs: Vec<(Digest, u64)>,
    /// Manifests that must be there, with their sizes.
    pub manifests: Vec<(Digest, u64)>,
    pub subject: Option<Digest>,
    /// As lists of referrers show it.
    pub artifact_type: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: i64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    rest: HashMap<String, IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// Names that mean something; a client that minds no case would take `Layers` for `layers`.
const NAMES: [&str; 12] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
    "history",
    "signatures",
    "blobs",
];
/// Of these, what belongs to formats that are not kept here: schema 1 and the withdrawn artifact manifest.
const FOREIGN: [&str; 4] = ["fsLayers", "history", "signatures", "blobs"];

/// Reads and checks a manifest that came with `content_type`.
pub(crate) fn check(content_type: Option<&str>, bytes: &[u8]) -> Result<Checked, RegistryError> {
    if bytes.len() > MANIFEST_BYTES {
        return Err(RegistryError::ManifestTooLarge { limit: MANIFEST_BYTES });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    let media_type = media_type(content_type, &document)?;
    let kind = Kind::of(&media_type).ok_or_else(|| {
        invalid(format!(
            "its media type {media_type:?} is none of the OCI manifest, OCI index, Docker manifest and Docker list"
        ))
    })?;
    check_structure(kind, &media_type, &document)?;
    let mut checked = Checked {
        artifact_type: artifact_type(kind, &document),
        subject: document.subject.as_ref().map(|subject| digest("subject", subject)).transpose()?,
        annotations: document.annotations.unwrap_or_default(),
        media_type,
        blobs: Vec::new(),
        manifests: Vec::new(),
    };
    if let Some(config) = &document.config {
        checked.blobs.push((digest("config", config)?, config.size));
    }
    for layer in document.layers.iter().flatten().filter(|layer| !is_elsewhere(&layer.media_type)) {
        checked.blobs.push((digest("layers", layer)?, layer.size));
    }
    for manifest in document.manifests.iter().flatten() {
        checked.manifests.push((digest("manifests", manifest)?, manifest.size));
    }
    Ok(checked)
}

/// The type that the client says, without parameters, and the manifest's own must be one.
fn media_type(content_type: Option<&str>, document: &Document) -> Result<String, RegistryError> {
    let said =
        content_type.map(|text| text.split(';').next().unwrap_or_default().trim()).filter(|text| !text.is_empty());
    let media_type = match (said, document.media_type.as_deref()) {
        (Some(said), Some(own)) if said != own => {
            return Err(invalid(format!("it was sent as {said:?} and calls itself {own:?}")));
        }
        (Some(said), _) => said,
        (None, Some(own)) => own,
        (None, None) => return Err(invalid("neither Content-Type nor mediaType says what it is".to_owned())),
    };
    match media_type.len() <= MEDIA_TYPE_MAX {
        true => Ok(media_type.to_owned()),
        false => Err(invalid("its media type is too long".to_owned())),
    }
}

fn check_structure(kind: Kind, media_type: &str, document: &Document) -> Result<(), RegistryError> {
    let refuse = |reason: &str| Err(invalid(reason.to_owned()));
    if document.schema_version != 2 {
        return refuse("schemaVersion must be 2");
    }
    for name in document.rest.keys() {
        if FOREIGN.contains(&name.as_str()) {
            return Err(invalid(format!("{name:?} does not belong into it")));
        }
        if let Some(known) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            return Err(invalid(format!("{name:?} could be taken for {known:?}")));
        }
    }
    // Docker's formats have always had it; without, the same bytes could be an OCI manifest.
    if document.media_type.is_none() && media_type.starts_with("application/vnd.docker.") {
        return refuse("a Docker manifest must have a mediaType");
    }
    let (config, layers, manifests) =
        (document.config.is_some(), document.layers.is_some(), document.manifests.is_some());
    match kind {
        Kind::Manifest if manifests => refuse("an image manifest cannot have manifests"),
        Kind::Manifest if !config => refuse("an image manifest must have a config"),
        Kind::Manifest if !layers => refuse("an image manifest must have layers"),
        Kind::Index if config || layers => refuse("an index cannot have config or layers"),
        Kind::Index if !manifests => refuse("an index must have manifests"),
        _ => Ok(()),
    }
}

/// Of the manifest, else its configuration's media type; an index has no configuration.
fn artifact_type(kind: Kind, document: &Document) -> Option<String> {
    let own = document.artifact_type.clone().filter(|text| !text.is_empty());
    match kind {
        Kind::Index => own,
        Kind::Manifest => own.or_else(|| document.config.as_ref().map(|config| config.media_type.clone())),
    }
}

/// Layers that registries must not give out lie where their URLs say.
fn is_elsewhere(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

fn digest(what: &str, descriptor: &Descriptor) -> Result<Digest, RegistryError> {
    descriptor
        .digest
        .parse()
        .map_err(|error: DigestError| RegistryError::DescriptorDigest { reason: format!("{what}: {error}") })
}

fn invalid(reason: String) -> RegistryError {
    RegistryError::ManifestInvalid { reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn descriptor(of: &[u8]) -> Value {
        json!({ "mediaType": "application/x", "digest": Digest::of(of).to_string(), "size": of.len() })
    }

    fn manifest() -> Value {
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(b"{}"), "layers": [descriptor(b"a")] })
    }

    fn index() -> Value {
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(b"m")] })
    }

    fn read(content_type: Option<&str>, document: &Value) -> Result<Checked, String> {
        check(content_type, document.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_manifest_needs_is_read() {
        let checked = read(Some(MANIFEST), &manifest()).unwrap();
        assert_eq!(checked.blobs, [(Digest::of(b"{}"), 2), (Digest::of(b"a"), 1)]);
        assert_eq!(checked.artifact_type.as_deref(), Some("application/x"));
        let checked = read(Some(&format!("{INDEX}; charset=utf-8")), &index()).unwrap();
        assert_eq!((checked.manifests.len(), checked.blobs.len(), checked.artifact_type), (1, 0, None));
    }

    #[test]
    fn type_and_structure_must_be_of_one_mind() {
        let both = |mut document: Value, more: Value| {
            document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            document
        };
        let mut untyped = manifest();
        untyped.as_object_mut().unwrap().remove("mediaType");
        for (content_type, document) in [
            (Some(INDEX), manifest()),
            (Some(MANIFEST), index()),
            (Some(MANIFEST), both(manifest(), json!({ "manifests": [] }))),
            (Some(INDEX), both(index(), json!({ "layers": [] }))),
            (Some(INDEX), both(index(), json!({ "config": descriptor(b"{}") }))),
            (Some(MANIFEST), both(manifest(), json!({ "Manifests": [descriptor(b"m")] }))),
            (Some(INDEX), both(index(), json!({ "LAYERS": [] }))),
            (Some(MANIFEST), both(manifest(), json!({ "fsLayers": [] }))),
            (Some(MANIFEST), json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(b"{}") })),
            (
                Some(MANIFEST),
                json!({ "schemaVersion": 1, "mediaType": MANIFEST, "config": descriptor(b"{}"), "layers": [] }),
            ),
            (Some(DOCKER_MANIFEST), untyped.clone()),
            (Some("application/vnd.docker.distribution.manifest.v1+prettyjws"), manifest()),
            (Some("application/json"), untyped.clone()),
            (None, untyped.clone()),
        ] {
            assert!(read(content_type, &document).is_err(), "{content_type:?} {document}");
        }
        assert!(read(None, &manifest()).is_ok());
        assert!(read(Some(MANIFEST), &untyped).is_ok());
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let twice = format!(r#"{{"schemaVersion":2,"layers":[],"layers":[],"config":{}}}"#, descriptor(b"{}"));
        assert!(check(Some(MANIFEST), twice.as_bytes()).unwrap_err().to_string().contains("duplicate"));
    }

    #[test]
    fn other_digests_are_refused_with_their_name() {
        let mut document = manifest();
        document["layers"][0]["digest"] = format!("sha512:{}", "a".repeat(128)).into();
        let error = read(Some(MANIFEST), &document).unwrap_err();
        assert!(error.contains("layers") && error.contains("sha512"), "{error}");
    }

    #[test]
    fn layers_that_lie_elsewhere_need_not_be_here() {
        let mut document = manifest();
        document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
        assert_eq!(read(Some(MANIFEST), &document).unwrap().blobs.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_panic(bytes: Vec<u8>, text: String) {
            let _ = check(Some(MANIFEST), &bytes);
            let _ = check(None, text.as_bytes());
        }
    }
}
