//! Reading blobs back.

use std::fs::File;
use std::io::{self, Read};

use super::{ContentError, ContentStore};
use crate::digest::Digest;

impl ContentStore {
    /// Opens a blob.
    ///
    /// # Errors
    /// [`ContentError::NotFound`] when it is not there.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, ContentError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ContentError::NotFound { digest: *digest },
            _ => ContentError::Io { act: "open", path, source },
        })
    }

    /// Reads a small blob whole and verifies it.
    ///
    /// # Errors
    /// [`ContentError::WrongSize`] when it has more than `limit_bytes`, [`ContentError::WrongDigest`] when the disk
    /// changed it.
    pub fn read_blob(&self, digest: &Digest, limit_bytes: u64) -> Result<Vec<u8>, ContentError> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(|source| ContentError::Io {
            act: "read",
            path: self.path(digest),
            source,
        })?;
        if bytes.len() as u64 > limit_bytes {
            return Err(ContentError::WrongSize { digest: *digest, expected: limit_bytes, found: bytes.len() as u64 });
        }
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(ContentError::WrongDigest { expected: *digest, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_there_only_when_it_is_what_was_promised() {
        let root = tempfile::tempdir().unwrap();
        let store = ContentStore::open(root.path()).unwrap();
        let good = Digest::of(b"hello");

        let mut wrong = store.begin().unwrap();
        wrong.write(b"hell0").unwrap();
        assert!(matches!(wrong.commit(&good, Some(5)), Err(ContentError::WrongDigest { .. })));
        let mut long = store.begin().unwrap();
        long.write(b"hello").unwrap();
        assert!(matches!(long.commit(&good, Some(4)), Err(ContentError::WrongSize { .. })));
        assert!(!store.contains(&good));
        assert_eq!(std::fs::read_dir(store.temporary()).unwrap().count(), 0);

        assert_eq!(store.put(b"hello").unwrap(), good);
        assert_eq!(store.read_blob(&good, 5).unwrap(), b"hello");
        assert!(matches!(store.read_blob(&good, 4), Err(ContentError::WrongSize { .. })));
    }

    #[test]
    fn a_blob_that_the_disk_changed_is_not_given_out() {
        let root = tempfile::tempdir().unwrap();
        let store = ContentStore::open(root.path()).unwrap();
        let digest = store.put(b"hello").unwrap();
        std::fs::write(store.path(&digest), b"jello").unwrap();
        assert!(matches!(store.read_blob(&digest, 100), Err(ContentError::WrongDigest { .. })));
    }
}
