//! Blobs by digest: `content/<64 hexadecimal digits>`, each whole or not there.
//!
//! One store for everything that is named by its digest: configurations and manifests of loaded, pulled and built
//! images. Knows nothing of teams: who may see a blob is the caller's to ask by (team, reference).

mod ingest;
mod read;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use ingest::Ingest;
pub(crate) use ingest::sync_folder;

use crate::digest::Digest;
use crate::kind::Kind;

/// The blobs of one data root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ContentStore {
    root: Arc<Path>,
}

/// Why a blob was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The bytes hash to something else.
    #[error("blob {expected} arrived with digest {found}")]
    WrongDigest {
        /// Its name.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// More or fewer bytes than its descriptor says.
    #[error("blob {digest} should have {expected} bytes and has {found}")]
    WrongSize {
        /// Its name.
        digest: Digest,
        /// As the descriptor says.
        expected: u64,
        /// As counted.
        found: u64,
    },
    /// There is no such blob.
    #[error("no blob {digest}")]
    NotFound {
        /// Its name.
        digest: Digest,
    },
    /// A file could not be read or written; the blob is not visible to anyone.
    #[error("cannot {act} {}", .path.display())]
    Io {
        /// `write`, `read`, …
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ContentError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::WrongDigest { .. } | Self::WrongSize { .. } => Kind::Invalid,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Io { source, .. } => kind_of_io(source),
        }
    }
}

/// No space and no quota are the host's to mend, all else is ours.
pub(crate) fn kind_of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Exhausted,
        _ => Kind::Internal,
    }
}

impl ContentStore {
    /// Opens the store beneath a data root and removes what an interrupted write left.
    ///
    /// # Errors
    /// [`ContentError::Io`] when its folders cannot be made.
    pub fn open(data_root: &Path) -> Result<Self, ContentError> {
        let store = Self::at(data_root);
        let io = |act, path: &Path| {
            let path = path.to_owned();
            move |source| ContentError::Io { act, path, source }
        };
        let temporary = store.temporary();
        match std::fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("empty", &temporary)(error)),
            _ => {}
        }
        for folder in [temporary, store.uploads()] {
            std::fs::create_dir_all(&folder).map_err(io("make", &folder))?;
        }
        Ok(store)
    }

    fn at(data_root: &Path) -> Self {
        Self { root: data_root.join("content").into() }
    }

    /// Where a blob lies or would lie.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.hex())
    }

    /// Whether it is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The folder of unfinished blobs.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The folder of blobs that clients are sending: what lies there survives a restart.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// The folder itself, for the sweep.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}
