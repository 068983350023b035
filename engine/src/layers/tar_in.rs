//! Reading a layer's tar while it streams by, into a [`Tree`] whose files point into that tar.
//!
//! Nothing is unpacked and no symbolic link is ever followed: a name through one makes a folder in its place, as it
//! does in Docker's overlay. The rules are in docs/formats/layers.md.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tar_core::SparseEntry;
use tar_core::parse::ParsedEntry;

use super::LayerError;
use super::attributes::{self, On};
use super::entry::{self, FILE_BYTES};
use super::error::shown;
use super::framing::{Entries, Framer};
use super::names::{self, Name};
use crate::erofs::tree::{Body, Meta, Node, NodeId, ROOT, Tree};

/// Most inodes of one layer, folders that it only implies included.
pub const NODES_MAX: usize = 1_000_000;
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
#[derive(Debug, Default)]
pub struct TarReader {
    framer: Framer,
    files: Files,
}

#[derive(Debug)]
struct Files {
    pieces: usize,
    index: TarIndex,
}

impl Default for Files {
    fn default() -> Self {
        Self { pieces: 0, index: TarIndex { tree: Tree::new(), sparse: Vec::new(), high_ids: Vec::new() } }
    }
}

impl TarReader {
    /// The next bytes of the tar.
    ///
    /// # Errors
    /// The first thing that is wrong with it; the reader is of no use afterwards.
    pub fn feed(&mut self, bytes: Bytes) -> Result<(), LayerError> {
        self.framer.feed(bytes, &mut self.files)
    }

    /// The tar is over.
    ///
    /// # Errors
    /// [`LayerError::Truncated`] when it ends within an entry.
    pub fn finish(self) -> Result<TarIndex, LayerError> {
        self.framer.finish()?;
        Ok(self.files.index)
    }
}

impl Entries for Files {
    fn entry(
        &mut self,
        entry: &ParsedEntry<'_>,
        data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> Result<u64, LayerError> {
        let content = entry::content_bytes(entry, data, sparse.is_some())?;
        self.take(entry, data, sparse)?;
        Ok(content)
    }
}

impl Files {
    /// Puts one entry into the tree.
    fn take(
        &mut self,
        entry: &ParsedEntry<'_>,
        data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> Result<(), LayerError> {
        let path = &entry.path[..];
        let on = entry::on(entry, sparse.is_some());
        let time = entry::time(entry, sparse.is_some())?;
        let name = match names::read(path)? {
            Name::Passed => return Ok(()),
            Name::Whiteout(path) => return self.whiteout(&path),
            Name::Opaque(path) => return self.opaque(&path),
            Name::Plain(path) => path,
        };
        if entry.is_hard_link() {
            return self.hard_link(&name, entry.link_target.as_deref().unwrap_or_default());
        }
        let meta = self.meta(entry, &name, on, time)?;
        let pieces = match sparse {
            Some((map, size)) => Some(self.pieces(&name, map, size, entry.size, data)?),
            None => None,
        };
        let Some(body) = entry::body(entry, on, &name, data, pieces.as_ref().map(|sparse| sparse.0))? else {
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
        let wrong =
            || LayerError::Tar { offset: data, reason: format!("the map of sparse file {:?} is wrong", shown(path)) };
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
