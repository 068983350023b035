//! Layers: each its tar as it came and an index, never unpacked where the kernel mounts file-backed EROFS.
//!
//! ```text
//! layers/<diff id>/tar          the uncompressed tar, byte for byte
//!                  index        EROFS of metadata only, with the layer's marks; data: tar, sparse
//!                  sparse       data of sparse files, only where there are any
//!                  facts.json   size, bytes on disk, ids outside of a team's range
//! layers/merged/<chain id>      the index of an image: what is mounted
//! layers/folders/<chain id>/    a layer as a plain folder over those below it, for kernels that cannot mount the index
//! layers/tmp/                   unfinished; emptied at start
//! ```
//! Each is whole or not there: written in tmp, synced, renamed. docs/formats/layers.md has the formats and the rules
//! by which tars are read.

mod attributes;
mod chain;
mod entry;
mod error;
mod framing;
mod index;
mod ingest;
pub(crate) mod look;
mod merge;
mod names;
mod sparse;
mod store;
mod tar_in;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verify;

pub use chain::{chain_id, chain_ids};
pub use error::LayerError;
pub(crate) use framing::{Entries, Framer};
pub(crate) use ingest::{Compression, compression, decoder};
pub use ingest::{Facts, LayerIngest, NewLayer, PendingLayer};
pub(crate) use names::clean;
pub use store::{LayerStore, NewRoot};
pub use tar_in::{HighId, ID_MAX};
pub use verify::LayerDamage;
