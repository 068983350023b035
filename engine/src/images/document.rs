//! Manifests and indexes of images, read with suspicion: structure and media type are checked together
//! (CVE-2021-41190). Spec: OCI image-spec, manifest.md and image-index.md; Docker's image manifest version 2, schema 2.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::digest::Digest;

/// Media types of indexes.
pub(super) const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// Media types of manifests.
pub(super) const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// Media types of the configuration of a container image.
pub(super) const CONFIGURATIONS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// What media types of layers begin with.
pub(super) const LAYERS: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.",
];
/// The key of an annotation by which BuildKit marks attestations within an index.
const ATTESTS: &str = "vnd.docker.reference.type";

/// Points to a blob. Spec: OCI image-spec, descriptor.md.
#[derive(Debug, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub urls: Option<Vec<String>>,
}

/// What an image runs on.
#[derive(Debug, Deserialize, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default)]
    pub variant: Option<String>,
}

/// An index or a manifest: which one it is, its fields say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub schema_version: u64,
    #[serde(default)]
    pub media_type: Option<String>,
    #[serde(default)]
    pub manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub config: Option<Descriptor>,
    #[serde(default)]
    pub layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub fs_layers: Option<IgnoredAny>,
}

/// A document that is one thing.
#[derive(Debug, Clone)]
pub(super) enum Read {
    /// Images for several platforms.
    Index(Vec<Descriptor>),
    /// One image, or something that is none.
    Manifest { media_type: String, config: Box<Descriptor>, layers: Vec<Descriptor> },
}

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Of a time before digests of configurations.
    SchemaOne,
    /// What is wrong with it.
    Wrong(String),
}

/// Reads a document that came under a media type.
pub(super) fn read(told: &str, bytes: &[u8]) -> Result<Read, Unreadable> {
    let wrong = |reason: String| Err(Unreadable::Wrong(reason));
    if told.starts_with("application/vnd.docker.distribution.manifest.v1+") {
        return Err(Unreadable::SchemaOne);
    }
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| Unreadable::Wrong(format!("it does not read: {error}")))?;
    if document.schema_version == 1 {
        return Err(Unreadable::SchemaOne);
    }
    let known = |media_type: &str| INDEXES.contains(&media_type) || MANIFESTS.contains(&media_type);
    let media_type = match document.media_type.as_deref() {
        Some(own) if known(told) && own != told => {
            return wrong(format!("it came as {told:?} and calls itself {own:?}"));
        }
        Some(own) => own.to_owned(),
        None => told.to_owned(),
    };
    match document {
        Document {
            schema_version: 2, manifests: Some(manifests), config: None, layers: None, fs_layers: None, ..
        } if INDEXES.contains(&media_type.as_str()) => Ok(Read::Index(manifests)),
        Document {
            schema_version: 2,
            manifests: None,
            config: Some(config),
            layers: Some(layers),
            fs_layers: None,
            ..
        } if MANIFESTS.contains(&media_type.as_str()) => {
            Ok(Read::Manifest { media_type, config: Box::new(config), layers })
        }
        _ if known(&media_type) => wrong(format!("it is not what its media type {media_type:?} says")),
        _ => wrong(format!("unsupported media type {media_type:?}")),
    }
}

impl Descriptor {
    /// It says something about another image of the index and is none itself.
    pub fn attests(&self) -> bool {
        self.annotations.as_ref().is_some_and(|all| all.contains_key(ATTESTS))
    }

    /// Its bytes lie elsewhere, and not every registry has them.
    pub fn is_foreign(&self) -> bool {
        self.media_type.contains(".nondistributable.")
            || self.media_type.contains(".foreign.")
            || self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(b""), "size": 0})
    }

    fn manifest(media_type: Option<&str>) -> Value {
        let mut whole = json!({"schemaVersion": 2, "config": descriptor(CONFIGURATIONS[0]), "layers": []});
        if let Some(media_type) = media_type {
            whole["mediaType"] = json!(media_type);
        }
        whole
    }

    fn of(told: &str, value: &Value) -> Result<Read, Unreadable> {
        read(told, value.to_string().as_bytes())
    }

    #[test]
    fn a_document_is_what_its_media_type_says_or_nothing() {
        let index = json!({"schemaVersion": 2, "manifests": []});
        assert!(matches!(of(INDEXES[0], &index), Ok(Read::Index(_))));
        assert!(matches!(of(MANIFESTS[0], &manifest(None)), Ok(Read::Manifest { .. })));
        assert!(matches!(of("application/json", &manifest(Some(MANIFESTS[1]))), Ok(Read::Manifest { .. })));
        let mut both = manifest(None);
        both["manifests"] = json!([]);
        for (told, document) in [
            (MANIFESTS[0], index.clone()),
            (INDEXES[0], manifest(None)),
            (MANIFESTS[0], manifest(Some(INDEXES[0]))),
            (MANIFESTS[0], manifest(Some(MANIFESTS[1]))),
            (MANIFESTS[0], both.clone()),
            (INDEXES[0], both),
            ("text/html", manifest(None)),
            (MANIFESTS[0], json!([])),
        ] {
            assert!(matches!(of(told, &document), Err(Unreadable::Wrong(_))), "{told} {document}");
        }
    }

    #[test]
    fn schema_one_is_known_and_refused() {
        let old = json!({"schemaVersion": 1, "fsLayers": [], "history": []});
        assert_eq!(
            of("application/vnd.docker.distribution.manifest.v1+prettyjws", &old).unwrap_err(),
            Unreadable::SchemaOne
        );
        assert_eq!(of("application/json", &old).unwrap_err(), Unreadable::SchemaOne);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(told in "[a-z/.+]{0,40}", bytes: Vec<u8>) {
            let _ = read(&told, &bytes);
        }
    }
}
