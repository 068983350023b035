//! EROFS images of metadata only: names, owners and attributes here, the files' bytes on other devices.
//!
//! Pure, no I/O: [`write()`] makes the bytes of an index from a tree, [`read()`] gives the tree back. The kernel mounts
//! what `write` makes without [`Marks`]; a layer's own index keeps its marks (deleted names, opaque folders, folders
//! and links that only the layers below can complete) as attributes and device 0/0. docs/formats/layers.md has both.

mod format;
mod read;
pub mod tree;
mod write;

pub use read::{Index, read};
pub use write::{Marks, write};

/// One further device of an index. Its place in the table, counted from 1, is what files name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSlot {
    /// 64 characters that say which it is: the hexadecimal digits of a diff id for a tar.
    pub tag: [u8; 64],
    /// Its size in blocks of 512 bytes.
    pub blocks: u32,
}

/// Why an index was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It would have more than 2^32 blocks.
    #[error("an index of {bytes} bytes is too large")]
    TooLarge {
        /// As planned.
        bytes: u64,
    },
    /// More devices than the superblock can name before the root.
    #[error("{count} devices are too many")]
    TooManyDevices {
        /// As given.
        count: usize,
    },
    /// A tree that no file system can show: a mark without [`Marks::Keep`], an attribute of an unknown kind.
    #[error("the tree cannot be written: {reason}")]
    Unwritable {
        /// Why.
        reason: &'static str,
    },
}

/// What does not read as an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub &'static str);
