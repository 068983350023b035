//! What an archive promises: images with their names, configurations and layers.

use std::fmt;

use super::ImageError;
use super::document::Descriptor;
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

/// The platform that somebody wants an image for. Source: github.com/containerd/platforms, Parse and Normalize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    os: String,
    architecture: String,
    /// Empty: any that the architecture's first machines run.
    variant: String,
}

impl Wanted {
    /// This host's.
    pub fn host() -> Self {
        Self { os: "linux".to_owned(), architecture: host_architecture().to_owned(), variant: String::new() }
    }

    /// Reads `os[/architecture[/variant]]`, or an architecture alone; nothing is this host's.
    pub fn parse(text: Option<&str>) -> Result<Self, ImageError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::host()) };
        let wrong = || ImageError::WrongPlatform { text: text.chars().take(100).collect() };
        let fits = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(fits) {
            return Err(wrong());
        }
        let (os, architecture, variant) = match parts[..] {
            ["linux"] => return Ok(Self::host()),
            [architecture] => ("linux", architecture, ""),
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => return Err(wrong()),
        };
        let architecture = match architecture.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            "i386" | "i486" | "i586" | "i686" => "386".to_owned(),
            other => other.to_owned(),
        };
        let variant = common(&architecture, variant).to_owned();
        Ok(Self { os: os.to_ascii_lowercase(), architecture, variant })
    }

    /// Whether an image's own words fit.
    pub fn fits(&self, os: &str, architecture: &str, variant: &str) -> bool {
        os == self.os && architecture == self.architecture && common(architecture, variant) == self.variant
    }

    /// Whether containers of it run on this host.
    pub fn runs_here(&self) -> bool {
        runs(&self.os, &self.architecture)
    }

    /// The one of an index that fits; the only image of one that tells no platforms.
    pub fn choose<'a>(&self, offered: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let mut images = offered.iter().filter(|one| !one.attests());
        let fits = |one: &&Descriptor| {
            one.platform.as_ref().is_some_and(|platform| {
                self.fits(&platform.os, &platform.architecture, platform.variant.as_deref().unwrap_or_default())
            })
        };
        if let Some(found) = images.clone().find(fits) {
            return Some(found);
        }
        images.next().filter(|only| only.platform.is_none() && images.next().is_none())
    }
}

/// The variant that goes without saying is the same as none.
fn common<'a>(architecture: &str, variant: &'a str) -> &'a str {
    match (architecture, variant) {
        ("arm64", "v8" | "8") | ("amd64", "v1") => "",
        _ => variant,
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(out, "/{}", self.variant) }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_containerd_reads_them() {
        for (typed, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(Wanted::parse(Some(typed)).unwrap().to_string(), shown, "{typed}");
        }
        assert_eq!(Wanted::parse(Some("linux")).unwrap(), Wanted::host());
        assert_eq!(Wanted::parse(None).unwrap(), Wanted::host());
        for bad in ["linux/", "/amd64", "a/b/c/d", "linux/a b"] {
            assert!(Wanted::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
