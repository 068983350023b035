//! Writing an index: first every inode gets its place, then the bytes are laid down.

use std::borrow::Cow;

use super::format::*;
use super::tree::{Body, Data, Device, HOLE, Meta, NodeId, ROOT, Tree};
use super::{DeviceSlot, WriteError};

/// Whether the marks of a single layer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// The index of one layer, to be merged later.
    Keep,
    /// What is mounted: a tree with marks is refused.
    Refuse,
}

type Attributes<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// Where one inode goes.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Of the inode, in bytes; 0 is no place.
    at: u64,
    /// Of content that does not fit beside it.
    blocks: Option<u64>,
    /// Names that the node has; for a folder, 2 and its folders.
    links: u32,
    /// Folder above, for folders.
    parent: NodeId,
}

struct Writer<'a> {
    tree: &'a Tree,
    marks: Marks,
    places: Vec<Place>,
    /// Nodes in the order of their places.
    order: Vec<NodeId>,
    end: u64,
    out: Vec<u8>,
}

/// Makes the index of a tree whose files are on `devices`.
///
/// # Errors
/// [`WriteError`]; nothing is written.
pub fn write(tree: &Tree, devices: &[DeviceSlot], marks: Marks) -> Result<Vec<u8>, WriteError> {
    if devices.len() > DEVICES_MAX.min(usize::from(u16::MAX)) {
        return Err(WriteError::TooManyDevices { count: devices.len() });
    }
    let mut writer =
        Writer { tree, marks, places: vec![Place::default(); tree.len()], order: Vec::new(), end: 0, out: Vec::new() };
    writer.number();
    writer.place(SUPER + SUPER_BYTES + devices.len() * SLOT_BYTES)?;
    writer.out = vec![0; usize::try_from(writer.end).map_err(|_| WriteError::TooLarge { bytes: writer.end })?];
    writer.superblock(devices);
    for index in 0..writer.order.len() {
        writer.inode(writer.order[index])?;
    }
    Ok(writer.out)
}

impl Writer<'_> {
    /// Finds every node with a name, folders first, and counts names.
    fn number(&mut self) {
        let mut open = vec![ROOT];
        self.places[ROOT as usize].links = 2;
        while let Some(id) = open.pop() {
            self.order.push(id);
            let Some(folder) = self.tree.node(id).folder() else { continue };
            for child in folder.children.values().rev() {
                let is_folder = self.tree.node(*child).folder().is_some();
                let place = &mut self.places[*child as usize];
                let first = place.links == 0;
                place.links += if is_folder { 2 } else { 1 };
                place.parent = id;
                if is_folder {
                    self.places[id as usize].links += 1;
                }
                if first {
                    open.push(*child);
                }
            }
        }
    }

    fn place(&mut self, start: usize) -> Result<(), WriteError> {
        let mut at = start.next_multiple_of(BLOCK) as u64;
        let mut apart = Vec::new();
        for &id in &self.order {
            at = at.next_multiple_of(NODE_UNIT);
            let head = (INODE_BYTES + attributes_bytes(&self.attributes(id))?) as u64;
            let content = self.content_bytes(id);
            let behind = match &self.tree.node(id).body {
                Body::File { size, data } => (chunks(*size, data) * CHUNK_BYTES) as u64,
                _ if head + content <= BLOCK as u64 => content,
                _ => 0,
            };
            let inline = behind > 0
                && self.tree.node(id).folder().is_some() | matches!(self.tree.node(id).body, Body::Symlink(_));
            // Content beside an inode may not cross a block.
            while inline && (at + head) / BLOCK as u64 != (at + head + behind - 1) / BLOCK as u64 {
                at += NODE_UNIT;
            }
            self.places[id as usize].at = at;
            at = (at + head).next_multiple_of(if inline { 1 } else { CHUNK_BYTES as u64 }) + behind;
            if behind == 0 && content > 0 {
                apart.push((id, content));
            }
        }
        at = at.next_multiple_of(BLOCK as u64);
        for (id, content) in apart {
            self.places[id as usize].blocks = Some(at / BLOCK as u64);
            at += content.next_multiple_of(BLOCK as u64);
        }
        if at / BLOCK as u64 >= u64::from(u32::MAX) {
            return Err(WriteError::TooLarge { bytes: at });
        }
        self.end = at;
        Ok(())
    }

    /// Bytes of a folder's entries or a symbolic link's target.
    fn content_bytes(&self, id: NodeId) -> u64 {
        match &self.tree.node(id).body {
            Body::Symlink(target) => target.len() as u64,
            Body::Folder(folder) => {
                let (mut full, mut used) = (0, 0);
                for length in with_dots(folder.children.keys().map(|name| &name[..])).map(<[u8]>::len) {
                    if used + ENTRY_BYTES + length > BLOCK {
                        (full, used) = (full + BLOCK, 0);
                    }
                    used += ENTRY_BYTES + length;
                }
                (full + used) as u64
            }
            _ => 0,
        }
    }

    /// The node's attributes, with a layer's marks among them.
    fn attributes(&self, id: NodeId) -> Attributes<'_> {
        let node = self.tree.node(id);
        let mut all: Attributes<'_> = node
            .meta
            .attributes
            .iter()
            .map(|(name, value)| (Cow::Borrowed(&name[..]), Cow::Borrowed(&value[..])))
            .collect();
        match &node.body {
            Body::Folder(folder) if self.marks == Marks::Keep => {
                if folder.opaque {
                    all.push((Cow::Borrowed(MARK_OPAQUE), Cow::Borrowed(b"y")));
                }
                if folder.implied {
                    all.push((Cow::Borrowed(MARK_IMPLIED), Cow::Borrowed(b"y")));
                }
            }
            Body::Link(target) => all.push((Cow::Borrowed(MARK_LINK), Cow::Borrowed(&target[..]))),
            _ => {}
        }
        all
    }

    fn superblock(&mut self, devices: &[DeviceSlot]) {
        let root = self.nid(ROOT) as u16;
        let blocks = (self.end / BLOCK as u64) as u32;
        self.put(SUPER, &MAGIC.to_le_bytes());
        self.put(SUPER + 8, &COMPATIBLE_MTIME.to_le_bytes());
        self.put(SUPER + 12, &[BLOCK_BITS, 0]);
        self.put(SUPER + 14, &root.to_le_bytes());
        self.put(SUPER + 16, &(self.order.len() as u64).to_le_bytes());
        self.put(SUPER + 36, &blocks.to_le_bytes());
        self.put(SUPER + 80, &(INCOMPATIBLE_CHUNKED | INCOMPATIBLE_DEVICES).to_le_bytes());
        self.put(SUPER + 86, &(devices.len() as u16).to_le_bytes());
        self.put(SUPER + 88, &FIRST_SLOT.to_le_bytes());
        for (index, device) in devices.iter().enumerate() {
            let at = SUPER + SUPER_BYTES + index * SLOT_BYTES;
            self.put(at, &device.tag);
            self.put(at + 64, &device.blocks.to_le_bytes());
        }
    }

    fn inode(&mut self, id: NodeId) -> Result<(), WriteError> {
        let Writer { tree, marks, .. } = *self;
        let node = tree.node(id);
        let place = self.places[id as usize];
        let at = place.at as usize;
        let attributes = self.attributes(id);
        let head = INODE_BYTES + attributes_bytes(&attributes)?;
        let attributes_block = attributes_block(&attributes)?;
        let content = self.content(id);
        let kind = match &node.body {
            Body::File { .. } => 0o10_0000,
            Body::Folder(folder) if marks == Marks::Refuse && folder.opaque => {
                return Err(WriteError::Unwritable { reason: "a folder that hides what is below" });
            }
            Body::Folder(_) => 0o04_0000,
            Body::Symlink(_) => 0o12_0000,
            Body::Character(_) => 0o02_0000,
            Body::Block(_) => 0o06_0000,
            Body::Fifo => 0o01_0000,
            Body::Whiteout if marks == Marks::Keep => 0o02_0000,
            Body::Link(_) if marks == Marks::Keep => 0o10_0000,
            Body::Whiteout | Body::Link(_) => {
                return Err(WriteError::Unwritable { reason: "a mark of a single layer" });
            }
        };
        let (layout, size, detail) = match &node.body {
            Body::File { size: 0, .. } => (LAYOUT_PLAIN, 0, 0),
            Body::File { size, data } => {
                (LAYOUT_CHUNKS, *size, u32::from(CHUNK_INDEXES | u16::from(chunk_bits(*size, data))))
            }
            Body::Character(device) | Body::Block(device) => (LAYOUT_PLAIN, 0, device_word(*device)),
            Body::Folder(_) | Body::Symlink(_) => match place.blocks {
                Some(block) => (LAYOUT_PLAIN, content.len() as u64, block as u32),
                None => (LAYOUT_INLINE, content.len() as u64, 0),
            },
            Body::Fifo | Body::Whiteout | Body::Link(_) => (LAYOUT_PLAIN, 0, 0),
        };
        let attribute_words =
            if attributes.is_empty() { 0 } else { (attributes_block.len() - ATTRIBUTES_HEADER) / 4 + 1 };
        drop(attributes);
        self.put(at, &layout.to_le_bytes());
        self.put(at + 2, &(attribute_words as u16).to_le_bytes());
        self.put(at + 4, &(kind | node.meta.mode).to_le_bytes());
        self.put(at + 8, &size.to_le_bytes());
        self.put(at + 16, &detail.to_le_bytes());
        self.put(at + 20, &(self.nid(id) as u32).to_le_bytes());
        self.meta(at, &node.meta, place.links);
        self.put(at + INODE_BYTES, &attributes_block);
        match (&node.body, place.blocks) {
            (Body::File { size, data }, _) if *size > 0 => {
                self.chunk_table((at + head).next_multiple_of(CHUNK_BYTES), data)
            }
            (_, Some(block)) => self.put(block as usize * BLOCK, &content),
            (_, None) => self.put(at + head, &content),
        }
        Ok(())
    }

    fn meta(&mut self, at: usize, meta: &Meta, links: u32) {
        self.put(at + 24, &meta.uid.to_le_bytes());
        self.put(at + 28, &meta.gid.to_le_bytes());
        self.put(at + 32, &meta.seconds.to_le_bytes());
        self.put(at + 40, &meta.nanoseconds.to_le_bytes());
        self.put(at + 44, &links.to_le_bytes());
    }

    fn chunk_table(&mut self, at: usize, data: &Data) {
        let (device, blocks) = match data {
            Data::Run { device, block } => (*device, std::slice::from_ref(block)),
            Data::Chunks { device, blocks, .. } => (*device, &blocks[..]),
        };
        for (index, block) in blocks.iter().enumerate() {
            let at = at + index * CHUNK_BYTES;
            self.put(at + 2, &(if *block == HOLE { 0 } else { device }).to_le_bytes());
            self.put(at + 4, &block.to_le_bytes());
        }
    }

    /// A folder's blocks of entries, sorted by name, or a symbolic link's target.
    fn content(&self, id: NodeId) -> Vec<u8> {
        let folder = match &self.tree.node(id).body {
            Body::Symlink(target) => return target.to_vec(),
            Body::Folder(folder) => folder,
            _ => return Vec::new(),
        };
        let parent = if id == ROOT { ROOT } else { self.places[id as usize].parent };
        let target = |name: &[u8]| match name {
            b"." => id,
            b".." => parent,
            _ => folder.children.get(name).copied().unwrap_or(id),
        };
        let (mut out, mut block, mut used): (Vec<u8>, Vec<&[u8]>, usize) = (Vec::new(), Vec::new(), 0);
        for name in with_dots(folder.children.keys().map(|name| &name[..])) {
            if used + ENTRY_BYTES + name.len() > BLOCK {
                self.entries(&mut out, &block, target);
                out.resize(out.len().next_multiple_of(BLOCK), 0);
                (block, used) = (Vec::new(), 0);
            }
            used += ENTRY_BYTES + name.len();
            block.push(name);
        }
        self.entries(&mut out, &block, target);
        out
    }

    fn entries(&self, out: &mut Vec<u8>, names: &[&[u8]], target: impl Fn(&[u8]) -> NodeId) {
        let mut name_at = names.len() * ENTRY_BYTES;
        for name in names {
            let id = target(name);
            out.extend_from_slice(&self.nid(id).to_le_bytes());
            out.extend_from_slice(&(name_at as u16).to_le_bytes());
            out.extend_from_slice(&[file_kind(&self.tree.node(id).body), 0]);
            name_at += name.len();
        }
        names.iter().for_each(|name| out.extend_from_slice(name));
    }

    fn nid(&self, id: NodeId) -> u64 {
        self.places[id as usize].at / NODE_UNIT
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.out[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// A folder's names with `.` and `..` at their places in the order of bytes.
fn with_dots<'a>(names: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    let mut names = names.peekable();
    let mut dots = [&b"."[..], &b".."[..]].into_iter().peekable();
    std::iter::from_fn(move || match (names.peek(), dots.peek()) {
        (Some(name), Some(dot)) if *name < *dot => names.next(),
        (_, Some(_)) => dots.next(),
        _ => names.next(),
    })
}

fn chunk_bits(size: u64, data: &Data) -> u8 {
    match data {
        Data::Run { .. } => (0..CHUNK_BITS_MAX).find(|bits| (BLOCK as u64) << bits >= size).unwrap_or(CHUNK_BITS_MAX),
        Data::Chunks { bits, .. } => *bits,
    }
}

fn chunks(size: u64, data: &Data) -> usize {
    match data {
        Data::Run { .. } => usize::from(size > 0),
        Data::Chunks { blocks, .. } => blocks.len(),
    }
}

/// The kernel's `new_encode_dev`.
fn device_word(device: Device) -> u32 {
    device.minor & 0xff | device.major << 8 | (device.minor & !0xff) << 12
}

fn file_kind(body: &Body) -> u8 {
    match body {
        Body::File { .. } | Body::Link(_) => KIND_FILE,
        Body::Folder(_) => KIND_FOLDER,
        Body::Symlink(_) => KIND_SYMLINK,
        Body::Character(_) | Body::Whiteout => KIND_CHARACTER,
        Body::Block(_) => KIND_BLOCK,
        Body::Fifo => KIND_FIFO,
    }
}

/// Number of the name space and what of the name is written.
fn attribute_name(name: &[u8]) -> Result<(u8, &[u8]), WriteError> {
    let found = ATTRIBUTE_PREFIXES.iter().find_map(|(number, prefix)| Some((*number, name.strip_prefix(*prefix)?)));
    found
        .filter(|(_, rest)| rest.len() <= 255)
        .ok_or(WriteError::Unwritable { reason: "an attribute of an unknown kind" })
}

fn attributes_bytes(attributes: &Attributes<'_>) -> Result<usize, WriteError> {
    if attributes.is_empty() {
        return Ok(0);
    }
    attributes.iter().try_fold(ATTRIBUTES_HEADER, |sum, (name, value)| {
        Ok(sum + (ATTRIBUTE_HEADER + attribute_name(name)?.1.len() + value.len()).next_multiple_of(4))
    })
}

fn attributes_block(attributes: &Attributes<'_>) -> Result<Vec<u8>, WriteError> {
    if attributes.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![0; ATTRIBUTES_HEADER];
    for (name, value) in attributes {
        let (number, rest) = attribute_name(name)?;
        let size = u16::try_from(value.len())
            .map_err(|_| WriteError::Unwritable { reason: "an attribute of more than 65,535 bytes" })?;
        out.extend_from_slice(&[rest.len() as u8, number]);
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    if out.len() / 4 > usize::from(u16::MAX) {
        return Err(WriteError::Unwritable { reason: "too many attributes on one file" });
    }
    Ok(out)
}
