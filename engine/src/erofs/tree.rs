//! The files of a layer or of a whole image in memory: what tars are read into, merged as, and indexes written from.

use std::collections::BTreeMap;

/// Place of a [`Node`] in its [`Tree`].
pub type NodeId = u32;
/// The root folder.
pub const ROOT: NodeId = 0;
/// Chunk that has no data: reads as zeros.
pub const HOLE: u32 = u32::MAX;

/// An arena of nodes; several names may hold the same node (hard links), and nodes that lost their last name stay in
/// the arena unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// What one inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode, time, attributes.
    pub meta: Meta,
    /// What kind of thing it is, with its content.
    pub body: Body,
}

/// Extended attributes: names and values.
pub type Attributes = Vec<(Box<[u8]>, Box<[u8]>)>;

/// What all kinds of nodes have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u16,
    /// Owner, as in the image.
    pub uid: u32,
    /// Group, as in the image.
    pub gid: u32,
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after them.
    pub nanoseconds: u32,
    /// Extended attributes that passed the checks, by whole name, sorted.
    pub attributes: Attributes,
}

/// Kinds of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Where they are.
        data: Data,
    },
    /// A folder.
    Folder(Folder),
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    /// A character device.
    Character(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
    /// Hides the name in the layers below. Only in the tree of one layer.
    Whiteout,
    /// A hard link to this path of the layers below. Only in the tree of one layer.
    Link(Box<[u8]>),
}

/// Numbers of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// At most 4,095.
    pub major: u32,
    /// At most 1,048,575.
    pub minor: u32,
}

/// A folder's content and what it means for the layers below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// By name.
    pub children: BTreeMap<Box<[u8]>, NodeId>,
    /// Hides the content of the folder of the same name below. Only in the tree of one layer.
    pub opaque: bool,
    /// The tar had no entry for it, only for things in it: owner and mode come from below. Only in the tree of one
    /// layer.
    pub implied: bool,
}

/// Where a file's bytes are. Devices count from 1, in the order of the index's device table; blocks have 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In one run.
    Run {
        /// Device.
        device: u16,
        /// First block.
        block: u32,
    },
    /// In chunks of `512 << bits` bytes, each in one run or a [`HOLE`].
    Chunks {
        /// Size of a chunk.
        bits: u8,
        /// Device of all of them.
        device: u16,
        /// First block of each chunk.
        blocks: Box<[u32]>,
    },
}

impl Meta {
    /// Of a folder that nothing describes.
    pub fn plain_folder() -> Self {
        Self { mode: 0o755, ..Self::default() }
    }
}

impl Node {
    /// A folder that the tar does not list.
    pub fn implied_folder() -> Self {
        Self { meta: Meta::plain_folder(), body: Body::Folder(Folder { implied: true, ..Folder::default() }) }
    }

    /// Its content, if it is a folder.
    pub fn folder(&self) -> Option<&Folder> {
        match &self.body {
            Body::Folder(folder) => Some(folder),
            _ => None,
        }
    }

    /// Its content to change, if it is a folder.
    pub fn folder_mut(&mut self) -> Option<&mut Folder> {
        match &mut self.body {
            Body::Folder(folder) => Some(folder),
            _ => None,
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::implied_folder()] }
    }
}

impl Tree {
    /// An empty root folder, implied.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nodes in the arena, unseen ones too.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Always false: there is the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// A node to change.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Adds a node without a name.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(node);
        id
    }

    /// The node of a name in a folder.
    pub fn child(&self, folder: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(folder).folder()?.children.get(name).copied()
    }

    /// The node of a clean path (no empty, `.` or `..` part), without following symbolic links. The empty path is the root.
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        path.split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |folder, name| self.child(folder, name))
    }

    /// Gives a node a name in a folder; what had the name loses it. Does nothing when `folder` is no folder.
    pub fn link(&mut self, folder: NodeId, name: &[u8], node: NodeId) {
        if let Some(folder) = self.node_mut(folder).folder_mut() {
            folder.children.insert(name.into(), node);
        }
    }

    /// Every node that has a name, folders before what is in them, with its first path.
    pub fn walk(&self) -> Vec<(NodeId, Vec<u8>)> {
        let mut seen = vec![false; self.nodes.len()];
        let mut found = Vec::new();
        let mut open = vec![(ROOT, Vec::new())];
        while let Some((id, path)) = open.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            if let Some(folder) = self.node(id).folder() {
                for (name, child) in folder.children.iter().rev() {
                    let mut below: Vec<u8> = path.clone();
                    if !below.is_empty() {
                        below.push(b'/');
                    }
                    below.extend_from_slice(name);
                    open.push((*child, below));
                }
            }
            found.push((id, path));
        }
        found
    }
}
