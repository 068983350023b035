//! What an archive promises: images with their names, configurations and layers.

use super::ImageError;
use crate::digest::Digest;
use crate::reference::ImageReference;

/// One image of an archive, everything found and verified but for what its configuration says about its layers.
#[derive(Debug)]
pub(super) struct Plan {
    /// Names to give it.
    pub tags: Vec<ImageReference>,
    /// Its configuration as it came.
    pub raw: String,
    /// The configuration's digest.
    pub id: Digest,
    /// Diff ids of the layers that came for it, bottom to top.
    pub diff_ids: Vec<Digest>,
}

/// This host's processor in OCI's words.
pub(super) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether this host runs images of a platform.
pub(super) fn runs(os: &str, architecture: &str) -> bool {
    os == "linux" && architecture == host_architecture()
}

/// The refusal for an archive without an image for this host.
pub(super) fn wrong_platform(mut offered: Vec<String>) -> ImageError {
    offered.sort();
    offered.dedup();
    let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
    ImageError::Platform { wanted: format!("linux/{}", host_architecture()), offered }
}

/// A file name that is a digest must be that of its bytes.
pub(super) fn check_name(name: &str, found: &Digest) -> Result<(), ImageError> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    let named = stem != name || name.contains("sha256/");
    match Digest::from_hex(stem).filter(|expected| named && expected != found) {
        Some(expected) => Err(ImageError::WrongDigest { what: super::archive::cut(name), expected, found: *found }),
        None => Ok(()),
    }
}
