//! Reading an index that [`super::write()`] made. It lies in our own data root, but a disk may damage it: every offset
//! is checked, nothing panics.

use std::collections::HashMap;

use super::format::*;
use super::tree::{Attributes, Body, Data, Device, Folder, Meta, Node, NodeId, ROOT, Tree};
use super::{DeviceSlot, ReadError};

/// An index whose nodes are read one by one: what is not asked for costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Index<'a> {
    bytes: &'a [u8],
}

/// Reads a whole index back into a tree and its device table; the marks of a layer become marks again.
///
/// # Errors
/// [`ReadError`] for whatever `write` does not write.
pub fn read(bytes: &[u8]) -> Result<(Tree, Vec<DeviceSlot>), ReadError> {
    let index = Index::open(bytes)?;
    let devices = index.devices()?;
    let (mut tree, mut known) = (Tree::new(), HashMap::<u64, NodeId>::new());
    let root = index.root()?;
    let node = index.node(root)?;
    if node.folder().is_none() {
        return Err(ReadError("the root is no folder"));
    }
    *tree.node_mut(ROOT) = node;
    known.insert(root, ROOT);
    let mut open = vec![(root, ROOT)];
    while let Some((nid, folder)) = open.pop() {
        for (name, child) in index.entries(nid)? {
            if let Some(id) = known.get(&child) {
                if tree.node(*id).folder().is_some() {
                    return Err(ReadError("a folder with two names"));
                }
                tree.link(folder, name, *id);
                continue;
            }
            let node = index.node(child)?;
            let is_folder = node.folder().is_some();
            let id = tree.add(node);
            known.insert(child, id);
            tree.link(folder, name, id);
            if is_folder {
                open.push((child, id));
            }
        }
    }
    Ok((tree, devices))
}

impl<'a> Index<'a> {
    /// Looks at the superblock only.
    ///
    /// # Errors
    /// [`ReadError`] for what no writer of ours wrote.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let index = Self { bytes };
        if index.u32(SUPER)? != MAGIC || index.take(SUPER + 12, 1)? != [BLOCK_BITS] {
            return Err(ReadError("no EROFS image with blocks of 512 bytes"));
        }
        if index.u32(SUPER + 80)? != INCOMPATIBLE_CHUNKED | INCOMPATIBLE_DEVICES {
            return Err(ReadError("features of another writer"));
        }
        Ok(index)
    }

    /// The number of the root folder.
    ///
    /// # Errors
    /// [`ReadError`] when the image ends early.
    pub fn root(&self) -> Result<u64, ReadError> {
        self.u16(SUPER + 14).map(u64::from)
    }

    fn take(&self, at: usize, length: usize) -> Result<&'a [u8], ReadError> {
        let end = at.checked_add(length).ok_or(ReadError("an offset outside of the image"))?;
        self.bytes.get(at..end).ok_or(ReadError("an offset outside of the image"))
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], ReadError> {
        self.take(at, N)?.try_into().map_err(|_| ReadError("an offset outside of the image"))
    }

    fn u16(&self, at: usize) -> Result<u16, ReadError> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, ReadError> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, ReadError> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn devices(&self) -> Result<Vec<DeviceSlot>, ReadError> {
        let first = usize::from(self.u16(SUPER + 88)?) * SLOT_BYTES;
        (0..usize::from(self.u16(SUPER + 86)?))
            .map(|index| first + index * SLOT_BYTES)
            .map(|at| Ok(DeviceSlot { tag: self.array(at)?, blocks: self.u32(at + 64)? }))
            .collect()
    }

    fn at(&self, nid: u64) -> Result<usize, ReadError> {
        nid.checked_mul(NODE_UNIT)
            .and_then(|at| usize::try_from(at).ok())
            .ok_or(ReadError("a node outside of the image"))
    }

    /// Where the content begins behind the inode and its attributes.
    fn head(&self, at: usize) -> Result<usize, ReadError> {
        let words = usize::from(self.u16(at + 2)?);
        Ok(INODE_BYTES + if words == 0 { 0 } else { ATTRIBUTES_HEADER + (words - 1) * 4 })
    }

    /// One node; the folders among them without what is in them.
    ///
    /// # Errors
    /// [`ReadError`] for a number or a node that is none.
    pub fn node(&self, nid: u64) -> Result<Node, ReadError> {
        let at = self.at(nid)?;
        self.take(at, INODE_BYTES)?;
        let mode = self.u16(at + 4)?;
        let mut meta = Meta {
            mode: mode & 0o7777,
            uid: self.u32(at + 24)?,
            gid: self.u32(at + 28)?,
            seconds: self.u64(at + 32)? as i64,
            nanoseconds: self.u32(at + 40)?,
            attributes: self.attributes(at)?,
        };
        let mut mark = |name: &[u8]| {
            let place = meta.attributes.iter().position(|(known, _)| &known[..] == name)?;
            Some(meta.attributes.remove(place).1)
        };
        let word = self.u32(at + 16)?;
        let device = Device { major: word >> 8 & 0xfff, minor: word & 0xff | word >> 12 & 0xf_ff00 };
        let body = match mode & 0o17_0000 {
            0o04_0000 => {
                let (opaque, implied) = (mark(MARK_OPAQUE).is_some(), mark(MARK_IMPLIED).is_some());
                Body::Folder(Folder { opaque, implied, ..Folder::default() })
            }
            0o10_0000 => match mark(MARK_LINK) {
                Some(target) => Body::Link(target),
                None => self.file(at)?,
            },
            0o12_0000 => Body::Symlink(self.content(at)?.into()),
            0o02_0000 if device == (Device { major: 0, minor: 0 }) => Body::Whiteout,
            0o02_0000 => Body::Character(device),
            0o06_0000 => Body::Block(device),
            0o01_0000 => Body::Fifo,
            _ => return Err(ReadError("an inode of an unknown kind")),
        };
        Ok(Node { meta, body })
    }

    fn file(&self, at: usize) -> Result<Body, ReadError> {
        let size = self.u64(at + 8)?;
        if size == 0 {
            return Ok(Body::File { size, data: Data::Run { device: 1, block: 0 } });
        }
        let format = self.u16(at + 16)?;
        let bits = (format & CHUNK_BITS) as u8;
        if self.u16(at)? != LAYOUT_CHUNKS || format & !CHUNK_BITS != CHUNK_INDEXES {
            return Err(ReadError("a file that is not made of chunks"));
        }
        let count = size.div_ceil((BLOCK as u64) << bits);
        let table = (at + self.head(at)?).next_multiple_of(CHUNK_BYTES);
        let bytes = self.take(table, usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(CHUNK_BYTES))?;
        let entries = bytes.chunks_exact(CHUNK_BYTES).map(|entry| {
            let device = u16::from_le_bytes([entry[2], entry[3]]);
            (device, u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]))
        });
        let device = entries.clone().map(|(device, _)| device).max().unwrap_or_default();
        let blocks: Box<[u32]> = entries.map(|(_, block)| block).collect();
        let data = match blocks[..] {
            [block] if block != u32::MAX => Data::Run { device, block },
            _ => Data::Chunks { bits, device, blocks },
        };
        Ok(Body::File { size, data })
    }

    /// Bytes of a folder or a symbolic link.
    fn content(&self, at: usize) -> Result<&'a [u8], ReadError> {
        let size = usize::try_from(self.u64(at + 8)?).map_err(|_| ReadError("a size outside of the image"))?;
        match self.u16(at)? {
            LAYOUT_INLINE => self.take(at + self.head(at)?, size),
            LAYOUT_PLAIN => self.take(self.u32(at + 16)? as usize * BLOCK, size),
            _ => Err(ReadError("content of an unknown layout")),
        }
    }

    /// Names and node numbers of a folder that [`Self::node`] gave, without `.` and `..`, in the order of their bytes.
    ///
    /// # Errors
    /// [`ReadError`] for a damaged folder.
    pub fn entries(&self, nid: u64) -> Result<Vec<(&'a [u8], u64)>, ReadError> {
        let wrong = ReadError("a damaged folder");
        let mut found = Vec::new();
        for block in self.content(self.at(nid)?)?.chunks(BLOCK) {
            let word =
                |at: usize| block.get(at..at + 2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
            let names = word(8).ok_or(wrong)?;
            if names % ENTRY_BYTES != 0 || names > block.len() {
                return Err(wrong);
            }
            for at in (0..names).step_by(ENTRY_BYTES) {
                let start = word(at + 8).ok_or(wrong)?;
                let end = if at + ENTRY_BYTES < names { word(at + ENTRY_BYTES + 8).ok_or(wrong)? } else { block.len() };
                let name = block.get(start..end).ok_or(wrong)?;
                let name = name.split(|byte| *byte == 0).next().filter(|name| !name.is_empty()).ok_or(wrong)?;
                let child = block
                    .get(at..at + 8)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(u64::from_le_bytes)
                    .ok_or(wrong)?;
                if !matches!(name, b"." | b"..") {
                    found.push((name, child));
                }
            }
        }
        Ok(found)
    }

    fn attributes(&self, at: usize) -> Result<Attributes, ReadError> {
        let end = at + self.head(at)?;
        let mut at = at + INODE_BYTES + ATTRIBUTES_HEADER;
        let mut found = Vec::new();
        while at < end {
            let [name_bytes, space] = self.array(at)?;
            let value_bytes = usize::from(self.u16(at + 2)?);
            let prefix = ATTRIBUTE_PREFIXES.iter().find(|(number, _)| *number == space);
            let prefix = prefix.ok_or(ReadError("an attribute of an unknown kind"))?.1;
            let name = self.take(at + ATTRIBUTE_HEADER, usize::from(name_bytes))?;
            let value = self.take(at + ATTRIBUTE_HEADER + name.len(), value_bytes)?;
            found.push(([prefix, name].concat().into(), value.into()));
            at += (ATTRIBUTE_HEADER + name.len() + value_bytes).next_multiple_of(4);
        }
        Ok(found)
    }
}
