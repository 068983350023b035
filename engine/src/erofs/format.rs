//! The on-disk layout: sizes, offsets and bits. Little-endian throughout.
//! Spec: the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.

/// Blocks are those of tar, so that every file of a tar begins at one.
pub const BLOCK: usize = 512;
/// log2 of [`BLOCK`].
pub const BLOCK_BITS: u8 = 9;

/// Where the superblock is.
pub const SUPER: usize = 1024;
/// Its size.
pub const SUPER_BYTES: usize = 128;
/// Its first word.
pub const MAGIC: u32 = 0xe0f5_e1e2;
/// Times of inodes are of modification.
pub const COMPATIBLE_MTIME: u32 = 0x2;
/// Files are made of chunks.
pub const INCOMPATIBLE_CHUNKED: u32 = 0x4;
/// Chunks are on other devices.
pub const INCOMPATIBLE_DEVICES: u32 = 0x8;

/// One entry of the device table, which stands behind the superblock.
pub const SLOT_BYTES: usize = 128;
/// Number of the first slot, in slots.
pub const FIRST_SLOT: u16 = ((SUPER + SUPER_BYTES) / SLOT_BYTES) as u16;
/// So that the root's number stays below 2^16.
pub const DEVICES_MAX: usize = 4096;

/// Unit of node numbers, which count from the start of the image.
pub const NODE_UNIT: u64 = 32;
/// An inode of the long form.
pub const INODE_BYTES: usize = 64;
/// Format bits: long form, content in blocks.
pub const LAYOUT_PLAIN: u16 = 1;
/// Format bits: long form, content behind the inode in the same block.
pub const LAYOUT_INLINE: u16 = 1 | 2 << 1;
/// Format bits: long form, chunk table behind the inode.
pub const LAYOUT_CHUNKS: u16 = 1 | 4 << 1;

/// A chunk table has entries of 8 bytes with device numbers.
pub const CHUNK_INDEXES: u16 = 0x20;
/// Bits of the chunk's size, in blocks.
pub const CHUNK_BITS: u16 = 0x1f;
/// One of its entries.
pub const CHUNK_BYTES: usize = 8;
/// log2 of the largest chunk, in blocks.
pub const CHUNK_BITS_MAX: u8 = 31;

/// Header of a folder's entry; the names of a block follow its headers.
pub const ENTRY_BYTES: usize = 12;

/// Header of the attributes behind an inode.
pub const ATTRIBUTES_HEADER: usize = 12;
/// Header of one attribute.
pub const ATTRIBUTE_HEADER: usize = 4;
/// Number and written prefix of the attribute name spaces.
pub const ATTRIBUTE_PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// Kinds of files in a folder's entries.
pub const KIND_FILE: u8 = 1;
/// A folder.
pub const KIND_FOLDER: u8 = 2;
/// A character device.
pub const KIND_CHARACTER: u8 = 3;
/// A block device.
pub const KIND_BLOCK: u8 = 4;
/// A named pipe.
pub const KIND_FIFO: u8 = 5;
/// A symbolic link.
pub const KIND_SYMLINK: u8 = 7;

/// A layer's folder that hides what is below.
pub const MARK_OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// A layer's folder without an entry of its own.
pub const MARK_IMPLIED: &[u8] = b"trusted.sampan.implied";
/// A hard link to a path of the layers below, which is its value.
pub const MARK_LINK: &[u8] = b"trusted.sampan.link";
