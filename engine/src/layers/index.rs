//! Indexes on disk: that of one layer, and the merged one of an image.

use std::path::{Path, PathBuf};

use super::LayerError;
use super::framing::BLOCK;
use super::ingest::{INDEX_FILE, SIDE_FILE, TAR_FILE};
use super::merge::Merge;
use crate::digest::Digest;
use crate::erofs::tree::Tree;
use crate::erofs::{self, DeviceSlot, Marks};

/// The index of one layer: device 1 is the tar, device 2 the side file where there is one.
pub(super) fn of_layer(tree: &Tree, tar_bytes: u64, side_bytes: u64) -> Result<Vec<u8>, LayerError> {
    let mut devices = vec![slot("tar", tar_bytes)];
    if side_bytes > 0 {
        devices.push(slot("sparse", side_bytes));
    }
    erofs::write(tree, &devices, Marks::Keep).map_err(unwritable)
}

/// One layer of an image to be merged.
#[derive(Debug)]
pub(super) struct Source {
    /// Its digest, written into the device table.
    pub diff_id: Digest,
    /// Its folder: in the store, or new.
    pub folder: PathBuf,
}

/// The merged index of layers, bottom to top.
///
/// # Errors
/// [`LayerError::Index`] for a damaged index, [`LayerError::DanglingLink`] when the layers do not fit each other.
pub(super) fn merged(sources: &[Source]) -> Result<Vec<u8>, LayerError> {
    let mut merge = Merge::new();
    let mut devices = Vec::new();
    for source in sources {
        let path = source.folder.join(INDEX_FILE);
        let bytes = std::fs::read(&path).map_err(LayerError::io("read", &path))?;
        let (tree, own) = erofs::read(&bytes).map_err(|error| LayerError::Index { path, reason: error.0 })?;
        let first = devices.len() + 1;
        let numbers: Vec<u16> =
            (first..first + own.len()).map(|number| u16::try_from(number).unwrap_or(u16::MAX)).collect();
        merge.apply(&tree, &numbers)?;
        devices.extend(own.iter().enumerate().map(|(index, device)| {
            let (kind, blocks) = (if index == 0 { "tar" } else { "sparse" }, device.blocks);
            DeviceSlot { blocks, ..slot(&format!("{kind} {}", source.diff_id.hex()), 0) }
        }));
    }
    erofs::write(&merge.finish(), &devices, Marks::Refuse).map_err(unwritable)
}

/// The files that a merged index names as its devices, in order, relative to `base`.
pub(super) fn devices(sources: &[Source], base: &Path) -> Vec<PathBuf> {
    let files = |source: &Source| {
        [TAR_FILE, SIDE_FILE]
            .into_iter()
            .map(|name| source.folder.join(name))
            .filter(|path| path.exists())
            .collect::<Vec<_>>()
    };
    let relative = |path: PathBuf| path.strip_prefix(base).map(Path::to_owned).unwrap_or(path);
    sources.iter().flat_map(files).map(relative).collect()
}

/// The tag is for people who look at a dump: the kernel finds devices by their order.
fn slot(tag: &str, bytes: u64) -> DeviceSlot {
    let mut slot = DeviceSlot { tag: [0; 64], blocks: u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX) };
    for (into, from) in slot.tag.iter_mut().zip(tag.bytes()) {
        *into = from;
    }
    slot
}

fn unwritable(error: erofs::WriteError) -> LayerError {
    LayerError::Unsupported { path: "index".to_owned(), reason: error.to_string() }
}
