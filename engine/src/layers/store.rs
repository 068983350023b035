//! The layers of one data root: `layers/<diff id>/`, `layers/merged/<chain id>`, `layers/folders/<chain id>/`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sampan_runtime::sandbox::Root;

use super::LayerError;
use super::chain::chain_id;
use super::index::{self, Source};
use super::ingest::{FACTS_FILE, Facts, LayerIngest, NewLayer, TAR_FILE, write_synced};
use crate::content::sync_folder;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};

/// The layers of one data root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LayerStore {
    data_root: Arc<Path>,
}

/// A merged index that is complete and not yet in the store.
#[derive(Debug)]
pub struct NewRoot {
    chain_id: Digest,
    folder: tempfile::TempDir,
}

impl LayerStore {
    /// Opens the store beneath a data root and removes what an interrupted load left.
    ///
    /// # Errors
    /// [`LayerError::Io`] when its folders cannot be made.
    pub fn open(data_root: &Path) -> Result<Self, LayerError> {
        let store = Self::at(data_root);
        let temporary = store.temporary();
        match std::fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LayerError::io("empty", &temporary)(error));
            }
            _ => {}
        }
        for folder in [temporary, store.layers().join("merged"), store.layers().join("folders")] {
            std::fs::create_dir_all(&folder).map_err(LayerError::io("make", &folder))?;
        }
        Ok(store)
    }

    pub(super) fn at(data_root: &Path) -> Self {
        Self { data_root: data_root.into() }
    }

    /// Begins a layer. Its files are invisible until [`LayerStore::adopt`].
    ///
    /// # Errors
    /// [`LayerError::Io`] when there is no room for a folder.
    pub fn begin(&self) -> Result<LayerIngest, LayerError> {
        Ok(LayerIngest::begin(self.temporary_folder()?))
    }

    /// Whether a layer is there.
    pub fn contains(&self, diff_id: &Digest) -> bool {
        self.folder(diff_id).join(FACTS_FILE).is_file()
    }

    /// Whether its tar is there.
    pub(crate) fn has_tar(&self, diff_id: &Digest) -> bool {
        self.folder(diff_id).join(TAR_FILE).is_file()
    }

    /// What is kept about a layer.
    ///
    /// # Errors
    /// [`LayerError::Missing`] when it is not there.
    pub fn facts(&self, diff_id: &Digest) -> Result<Facts, LayerError> {
        let path = self.folder(diff_id).join(FACTS_FILE);
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LayerError::Missing { diff_id: *diff_id },
            _ => LayerError::io("read", &path)(error),
        })?;
        serde_json::from_slice(&bytes).map_err(|_| LayerError::Index { path, reason: "facts that do not read" })
    }

    /// Puts a new layer into the store, unless it is there already. Its data are synced; the rename is by
    /// [`LayerStore::sync`].
    ///
    /// # Errors
    /// [`LayerError::Io`] when it cannot be moved.
    pub fn adopt(&self, layer: NewLayer) -> Result<(), LayerError> {
        let target = self.folder(&layer.diff_id);
        if self.contains(&layer.diff_id) {
            return Ok(());
        }
        fault::write(Write::LayerAdopt).map_err(LayerError::io("move a layer to", &target))?;
        std::fs::rename(layer.path(), &target).map_err(LayerError::io("move a layer to", &target))?;
        fault::step(Step::LayerAdopted);
        // Moved away: nothing of the temporary folder is left to remove.
        let _ = layer.folder.keep();
        Ok(())
    }

    /// Merges layers, bottom to top, some of which may be `new`; none for no layers, or when the index is there.
    ///
    /// # Errors
    /// [`LayerError`] when the layers do not fit each other.
    pub fn merge(&self, diff_ids: &[Digest], new: &[NewLayer]) -> Result<Option<NewRoot>, LayerError> {
        let Some(chain_id) = chain_id(diff_ids) else { return Ok(None) };
        if self.merged_path(&chain_id).is_file() {
            return Ok(None);
        }
        let sources = self.sources(diff_ids, new);
        let bytes = index::merged(&sources)?;
        let folder = self.temporary_folder()?;
        let path = folder.path().join("index");
        fault::write(Write::RootWrite).map_err(LayerError::io("write", &path))?;
        write_synced(&path, &bytes)?;
        Ok(Some(NewRoot { chain_id, folder }))
    }

    /// Puts a merged index into the store.
    ///
    /// # Errors
    /// [`LayerError::Io`] when it cannot be moved.
    pub fn adopt_root(&self, root: &NewRoot) -> Result<(), LayerError> {
        let target = self.merged_path(&root.chain_id);
        let move_there = || {
            fault::write(Write::RootAdopt)?;
            std::fs::rename(root.folder.path().join("index"), &target)
        };
        move_there().map_err(LayerError::io("move an index to", &target))?;
        fault::step(Step::RootAdopted);
        Ok(())
    }

    /// Makes what was adopted survive a power loss.
    ///
    /// # Errors
    /// [`LayerError::Io`] when the disk refuses.
    pub fn sync(&self) -> Result<(), LayerError> {
        fault::write(Write::RootSync).map_err(LayerError::io("sync", self.layers()))?;
        for folder in [self.layers(), self.layers().join("merged")] {
            sync_folder(&folder).map_err(LayerError::io("sync", &folder))?;
        }
        Ok(())
    }

    /// The root of an image, for containers on EROFS; merges anew when the index is gone.
    ///
    /// # Errors
    /// [`LayerError::Missing`] when a layer is not there.
    pub fn erofs_root(&self, diff_ids: &[Digest]) -> Result<Root, LayerError> {
        if let Some(gone) = diff_ids.iter().find(|diff_id| !self.contains(diff_id)) {
            return Err(LayerError::Missing { diff_id: *gone });
        }
        if let Some(root) = self.merge(diff_ids, &[])? {
            self.adopt_root(&root)?;
            self.sync()?;
        }
        let index = match chain_id(diff_ids) {
            Some(chain_id) => self.merged_path(&chain_id),
            None => self.empty_index()?,
        };
        Ok(self.root_of(index, diff_ids))
    }

    /// The same root when nothing has to be made for it: a few looks at the disk.
    pub fn merged_root(&self, diff_ids: &[Digest]) -> Option<Root> {
        let index = self.merged_path(&chain_id(diff_ids)?);
        let whole = index.exists() && diff_ids.iter().all(|diff_id| self.contains(diff_id));
        whole.then(|| self.root_of(index, diff_ids))
    }

    fn root_of(&self, index: PathBuf, diff_ids: &[Digest]) -> Root {
        let index = index.strip_prefix(&self.data_root).map(Path::to_owned).unwrap_or(index);
        Root::Erofs { index, devices: index::devices(&self.sources(diff_ids, &[]), &self.data_root) }
    }

    /// Where the plain folder of a layer is, by the chain id of it and all below; relative to the data root.
    pub fn unpacked(&self, chain_id: &Digest) -> PathBuf {
        Path::new("layers/folders").join(chain_id.hex())
    }

    /// The plain folder of an image without layers; relative to the data root.
    pub fn unpacked_nothing(&self) -> PathBuf {
        Path::new("layers/folders/empty").to_owned()
    }

    /// Whether a plain folder is there, whole.
    pub fn is_unpacked(&self, folder: &Path) -> bool {
        self.data_root.join(folder).is_dir()
    }

    /// A layer's tar.
    ///
    /// # Errors
    /// [`LayerError::Missing`] when it is not there.
    pub fn tar(&self, diff_id: &Digest) -> Result<File, LayerError> {
        let path = self.folder(diff_id).join(TAR_FILE);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LayerError::Missing { diff_id: *diff_id },
            _ => LayerError::io("open", &path)(error),
        })
    }

    /// A tar without entries.
    ///
    /// # Errors
    /// [`LayerError::Io`] when it cannot be written.
    pub fn empty_tar(&self) -> Result<File, LayerError> {
        let folder = self.temporary();
        let file = tempfile::tempfile_in(&folder);
        // Two blocks of zeros end a tar.
        file.and_then(|file| file.set_len(1024).map(|()| file)).map_err(LayerError::io("make a file in", folder))
    }

    /// The index of an image without layers: an empty folder.
    fn empty_index(&self) -> Result<PathBuf, LayerError> {
        let path = self.layers().join("merged").join("empty");
        if !path.is_file() {
            let folder = self.temporary_folder()?;
            let made = folder.path().join("index");
            write_synced(&made, &index::merged(&[])?)?;
            std::fs::rename(&made, &path).map_err(LayerError::io("move an index to", &path))?;
        }
        Ok(path)
    }

    pub(super) fn sources(&self, diff_ids: &[Digest], new: &[NewLayer]) -> Vec<Source> {
        let folder = |diff_id: &Digest| match new.iter().find(|layer| layer.diff_id == *diff_id) {
            Some(layer) if !self.contains(diff_id) => layer.path().to_owned(),
            _ => self.folder(diff_id),
        };
        diff_ids.iter().map(|diff_id| Source { diff_id: *diff_id, folder: folder(diff_id) }).collect()
    }

    pub(crate) fn temporary_folder(&self) -> Result<tempfile::TempDir, LayerError> {
        let path = self.temporary();
        tempfile::tempdir_in(&path).map_err(LayerError::io("make a folder in", path))
    }

    fn temporary(&self) -> PathBuf {
        self.layers().join("tmp")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.data_root.join("layers")
    }

    /// `layers/<diff id>`.
    pub(crate) fn folder(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    pub(crate) fn merged_path(&self, chain_id: &Digest) -> PathBuf {
        self.layers().join("merged").join(chain_id.hex())
    }
}
