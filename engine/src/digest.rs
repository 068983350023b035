//! SHA-256 digests in their one written form.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirEntry;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits. Names blobs, layers (diff ids), chains of
/// layers and images. Spec: OCI image-spec, descriptor.md, "Digests"; other algorithms are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Why a text is no [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// It does not begin with an algorithm and a colon.
    #[error("digest {text:?} is not written `sha256:` and 64 lower-case hexadecimal digits")]
    Malformed {
        /// What was given, cut to 100 characters.
        text: String,
    },
    /// Another algorithm.
    #[error("digest algorithm {algorithm:?} is not offered, only sha256")]
    Algorithm {
        /// The one given.
        algorithm: String,
    },
}

impl Digest {
    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// What a finished hasher computed.
    pub fn finish(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The 64 hexadecimal digits without the algorithm: the name of its file or folder.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 digits, as lists show it.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        hex
    }

    /// Reads the 64 digits alone.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

/// Entries of a folder whose names are the 64 digits of digests.
pub(crate) fn entries(folder: &Path) -> io::Result<BTreeMap<Digest, DirEntry>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(digest) = entry.file_name().to_str().and_then(Digest::from_hex) {
            found.insert(digest, entry);
        }
    }
    Ok(found)
}

/// Lower case only: one digest has one name.
fn nibble(digit: u8) -> Option<u8> {
    b"0123456789abcdef".iter().position(|hex| *hex == digit).and_then(|value| u8::try_from(value).ok())
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed { text: text.chars().take(100).collect() };
        let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
        match algorithm {
            "sha256" => Self::from_hex(hex).ok_or_else(malformed),
            "sha512" | "sha384" | "blake3" => Err(DigestError::Algorithm { algorithm: algorithm.to_owned() }),
            _ => Err(malformed()),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), known);
    }

    #[test]
    fn only_the_one_written_form_is_taken() {
        let good = Digest::of(b"x").to_string();
        for bad in
            [&good[1..], &good[..70], &good.to_uppercase(), &good.replace("sha256", "md5"), "sha256:../../../etc", ""]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
        assert_eq!(
            good.replace("256", "512").parse::<Digest>(),
            Err(DigestError::Algorithm { algorithm: "sha512".to_owned() })
        );
    }

    proptest! {
        #[test]
        fn a_digest_survives_being_written_and_read(bytes: Vec<u8>) {
            let digest = Digest::of(&bytes);
            prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
            prop_assert_eq!(Digest::from_hex(&digest.hex()), Some(digest));
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
