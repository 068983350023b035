//! Whether what lies in the store is what it should be, and making anew what can be made from the tar.
//!
//! The index, the side file and the facts are functions of the tar, and a merged index is one of its layers' indexes:
//! each is made once more and compared byte by byte. The tar itself is compared with its digest.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use sha2::Digest as _;

use super::ingest::{FACTS_FILE, Facts, INDEX_FILE, SIDE_FILE, TAR_FILE, finish_beside};
use super::tar_in::TarReader;
use super::{LayerError, LayerStore, chain_id, index};
use crate::digest::{self, Digest};

/// Bytes of a tar that are read at once.
const PIECE: usize = 1 << 20;

/// What is wrong with a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerDamage {
    /// The tar is gone, or its bytes are other ones: only another copy helps.
    Tar(String),
    /// A file that is made from the tar differs from what it should be.
    Derived(&'static str),
}

impl LayerStore {
    /// The store beneath a data root as it is, beside whoever works on it: nothing is made or removed.
    pub fn existing(data_root: &Path) -> Self {
        Self::at(data_root)
    }

    /// Every layer that is there, by diff id.
    ///
    /// # Errors
    /// [`LayerError::Io`] when the folder cannot be listed.
    pub fn list(&self) -> Result<BTreeSet<Digest>, LayerError> {
        let root = self.layers();
        Ok(digest::entries(&root).map_err(LayerError::io("list", root))?.into_keys().collect())
    }

    /// Reads a layer whole. Empty: it is what it should be.
    ///
    /// # Errors
    /// [`LayerError::Io`] when the comparison itself fails, for want of space for instance.
    pub fn verify(&self, diff_id: &Digest) -> Result<Vec<LayerDamage>, LayerError> {
        let made = match self.remake(diff_id) {
            Ok(made) => made,
            Err(error @ LayerError::Io { .. }) => return Err(error),
            Err(error) => return Ok(vec![LayerDamage::Tar(error.to_string())]),
        };
        let (folder, made) = (self.folder(diff_id), made.path());
        let mut found = Vec::new();
        for name in [INDEX_FILE, SIDE_FILE] {
            if !same(&made.join(name), &folder.join(name))? {
                found.push(LayerDamage::Derived(name));
            }
        }
        // Bytes on disk depend on the file system's mood; size and ids do not.
        let facts = |folder: &Path| {
            let bytes = std::fs::read(folder.join(FACTS_FILE)).ok()?;
            serde_json::from_slice::<Facts>(&bytes).ok().map(|facts| (facts.size, facts.high_ids))
        };
        if facts(made) != facts(&folder) {
            found.push(LayerDamage::Derived(FACTS_FILE));
        }
        Ok(found)
    }

    /// Makes index, side file and facts of a layer anew from its tar.
    ///
    /// # Errors
    /// [`LayerError`] when the tar is damaged too, or there is no space.
    pub fn rebuild(&self, diff_id: &Digest) -> Result<(), LayerError> {
        let made = self.remake(diff_id)?;
        let folder = self.folder(diff_id);
        for name in [SIDE_FILE, INDEX_FILE, FACTS_FILE] {
            let (from, to) = (made.path().join(name), folder.join(name));
            if from.exists() {
                std::fs::rename(&from, &to).map_err(LayerError::io("move to", &to))?;
            }
        }
        crate::content::sync_folder(&folder).map_err(LayerError::io("sync", &folder))
    }

    /// Takes a layer whose tar is damaged out of the store, so that the next load or pull brings it again.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    pub fn set_aside(&self, diff_id: &Digest) -> Result<(), LayerError> {
        let folder = self.folder(diff_id);
        let aside = self.temporary_folder()?.keep().join(diff_id.hex());
        match std::fs::rename(&folder, &aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LayerError::io("move away", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether the merged index of layers, bottom to top, is right. One that is not there is: it is made when it is needed.
    ///
    /// # Errors
    /// [`LayerError`] when a layer of it is damaged.
    pub fn verify_root(&self, diff_ids: &[Digest]) -> Result<bool, LayerError> {
        let Some(path) = chain_id(diff_ids).map(|chain_id| self.merged_path(&chain_id)) else { return Ok(true) };
        match std::fs::read(&path) {
            Ok(found) => Ok(found == index::merged(&self.sources(diff_ids, &[]))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(LayerError::io("read", path)(error)),
        }
    }

    /// Removes a merged index; the next start of a container makes it anew.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    pub fn remove_root(&self, diff_ids: &[Digest]) -> Result<(), LayerError> {
        let Some(path) = chain_id(diff_ids).map(|chain_id| self.merged_path(&chain_id)) else { return Ok(()) };
        std::fs::remove_file(&path).map_err(LayerError::io("remove", path))
    }

    /// Reads the tar, checks its digest and makes in a folder of its own what belongs beside it.
    fn remake(&self, diff_id: &Digest) -> Result<tempfile::TempDir, LayerError> {
        let mut tar = self.tar(diff_id)?;
        let path = self.folder(diff_id).join(TAR_FILE);
        let (mut reader, mut hasher, mut size) = (TarReader::default(), sha2::Sha256::new(), 0);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let length = tar.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            let length = length.map_err(LayerError::io("read", &path))?;
            if length == 0 {
                break;
            }
            size += length as u64;
            hasher.update(&piece);
            reader.feed(Bytes::from(piece))?;
        }
        match Digest::finish(hasher) {
            found if found == *diff_id => {}
            found => return Err(LayerError::WrongDigest { expected: *diff_id, found }),
        }
        let folder = self.temporary_folder()?;
        finish_beside(&folder, &tar, size, reader.finish()?)?;
        Ok(folder)
    }
}

/// Whether two files have the same bytes, or neither is there.
fn same(one: &Path, other: &Path) -> Result<bool, LayerError> {
    let open = |path: &Path| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LayerError::io("open", path)(error)),
    };
    let (one_file, other_file) = match (open(one)?, open(other)?) {
        (None, None) => return Ok(true),
        (Some(one), Some(other)) => (one, other),
        _ => return Ok(false),
    };
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    loop {
        ours.clear();
        theirs.clear();
        (&one_file).take(PIECE as u64).read_to_end(&mut ours).map_err(LayerError::io("read", one))?;
        (&other_file).take(PIECE as u64).read_to_end(&mut theirs).map_err(LayerError::io("read", other))?;
        if ours != theirs {
            return Ok(false);
        }
        if ours.is_empty() {
            return Ok(true);
        }
    }
}
