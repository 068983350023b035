//! Taking a blob in: hash while it comes, then sync and rename.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::Digest as _;
use tempfile::NamedTempFile;

use super::{ContentError, ContentStore};
use crate::digest::Digest;
use crate::fault::{self, Step, Write as Fault};

/// A blob on its way in. Dropped without [`Ingest::commit`] it leaves nothing.
#[derive(Debug)]
pub struct Ingest {
    store: ContentStore,
    file: NamedTempFile,
    hasher: sha2::Sha256,
    size: u64,
}

impl ContentStore {
    /// Begins a blob.
    ///
    /// # Errors
    /// [`ContentError::Io`] when there is no room for a file.
    pub fn begin(&self) -> Result<Ingest, ContentError> {
        let path = self.temporary();
        let file = fault::write(Fault::BlobBegin).and_then(|()| NamedTempFile::new_in(&path));
        let file = file.map_err(|source| ContentError::Io { act: "write in", path, source })?;
        Ok(Ingest { store: self.clone(), file, hasher: sha2::Sha256::new(), size: 0 })
    }

    /// Makes a complete file of the uploads a blob: its bytes were hashed by the caller.
    ///
    /// # Errors
    /// [`ContentError::Io`] when it cannot be synced or named.
    pub(crate) fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), ContentError> {
        let path = self.path(digest);
        let io = |act, path: &Path| {
            let path = path.to_owned();
            move |source| ContentError::Io { act, path, source }
        };
        fault::write(Fault::BlobSync).map_err(io("sync", file))?;
        std::fs::File::open(file).and_then(|opened| opened.sync_all()).map_err(io("sync", file))?;
        fault::write(Fault::BlobName).map_err(io("name", &path))?;
        std::fs::rename(file, &path).map_err(io("name", &path))?;
        fault::step(Step::BlobNamed);
        sync_folder(&self.root).map_err(io("sync", &self.root))
    }

    /// Stores bytes that are in memory already; a blob that is there stays as it is.
    ///
    /// # Errors
    /// [`ContentError::Io`] when it cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ContentError> {
        let digest = Digest::of(bytes);
        if !self.contains(&digest) {
            let mut ingest = self.begin()?;
            ingest.write(bytes)?;
            ingest.commit(&digest, None)?;
        }
        Ok(digest)
    }
}

impl Ingest {
    /// The next bytes.
    ///
    /// # Errors
    /// [`ContentError::Io`] when they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        fault::write(Fault::BlobWrite).map_err(|source| self.io("write", source))?;
        self.file.write_all(bytes).map_err(|source| self.io("write", source))
    }

    /// The file once more, for who reads what came so far.
    ///
    /// # Errors
    /// [`ContentError::Io`].
    pub(crate) fn reopen(&self) -> Result<std::fs::File, ContentError> {
        self.file.reopen().map_err(|source| self.io("open", source))
    }

    /// Checks digest and size, syncs, and makes the blob visible under its digest.
    ///
    /// # Errors
    /// [`ContentError::WrongDigest`] or [`ContentError::WrongSize`] when the bytes are not the promised ones.
    pub fn commit(self, expected: &Digest, size: Option<u64>) -> Result<(), ContentError> {
        let Self { store, file, hasher, size: found } = self;
        if let Some(expected_size) = size.filter(|size| *size != found) {
            return Err(ContentError::WrongSize { digest: *expected, expected: expected_size, found });
        }
        let digest = Digest::finish(hasher);
        if digest != *expected {
            return Err(ContentError::WrongDigest { expected: *expected, found: digest });
        }
        let path = store.path(expected);
        let io = |act, path: &Path| {
            let path = path.to_owned();
            move |source| ContentError::Io { act, path, source }
        };
        fault::write(Fault::BlobSync).map_err(io("sync", file.path()))?;
        file.as_file().sync_all().map_err(io("sync", file.path()))?;
        fault::write(Fault::BlobName).map_err(io("name", &path))?;
        file.persist(&path).map_err(|error| io("name", &path)(error.error))?;
        fault::step(Step::BlobNamed);
        sync_folder(&store.root).map_err(io("sync", &store.root))
    }

    fn io(&self, act: &'static str, source: io::Error) -> ContentError {
        ContentError::Io { act, path: PathBuf::from(self.file.path()), source }
    }
}

/// A rename survives a power loss only when its folder was synced too.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}
