//! Looking at the files of an image without mounting anything: names from the merged index, bytes from the layers' tars.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::framing::BLOCK;
use super::index;
use super::{LayerError, LayerStore, chain_id};
use crate::digest::Digest;
use crate::erofs::Index;
use crate::erofs::tree::{Body, Data, HOLE, Node};

/// Most bytes of an index that is looked at.
const INDEX_BYTES: u64 = 256 << 20;

/// The files of an image.
#[derive(Debug)]
pub(crate) struct Look {
    bytes: Vec<u8>,
    path: PathBuf,
    /// In the order in which the index counts them.
    devices: Vec<PathBuf>,
}

impl LayerStore {
    /// The files of an image, as a container sees them. Makes the merged index anew, in memory, where it is not there.
    ///
    /// # Errors
    /// [`LayerError::Missing`] when a layer is not there, [`LayerError::TooLarge`] for an index beyond all reason.
    pub(crate) fn look(&self, diff_ids: &[Digest]) -> Result<Look, LayerError> {
        if let Some(gone) = diff_ids.iter().find(|diff_id| !self.contains(diff_id)) {
            return Err(LayerError::Missing { diff_id: *gone });
        }
        let sources = self.sources(diff_ids, &[]);
        let path = chain_id(diff_ids).map_or_else(PathBuf::new, |chain_id| self.merged_path(&chain_id));
        let bytes = match File::open(&path) {
            Ok(file) => whole(&file, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => index::merged(&sources)?,
            Err(error) => return Err(LayerError::io("open", &path)(error)),
        };
        Ok(Look { bytes, path, devices: index::devices(&sources, Path::new("")) })
    }
}

fn whole(mut file: &File, path: &Path) -> Result<Vec<u8>, LayerError> {
    let length = file.metadata().map_err(LayerError::io("look at", path))?.len();
    if length > INDEX_BYTES {
        return Err(LayerError::TooLarge { what: format!("an index of {length} bytes"), limit: INDEX_BYTES });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.read_to_end(&mut bytes).map_err(LayerError::io("read", path))?;
    Ok(bytes)
}

impl Look {
    /// Its names.
    ///
    /// # Errors
    /// [`LayerError::Index`] when it is damaged.
    pub fn index(&self) -> Result<Index<'_>, LayerError> {
        Index::open(&self.bytes).map_err(|error| self.damaged(error.0))
    }

    /// For what does not read.
    pub fn damaged(&self, reason: &'static str) -> LayerError {
        LayerError::Index { path: self.path.clone(), reason }
    }

    /// The node of a clean path, without following symbolic links; `None`: there is none.
    ///
    /// # Errors
    /// [`LayerError::Index`] when it is damaged.
    pub fn find(&self, path: &[u8]) -> Result<Option<(u64, Node)>, LayerError> {
        let index = self.index()?;
        let damaged = |error: crate::erofs::ReadError| self.damaged(error.0);
        let mut nid = index.root().map_err(damaged)?;
        let mut node = index.node(nid).map_err(damaged)?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if node.folder().is_none() {
                return Ok(None);
            }
            let entries = index.entries(nid).map_err(damaged)?;
            let Some((_, child)) = entries.into_iter().find(|(known, _)| *known == name) else { return Ok(None) };
            nid = child;
            node = index.node(nid).map_err(damaged)?;
        }
        Ok(Some((nid, node)))
    }

    /// The file on disk that holds a file's bytes.
    pub fn device(&self, number: u16) -> Option<&Path> {
        self.devices.get(usize::from(number).checked_sub(1)?).map(PathBuf::as_path)
    }

    /// The bytes of a file; nothing for what is no file.
    ///
    /// # Errors
    /// When the layer's tar cannot be opened.
    pub fn content(&self, node: &Node) -> io::Result<Content> {
        let Body::File { size, data } = &node.body else { return Ok(Content::nothing()) };
        let number = match data {
            Data::Run { device, .. } | Data::Chunks { device, .. } => *device,
        };
        if *size == 0 {
            return Ok(Content::nothing());
        }
        let device = match self.device(number) {
            Some(path) => Some(File::open(path)?),
            // All of it is a hole.
            None => None,
        };
        Ok(Content { device, size: *size, at: 0, data: data.clone() })
    }
}

/// Bytes of a file, from its first to its last.
#[derive(Debug)]
pub(crate) struct Content {
    device: Option<File>,
    size: u64,
    at: u64,
    data: Data,
}

impl Content {
    fn nothing() -> Self {
        Self { device: None, size: 0, at: 0, data: Data::Run { device: 0, block: 0 } }
    }

    /// Where the next bytes are, and how many of them lie together; `None`: in a hole.
    fn place(&self) -> (Option<u64>, u64) {
        let left = self.size - self.at;
        match &self.data {
            Data::Run { block, .. } => (Some(u64::from(*block) * BLOCK + self.at), left),
            Data::Chunks { bits, blocks, .. } => {
                let chunk = BLOCK << bits;
                let within = self.at % chunk;
                let block = usize::try_from(self.at / chunk).ok().and_then(|number| blocks.get(number));
                let place = block.filter(|block| **block != HOLE).map(|block| u64::from(*block) * BLOCK + within);
                (place, left.min(chunk - within))
            }
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let (place, together) = self.place();
        let length = buffer.len().min(usize::try_from(together).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..length];
        let read = match (&self.device, place) {
            (Some(device), Some(place)) => device.read_at(buffer, place)?,
            _ => {
                buffer.fill(0);
                length
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a layer's tar ends within a file"));
        }
        self.at += read as u64;
        Ok(read)
    }
}
