//! Sparse files: their data are laid out again, chunk by chunk, in a file beside the tar.
//!
//! An index can name runs of whole blocks only, and tar packs the pieces of a sparse file without gaps, so a piece need
//! not begin at a block. The side file is itself sparse: it costs what the data cost.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::LayerError;
use super::entry::TAR_BYTES;
use super::framing::BLOCK;
use super::tar_in::{Piece, SparseFile};
use crate::erofs::tree::{Body, Data, HOLE, Tree};
use crate::fault::{self, Write};

/// Number of the side file among a layer's devices.
pub const SIDE_DEVICE: u16 = 2;
/// Chunks of one file: what an index pays for it is 8 times that many bytes at most.
const CHUNKS: u64 = 4096;
/// Smallest chunk, in bits over a block: 4 KiB.
const BITS_MIN: u8 = 3;
/// Chunks of all sparse files of a layer.
const CHUNKS_MAX: u64 = 8 << 20;

/// Lays out the data of all sparse files and puts their place into the tree. Gives the side file's size in bytes; 0
/// when there is no sparse file, and then no side file is made.
///
/// # Errors
/// [`LayerError::TooLarge`] when the files have too many chunks, [`LayerError::Io`] when the side file cannot be written.
pub fn lay_out(tree: &mut Tree, files: &[SparseFile], tar: &File, side_path: &Path) -> Result<u64, LayerError> {
    if files.is_empty() {
        return Ok(0);
    }
    fault::write(Write::LayerSparse).map_err(LayerError::io("write", side_path))?;
    let side = File::create_new(side_path).map_err(LayerError::io("make", side_path))?;
    let (mut end, mut chunks) = (0, 0);
    for file in files {
        chunks += file.size.div_ceil(BLOCK << chunk_bits(file.size));
        if chunks > CHUNKS_MAX {
            return Err(LayerError::TooLarge { what: "chunks of sparse files".to_owned(), limit: CHUNKS_MAX });
        }
        let data = place(file, &mut end)?;
        if let Data::Chunks { bits, blocks, .. } = &data {
            for piece in &file.pieces {
                copy(*piece, BLOCK << bits, blocks, tar, &side).map_err(LayerError::io("write", side_path))?;
            }
        }
        if let Body::File { data: open, .. } = &mut tree.node_mut(file.node).body {
            *open = data;
        }
    }
    side.set_len(end).map_err(LayerError::io("write", side_path))?;
    side.sync_data().map_err(LayerError::io("sync", side_path))?;
    Ok(end)
}

fn chunk_bits(size: u64) -> u8 {
    (BITS_MIN..31).find(|bits| (BLOCK << bits).saturating_mul(CHUNKS) >= size).unwrap_or(31)
}

/// Gives each chunk that has data its blocks in the side file, from `end` on.
fn place(file: &SparseFile, end: &mut u64) -> Result<Data, LayerError> {
    let bits = chunk_bits(file.size);
    let chunk = BLOCK << bits;
    let mut blocks = vec![HOLE; usize::try_from(file.size.div_ceil(chunk)).unwrap_or(usize::MAX)];
    for piece in &file.pieces {
        for index in piece.offset / chunk..(piece.offset + piece.length).div_ceil(chunk) {
            let block = &mut blocks[index as usize];
            if *block == HOLE {
                *block = u32::try_from(*end / BLOCK).unwrap_or(HOLE);
                *end += chunk.min(file.size - index * chunk).next_multiple_of(BLOCK);
            }
            if *end > TAR_BYTES {
                return Err(LayerError::TooLarge { what: "data of sparse files".to_owned(), limit: TAR_BYTES });
            }
        }
    }
    Ok(Data::Chunks { bits, device: SIDE_DEVICE, blocks: blocks.into() })
}

/// Copies one piece from the tar to its chunks.
fn copy(piece: Piece, chunk: u64, blocks: &[u32], tar: &File, side: &File) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    while done < piece.length {
        let offset = piece.offset + done;
        let within = offset % chunk;
        let length = (piece.length - done).min(chunk - within).min(buffer.len() as u64);
        let part = &mut buffer[..length as usize];
        tar.read_exact_at(part, piece.tar_offset + done)?;
        side.write_all_at(part, u64::from(blocks[(offset / chunk) as usize]) * BLOCK + within)?;
        done += length;
    }
    Ok(())
}
