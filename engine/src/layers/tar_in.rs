//! Reading a layer's tar while it streams by, into a [`Tree`] whose files point into that tar.
//!
//! Nothing is unpacked and no symbolic link is ever followed: a name through one makes a folder in its place, as it
//! does in Docker's overlay. The rules are in docs/formats/layers.md.

use serde::{Deserialize, Serialize};
use tar_core::parse::{Limits, ParseError, ParseEvent, ParsedEntry, Parser};
use tar_core::{EntryType, PaxExtensions, SparseEntry};

use super::LayerError;
use super::attributes::{self, On};
use super::error::shown;
use super::names::{self, Name};
use crate::erofs::tree::{Body, Data, Device, Folder, Meta, Node, NodeId, ROOT, Tree};

/// Size of a tar's and of an index's block.
pub const BLOCK: u64 = 512;
/// Most inodes of one layer, folders that it only implies included.
pub const NODES_MAX: usize = 1_000_000;
/// Most bytes of one file, also of one that is mostly holes; 512 bytes << 31, one chunk of EROFS.
pub const FILE_BYTES: u64 = 1 << 40;
/// Most bytes of one tar: 2^32 blocks, less what counts as a hole.
pub const TAR_BYTES: u64 = (u32::MAX as u64 - 1) * BLOCK;
/// Most pieces of all sparse files of one layer.
const PIECES_MAX: usize = 1_000_000;
/// Ids above this are not in a team's range.
pub const ID_MAX: u32 = 65_535;

/// A user or group id outside of a team's range of 65,536.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighId {
    /// The id.
    pub id: u32,
    /// The first path that has it.
    pub path: String,
}

/// A sparse file whose data have to be laid out before the index can name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseFile {
    /// Its node.
    pub node: NodeId,
    /// Its logical size.
    pub size: u64,
    /// Where its data are; sorted, not overlapping.
    pub pieces: Vec<Piece>,
}

/// One run of data of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// In the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// In the tar.
    pub tar_offset: u64,
}

/// What a whole tar was read into.
#[derive(Debug)]
pub struct TarIndex {
    /// The files; data of device 1 is the tar's.
    pub tree: Tree,
    /// Files whose place is still open.
    pub sparse: Vec<SparseFile>,
    /// Distinct ids above [`ID_MAX`], at most 64.
    pub high_ids: Vec<HighId>,
}

/// Reads a tar that is fed to it piece by piece.
#[derive(Debug)]
pub struct TarReader {
    parser: Parser,
    /// Header bytes that came and do not suffice yet.
    pending: Vec<u8>,
    /// How many of them it takes.
    wanted: usize,
    /// Bytes of content and padding still to pass over.
    skip: u64,
    /// Position in the tar.
    offset: u64,
    ended: bool,
    pieces: usize,
    index: TarIndex,
}

impl Default for TarReader {
    fn default() -> Self {
        let limits = Limits {
            max_metadata_size: 1 << 20,
            max_path_len: Some(names::PATH_BYTES as u32 + 1),
            max_pending_entries: 16,
            max_sparse_entries: 10_000,
        };
        let mut parser = Parser::new(limits);
        // Times before 1970 are an error to the parser else; what it then passes over is checked in `pax_overrides`.
        parser.set_ignore_pax_errors(true);
        parser.set_allow_empty_path(true);
        let index = TarIndex { tree: Tree::new(), sparse: Vec::new(), high_ids: Vec::new() };
        let wanted = BLOCK as usize;
        Self { parser, pending: Vec::new(), wanted, skip: 0, offset: 0, ended: false, pieces: 0, index }
    }
}

impl TarReader {
    /// The next bytes of the tar.
    ///
    /// # Errors
    /// The first thing that is wrong with it; the reader is of no use afterwards.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() && !self.ended {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len() as u64);
                self.skip -= passed;
                self.offset += passed;
                bytes = &bytes[passed as usize..];
            } else if self.pending.is_empty() && bytes.len() >= self.wanted {
                let used = self.step(bytes)?;
                bytes = &bytes[used..];
            } else {
                let taken = self.wanted.saturating_sub(self.pending.len()).min(bytes.len());
                self.pending.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.pending.len() >= self.wanted {
                    let pending = std::mem::take(&mut self.pending);
                    let used = self.step(&pending)?;
                    if used == 0 {
                        self.pending = pending;
                    } else {
                        self.feed(&pending[used..])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The tar is over.
    ///
    /// # Errors
    /// [`LayerError::Truncated`] when it ends within an entry. Missing end marks are forgiven, as others do.
    pub fn finish(self) -> Result<TarIndex, LayerError> {
        let within = self.skip > 0 || self.pending.iter().any(|byte| *byte != 0);
        if within && !self.ended {
            return Err(LayerError::Truncated { offset: self.offset + self.pending.len() as u64 });
        }
        Ok(self.index)
    }

    /// Parses what stands at the beginning of `input`; gives the bytes used, 0 when more are needed.
    fn step(&mut self, input: &[u8]) -> Result<usize, LayerError> {
        let event = self.parser.parse(input).map_err(|error| self.refuse(&error))?;
        let used = match event {
            ParseEvent::NeedData { min_bytes } => {
                self.wanted = min_bytes.max(input.len() + 1);
                return Ok(0);
            }
            ParseEvent::Entry { consumed, entry } => {
                self.entry(&entry, self.offset + consumed as u64, None)?;
                consumed
            }
            ParseEvent::SparseEntry { consumed, entry, sparse_map, real_size } => {
                self.entry(&entry, self.offset + consumed as u64, Some((sparse_map, real_size)))?;
                consumed
            }
            // Defaults for later entries: nobody's layers use them, and readers disagree about them.
            ParseEvent::GlobalExtensions { consumed, .. } => consumed,
            ParseEvent::End { consumed } => {
                self.ended = true;
                consumed
            }
        };
        self.wanted = BLOCK as usize;
        self.offset += used as u64;
        Ok(used)
    }

    fn refuse(&self, error: &ParseError) -> LayerError {
        match error {
            ParseError::PathTooLong { limit, .. } => {
                LayerError::TooLarge { what: format!("a path at byte {}", self.offset), limit: u64::from(*limit) }
            }
            ParseError::MetadataTooLarge { limit, .. } => LayerError::TooLarge {
                what: format!("headers of one entry at byte {}", self.offset),
                limit: u64::from(*limit),
            },
            ParseError::TooManySparseEntries { limit, .. } | ParseError::TooManyPendingEntries { limit, .. } => {
                LayerError::TooLarge {
                    what: format!("parts of one entry at byte {}", self.offset),
                    limit: *limit as u64,
                }
            }
            other => LayerError::Tar { offset: self.offset, reason: other.to_string() },
        }
    }

    /// Takes one entry whose content begins at `data` in the tar.
    fn entry(
        &mut self,
        entry: &ParsedEntry<'_>,
        data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> Result<(), LayerError> {
        let path = &entry.path[..];
        let regular = matches!(entry.entry_type, EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse);
        // Old tars mark folders by a slash alone.
        let folder = entry.is_dir() || (regular && sparse.is_none() && path.ends_with(b"/"));
        if regular && !folder {
            self.skip = content_bytes(entry, data)?;
        }
        let times = pax_overrides(entry, sparse.is_some())?;
        let name = match names::read(path)? {
            Name::Passed => return Ok(()),
            Name::Whiteout(path) => return self.whiteout(&path),
            Name::Opaque(path) => return self.opaque(&path),
            Name::Plain(path) => path,
        };
        if entry.is_hard_link() {
            return self.hard_link(&name, entry.link_target.as_deref().unwrap_or_default());
        }
        let on = if folder {
            On::Folder
        } else if regular {
            On::File
        } else {
            On::Other
        };
        let meta = self.meta(entry, &name, on, times)?;
        let pieces = match sparse {
            Some((map, size)) => Some(self.pieces(&name, map, size, entry.size, data)?),
            None => None,
        };
        let Some(body) = body(entry, folder, &name, data, pieces.as_ref().map(|sparse| sparse.0))? else {
            return Ok(());
        };
        let node = self.insert(&name, Node { meta, body })?;
        if let Some((size, pieces)) = pieces {
            self.index.sparse.push(SparseFile { node, size, pieces });
        }
        Ok(())
    }

    fn meta(
        &mut self,
        entry: &ParsedEntry<'_>,
        path: &[u8],
        on: On,
        (seconds, nanoseconds): (i64, u32),
    ) -> Result<Meta, LayerError> {
        let uid = self.id(entry.uid, path, "user")?;
        let gid = self.id(entry.gid, path, "group")?;
        let attributes = attributes::keep(path, on, entry.xattrs.iter().map(|(name, value)| (&name[..], &value[..])))?;
        Ok(Meta { mode: (entry.mode & 0o7777) as u16, uid, gid, seconds, nanoseconds, attributes })
    }

    fn id(&mut self, id: u64, path: &[u8], noun: &str) -> Result<u32, LayerError> {
        let Some(id) = u32::try_from(id).ok().filter(|id| *id != u32::MAX) else {
            return Err(LayerError::Unsupported {
                path: shown(path),
                reason: format!("{noun} id {id} is no id of Linux"),
            });
        };
        let high = &mut self.index.high_ids;
        if id > ID_MAX && high.len() < 64 && high.iter().all(|known| known.id != id) {
            high.push(HighId { id, path: shown(path) });
        }
        Ok(id)
    }

    /// Checks the map of a sparse file and says where its pieces lie in the tar.
    fn pieces(
        &mut self,
        path: &[u8],
        map: Vec<SparseEntry>,
        size: u64,
        stored: u64,
        data: u64,
    ) -> Result<(u64, Vec<Piece>), LayerError> {
        let wrong = || LayerError::Tar {
            offset: self.offset,
            reason: format!("the map of sparse file {:?} is wrong", shown(path)),
        };
        if size > FILE_BYTES {
            return Err(LayerError::TooLarge {
                what: format!("sparse file {:?} of {size} bytes", shown(path)),
                limit: FILE_BYTES,
            });
        }
        let (mut pieces, mut end, mut used) = (Vec::new(), 0, 0);
        for SparseEntry { offset, length } in map {
            let next = offset.checked_add(length).filter(|next| *next <= size && offset >= end).ok_or_else(wrong)?;
            if length > 0 {
                pieces.push(Piece { offset, length, tar_offset: data + used });
            }
            (end, used) = (next, used + length);
        }
        if used > stored {
            return Err(wrong());
        }
        self.pieces += pieces.len();
        if self.pieces > PIECES_MAX {
            return Err(LayerError::TooLarge { what: "pieces of sparse files".to_owned(), limit: PIECES_MAX as u64 });
        }
        Ok((size, pieces))
    }

    /// The folder at a clean path, made on the way where it is missing or something else.
    fn folder(&mut self, path: &[u8]) -> Result<NodeId, LayerError> {
        let mut at = ROOT;
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            let tree = &mut self.index.tree;
            let there = tree.child(at, part);
            at = match there {
                Some(child) if tree.node(child).folder().is_some() => child,
                _ => {
                    let mut node = Node::implied_folder();
                    if let (Some(child), Some(folder)) = (there, node.folder_mut()) {
                        folder.opaque = tree.node(child).body == Body::Whiteout;
                    }
                    let made = self.add(node)?;
                    self.index.tree.link(at, part, made);
                    made
                }
            };
        }
        Ok(at)
    }

    fn add(&mut self, node: Node) -> Result<NodeId, LayerError> {
        if self.index.tree.len() >= NODES_MAX {
            return Err(LayerError::TooLarge {
                what: "files and folders of one layer".to_owned(),
                limit: NODES_MAX as u64,
            });
        }
        Ok(self.index.tree.add(node))
    }

    /// Gives a node its name; a folder keeps what it holds already, everything else is replaced: the last entry counts.
    fn insert(&mut self, path: &[u8], mut node: Node) -> Result<NodeId, LayerError> {
        if path.is_empty() {
            if node.folder().is_none() {
                return Err(LayerError::Hostile {
                    path: String::new(),
                    reason: "the root cannot be anything but a folder",
                });
            }
            return Ok(self.describe(ROOT, node.meta));
        }
        let (folder, name) = names::split(path);
        let folder = self.folder(folder)?;
        if let Some(old) = self.index.tree.child(folder, name) {
            let old_is_folder = self.index.tree.node(old).folder().is_some();
            let old_is_whiteout = self.index.tree.node(old).body == Body::Whiteout;
            match &mut node.body {
                Body::Folder(_) if old_is_folder => return Ok(self.describe(old, node.meta)),
                Body::Folder(new) => new.opaque = old_is_whiteout,
                _ => {}
            }
        }
        let id = self.add(node)?;
        self.index.tree.link(folder, name, id);
        Ok(id)
    }

    fn describe(&mut self, id: NodeId, meta: Meta) -> NodeId {
        let node = self.index.tree.node_mut(id);
        node.meta = meta;
        if let Some(folder) = node.folder_mut() {
            folder.implied = false;
        }
        id
    }

    /// Hides a name of the layers below; what this layer itself has under that name stays.
    fn whiteout(&mut self, path: &[u8]) -> Result<(), LayerError> {
        let (folder, name) = names::split(path);
        let folder = self.folder(folder)?;
        match self.index.tree.child(folder, name) {
            Some(child) => {
                if let Some(own) = self.index.tree.node_mut(child).folder_mut() {
                    own.opaque = true;
                }
            }
            None => {
                let mark = self.add(Node { meta: Meta::default(), body: Body::Whiteout })?;
                self.index.tree.link(folder, name, mark);
            }
        }
        Ok(())
    }

    fn opaque(&mut self, path: &[u8]) -> Result<(), LayerError> {
        let folder = self.folder(path)?;
        if let Some(folder) = self.index.tree.node_mut(folder).folder_mut() {
            folder.opaque = true;
        }
        Ok(())
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), LayerError> {
        let target = names::clean(target)?;
        let hostile = |reason| LayerError::Hostile { path: shown(path), reason };
        if target == path || target.is_empty() || path.is_empty() {
            return Err(hostile("a hard link to itself or to the root"));
        }
        let found = self.index.tree.find(&target).map(|id| (id, &self.index.tree.node(id).body));
        let id = match found {
            Some((_, Body::Folder(_))) => return Err(hostile("a hard link to a folder")),
            Some((_, Body::Whiteout)) => {
                return Err(LayerError::DanglingLink { path: shown(path), target: shown(&target) });
            }
            Some((id, _)) => id,
            None => self.add(Node { meta: Meta::default(), body: Body::Link(target.into()) })?,
        };
        let (folder, name) = names::split(path);
        let folder = self.folder(folder)?;
        self.index.tree.link(folder, name, id);
        Ok(())
    }
}

/// How far it is from an entry's content to the next header.
fn content_bytes(entry: &ParsedEntry<'_>, data: u64) -> Result<u64, LayerError> {
    let too_large = || LayerError::TooLarge {
        what: format!("file {:?} of {} bytes", shown(&entry.path), entry.size),
        limit: FILE_BYTES,
    };
    if entry.size > FILE_BYTES || data + entry.size > TAR_BYTES {
        return Err(too_large());
    }
    Ok(entry.size.next_multiple_of(BLOCK))
}

/// The time of an entry, from its pax header where that has one; refuses pax values that the parser passed over.
fn pax_overrides(entry: &ParsedEntry<'_>, sparse: bool) -> Result<(i64, u32), LayerError> {
    let mut time = (entry.mtime as i64, 0);
    let Some(pax) = entry.pax else { return Ok(time) };
    let wrong = |key: &str| LayerError::Tar {
        offset: 0,
        reason: format!("pax header {key:?} of {:?} is wrong", shown(&entry.path)),
    };
    let versioned = PaxExtensions::new(pax).flatten().any(|record| record.key_bytes() == b"GNU.sparse.major");
    for record in PaxExtensions::new(pax) {
        let record = record.map_err(|error| LayerError::Tar { offset: 0, reason: error.to_string() })?;
        let value = record.value_bytes();
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        match record.key_bytes() {
            b"mtime" => time = pax_time(value).ok_or_else(|| wrong("mtime"))?,
            // The size then counts the map that stands before the data, which the parser has taken off already.
            b"size" if sparse && versioned => return Err(wrong("size")),
            key @ (b"size"
            | b"uid"
            | b"gid"
            | b"GNU.sparse.realsize"
            | b"GNU.sparse.size"
            | b"GNU.sparse.offset"
            | b"GNU.sparse.numbytes")
                if number().is_none() =>
            {
                return Err(wrong(&String::from_utf8_lossy(key)));
            }
            _ => {}
        }
    }
    Ok(time)
}

/// `[-]seconds[.fraction]`, rounded down to nanoseconds.
fn pax_time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) || whole.starts_with('+') {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

/// What an entry is; none for what is left out without a word.
fn body(
    entry: &ParsedEntry<'_>,
    folder: bool,
    path: &[u8],
    data: u64,
    sparse: Option<u64>,
) -> Result<Option<Body>, LayerError> {
    if folder {
        return Ok(Some(Body::Folder(Folder::default())));
    }
    let device = || device(entry, path);
    Ok(Some(match entry.entry_type {
        EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse => {
            let block = u32::try_from(data / BLOCK).unwrap_or(u32::MAX);
            Body::File { size: sparse.unwrap_or(entry.size), data: Data::Run { device: 1, block } }
        }
        EntryType::Symlink => Body::Symlink(symlink_target(entry, path)?),
        EntryType::Char => match device()? {
            // Overlay's own mark for a deleted name: an image may not bring one.
            Device { major: 0, minor: 0 } => return Ok(None),
            device => Body::Character(device),
        },
        EntryType::Block => Body::Block(device()?),
        EntryType::Fifo => Body::Fifo,
        other => {
            let reason = format!("entries of type {:?} are not taken", char::from(other.to_byte()));
            return Err(LayerError::Unsupported { path: shown(path), reason });
        }
    }))
}

fn symlink_target(entry: &ParsedEntry<'_>, path: &[u8]) -> Result<Box<[u8]>, LayerError> {
    let target = entry.link_target.as_deref().unwrap_or_default();
    if target.is_empty() || target.contains(&0) {
        return Err(LayerError::Hostile { path: shown(path), reason: "a symbolic link to nothing" });
    }
    if target.len() > names::PATH_BYTES {
        return Err(LayerError::TooLarge {
            what: format!("target of {:?}", shown(path)),
            limit: names::PATH_BYTES as u64,
        });
    }
    Ok(target.into())
}

fn device(entry: &ParsedEntry<'_>, path: &[u8]) -> Result<Device, LayerError> {
    let (major, minor) = (entry.dev_major.unwrap_or_default(), entry.dev_minor.unwrap_or_default());
    if major > 0xfff || minor > 0xf_ffff {
        return Err(LayerError::Unsupported {
            path: shown(path),
            reason: format!("device {major}:{minor} is no device of Linux"),
        });
    }
    Ok(Device { major, minor })
}
