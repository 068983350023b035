//! Whether what lies in the store is what it is named by.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use sha2::Digest as _;

use super::{ContentError, ContentStore};
use crate::digest::{self, Digest};

const PIECE: usize = 1 << 20;

impl ContentStore {
    /// The store beneath a data root as it is, beside whoever works on it: nothing is made or removed.
    pub fn existing(data_root: &Path) -> Self {
        Self::at(data_root)
    }

    /// Every blob that is there.
    ///
    /// # Errors
    /// [`ContentError::Io`] when the folder cannot be listed.
    pub fn list(&self) -> Result<BTreeSet<Digest>, ContentError> {
        let failed = |source| ContentError::Io { act: "list", path: self.root.to_path_buf(), source };
        Ok(digest::entries(&self.root).map_err(failed)?.into_keys().collect())
    }

    /// Reads a blob whole. What is wrong with it, in words; none when nothing is, or when it went meanwhile.
    ///
    /// # Errors
    /// [`ContentError::Io`] when it cannot be opened; one whose bytes cannot be read is damaged.
    pub fn verify(&self, digest: &Digest) -> Result<Option<String>, ContentError> {
        let mut file = match self.open_blob(digest) {
            Ok(file) => file,
            Err(ContentError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hasher, mut piece) = (sha2::Sha256::new(), vec![0; PIECE]);
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => hasher.update(&piece[..length]),
                Err(error) => return Ok(Some(format!("it cannot be read: {error}"))),
            }
        }
        let found = Digest::finish(hasher);
        Ok((found != *digest).then(|| format!("its bytes have digest {found}")))
    }

    /// Takes a blob out of the store; one that is not there is no error.
    ///
    /// # Errors
    /// [`ContentError::Io`].
    pub fn remove(&self, digest: &Digest) -> Result<(), ContentError> {
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(ContentError::Io { act: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}
