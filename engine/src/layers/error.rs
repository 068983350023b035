//! Why a layer or a root was not made.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::kind::Kind;

/// Why a layer or a root was not made; nothing of it is visible to anyone.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Not a tar, or a damaged one.
    #[error("damaged tar at byte {offset}: {reason}")]
    Tar {
        /// From the beginning of the uncompressed tar.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The tar ends within an entry.
    #[error("the tar ends early, at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// The compressed stream is damaged.
    #[error("cannot decompress {compression}")]
    Decompress {
        /// `gzip` or `zstd`.
        compression: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An entry that would reach out of the root, or hide what it may not.
    #[error("hostile entry {path:?}: {reason}")]
    Hostile {
        /// Its name, cut to 200 characters.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A hard link to something that no layer has.
    #[error("{path:?} is a hard link to {target:?}, which is no file of this layer or one below")]
    DanglingLink {
        /// Its name.
        path: String,
        /// What it names.
        target: String,
    },
    /// More of something than is taken.
    #[error("too large: {what} (at most {limit})")]
    TooLarge {
        /// What.
        what: String,
        /// How much is taken.
        limit: u64,
    },
    /// A form that is not taken.
    #[error("{path:?}: {reason}")]
    Unsupported {
        /// Which entry.
        path: String,
        /// What it is.
        reason: String,
    },
    /// The bytes do not hash to the digest that the image names.
    #[error("layer {expected} arrived with digest {found}")]
    WrongDigest {
        /// As the image says.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// A layer of the image is not in the store.
    #[error("layer {diff_id} is not in the store")]
    Missing {
        /// Which.
        diff_id: Digest,
    },
    /// An index of the store does not read as it was written.
    #[error("damaged index {}: {reason}", .path.display())]
    Index {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The helper that unpacks layers refused.
    #[error("cannot unpack {layer}: {reason}")]
    Unpack {
        /// Which: `layer sha256:…`.
        layer: String,
        /// Its sentence.
        reason: String,
        /// What the caller can do about it.
        kind: Kind,
    },
    /// A file of the store could not be read or written.
    #[error("cannot {act} {}", .path.display())]
    Io {
        /// `write`, `read`, `sync`, …
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LayerError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Tar { .. }
            | Self::Truncated { .. }
            | Self::Decompress { .. }
            | Self::Hostile { .. }
            | Self::DanglingLink { .. }
            | Self::TooLarge { .. }
            | Self::WrongDigest { .. } => Kind::Invalid,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Missing { .. } | Self::Index { .. } => Kind::Internal,
            Self::Unpack { kind, .. } => *kind,
            Self::Io { source, .. } => crate::content::kind_of_io(source),
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { act, path, source }
    }
}

/// A name of an entry for an error text: readable, and of bounded length.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(200).collect()
}
