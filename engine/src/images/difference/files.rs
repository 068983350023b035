//! Two indexes side by side, folder by folder.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::erofs::tree::{Body, Data, Node};
use crate::erofs::{Index, ReadError};
use crate::layers::LayerError;
use crate::layers::look::Look;

/// Most names of both sides together.
const NAMES: u64 = 4_000_000;
/// Folders within folders.
const DEPTH: usize = 2_048;
/// Bytes that are read to compare files of equal size.
const READ_BYTES: u64 = 1 << 30;
/// Bytes that are compared at once.
const PIECE: usize = 64 << 10;

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another file, or has other bytes, owner, mode or attributes. Times do not count.
    Changed,
    /// It is gone.
    Removed,
}

/// What a name is, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe.
    Other,
}

/// One name that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileDifference {
    /// Absolute; what is not UTF-8 in it is replaced.
    pub path: String,
    /// What became of it.
    pub change: Change,
    /// What it is, or was.
    pub kind: FileKind,
    /// Its bytes before; `None`: it was not there.
    pub before_bytes: Option<u64>,
    /// Its bytes after; `None`: it is not there.
    pub after_bytes: Option<u64>,
    /// Other bytes, another target, another kind; else only owner, mode or attributes differ.
    pub content: bool,
}

/// So many names, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Names.
    pub count: u64,
    /// Bytes before. A file with two names counts twice.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
}

/// All names that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The largest of them, largest first.
    pub listed: Vec<FileDifference>,
    /// All that are new.
    pub added: Total,
    /// All that changed.
    pub changed: Total,
    /// All that are gone.
    pub removed: Total,
    /// Of one size in both, but in other layers, and not compared: more bytes than are read for one answer.
    pub not_compared: u64,
}

impl Files {
    /// How many differ and are not listed.
    pub fn more(&self) -> u64 {
        let all = self.added.count + self.changed.count + self.removed.count;
        all.saturating_sub(self.listed.len() as u64)
    }
}

/// Compares all names.
pub(super) fn compare(old: &Look, new: &Look, most: usize, stopped: &AtomicBool) -> Result<Files, LayerError> {
    let mut walk = Walk {
        old: Side { look: old, index: old.index()? },
        new: Side { look: new, index: new.index()? },
        found: Files::default(),
        largest: BinaryHeap::new(),
        most,
        names: 0,
        to_read: READ_BYTES,
        stopped,
    };
    walk.run()?;
    let mut listed: Vec<_> = walk.largest.into_iter().map(|Reverse((_, _, one))| one).collect();
    listed.sort_by(|one, other| size(other).cmp(&size(one)).then_with(|| one.path.cmp(&other.path)));
    Ok(Files { listed, ..walk.found })
}

fn size(one: &FileDifference) -> u64 {
    one.before_bytes.max(one.after_bytes).unwrap_or_default()
}

#[derive(Clone, Copy)]
struct Side<'a> {
    look: &'a Look,
    index: Index<'a>,
}

impl<'a> Side<'a> {
    fn entries(&self, nid: Option<u64>) -> Result<Vec<(&'a [u8], u64)>, LayerError> {
        nid.map_or_else(|| Ok(Vec::new()), |nid| self.index.entries(nid).map_err(|error| self.damaged(error)))
    }

    fn node(&self, nid: u64) -> Result<Node, LayerError> {
        self.index.node(nid).map_err(|error| self.damaged(error))
    }

    fn damaged(&self, error: ReadError) -> LayerError {
        self.look.damaged(error.0)
    }
}

/// A folder to be looked into: on both sides, or on one.
struct Open {
    old: Option<u64>,
    new: Option<u64>,
    path: Vec<u8>,
    depth: usize,
}

struct Walk<'a> {
    old: Side<'a>,
    new: Side<'a>,
    found: Files,
    /// By size, then by path, the least of them on top.
    largest: BinaryHeap<Reverse<(u64, Reverse<String>, FileDifference)>>,
    most: usize,
    names: u64,
    to_read: u64,
    stopped: &'a AtomicBool,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), LayerError> {
        let root = |side: &Side<'_>| side.index.root().map_err(|error| side.damaged(error));
        let (old, new) = (root(&self.old)?, root(&self.new)?);
        self.pair(b"", (old, new), 0, &mut Vec::new())?;
        let mut open = vec![Open { old: Some(old), new: Some(new), path: Vec::new(), depth: 0 }];
        while let Some(folder) = open.pop() {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            if folder.depth > DEPTH {
                return Err(self.new.look.damaged("folders within folders without end"));
            }
            self.folder(&folder, &mut open)?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Open, open: &mut Vec<Open>) -> Result<(), LayerError> {
        let (old, new) = (self.old.entries(folder.old)?, self.new.entries(folder.new)?);
        self.names += (old.len() + new.len()) as u64;
        if self.names > NAMES {
            return Err(LayerError::TooLarge { what: "names of both images".to_owned(), limit: NAMES });
        }
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((one, _)), Some((other, _))) => one.cmp(other),
            };
            let before = if order.is_le() { old.next() } else { None };
            let after = if order.is_ge() { new.next() } else { None };
            let Some(name) = before.or(after).map(|(name, _)| name) else { return Ok(()) };
            let path = [folder.path.as_slice(), b"/", name].concat();
            match (before, after) {
                (Some((_, before)), Some((_, after))) => self.pair(&path, (before, after), folder.depth, open)?,
                (Some((_, before)), None) => {
                    let node = self.old.node(before)?;
                    self.report(&path, Change::Removed, Some(&node), None, true);
                    if node.folder().is_some() {
                        open.push(Open { old: Some(before), new: None, path, depth: folder.depth + 1 });
                    }
                }
                (None, Some((_, after))) => {
                    let node = self.new.node(after)?;
                    self.report(&path, Change::Added, None, Some(&node), true);
                    if node.folder().is_some() {
                        open.push(Open { old: None, new: Some(after), path, depth: folder.depth + 1 });
                    }
                }
                (None, None) => return Ok(()),
            }
        }
    }

    /// A name that both have.
    fn pair(
        &mut self,
        path: &[u8],
        (before, after): (u64, u64),
        depth: usize,
        open: &mut Vec<Open>,
    ) -> Result<(), LayerError> {
        let (old, new) = (self.old.node(before)?, self.new.node(after)?);
        let content = self.content_differs(&old, &new)?;
        if content || !same_meta(&old, &new) {
            self.report(path, Change::Changed, Some(&old), Some(&new), content);
        }
        let inside = |node: &Node, nid: u64| node.folder().map(|_| nid);
        let (before, after) = (inside(&old, before), inside(&new, after));
        if !path.is_empty() && (before.is_some() || after.is_some()) {
            open.push(Open { old: before, new: after, path: path.to_vec(), depth: depth + 1 });
        }
        Ok(())
    }

    fn content_differs(&mut self, old: &Node, new: &Node) -> Result<bool, LayerError> {
        let (Body::File { size, data }, Body::File { size: other_size, data: other }) = (&old.body, &new.body) else {
            return Ok(match (&old.body, &new.body) {
                (Body::Folder(_), Body::Folder(_)) => false,
                (one, other) => one != other,
            });
        };
        if size != other_size {
            return Ok(true);
        }
        if *size == 0 || self.place(self.old.look, data) == self.place(self.new.look, other) {
            return Ok(false);
        }
        if *size > self.to_read {
            self.found.not_compared += 1;
            return Ok(false);
        }
        self.to_read -= size;
        self.bytes_differ(old, new)
    }

    /// Where bytes are, told so that it means the same for both sides.
    fn place<'b>(&self, look: &'b Look, data: &'b Data) -> (Option<&'b Path>, u8, &'b [u32]) {
        match data {
            Data::Run { device, block } => (look.device(*device), 0, std::slice::from_ref(block)),
            Data::Chunks { bits, device, blocks } => (look.device(*device), *bits + 1, blocks),
        }
    }

    fn bytes_differ(&self, old: &Node, new: &Node) -> Result<bool, LayerError> {
        let failed = |look: &Look| {
            let path = look.device(1).map(Path::to_owned).unwrap_or_default();
            move |error| LayerError::io("read", path)(error)
        };
        let mut one = self.old.look.content(old).map_err(failed(self.old.look))?;
        let mut other = self.new.look.content(new).map_err(failed(self.new.look))?;
        let (mut ours, mut theirs) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
        loop {
            ours.clear();
            theirs.clear();
            one.by_ref().take(PIECE as u64).read_to_end(&mut ours).map_err(failed(self.old.look))?;
            other.by_ref().take(PIECE as u64).read_to_end(&mut theirs).map_err(failed(self.new.look))?;
            if ours != theirs {
                return Ok(true);
            }
            if ours.is_empty() || self.stopped.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
    }

    fn report(&mut self, path: &[u8], change: Change, old: Option<&Node>, new: Option<&Node>, content: bool) {
        let (before_bytes, after_bytes) = (old.map(bytes), new.map(bytes));
        let total = match change {
            Change::Added => &mut self.found.added,
            Change::Changed => &mut self.found.changed,
            Change::Removed => &mut self.found.removed,
        };
        total.count += 1;
        total.before_bytes = total.before_bytes.saturating_add(before_bytes.unwrap_or_default());
        total.after_bytes = total.after_bytes.saturating_add(after_bytes.unwrap_or_default());
        let size = before_bytes.max(after_bytes).unwrap_or_default();
        let full = self.largest.len() >= self.most;
        if full && self.largest.peek().is_none_or(|Reverse((least, _, _))| *least > size) {
            return;
        }
        let path = if path.is_empty() { "/".to_owned() } else { String::from_utf8_lossy(path).into_owned() };
        let kind = new.or(old).map_or(FileKind::Other, kind);
        let one = FileDifference { path: path.clone(), change, kind, before_bytes, after_bytes, content };
        self.largest.push(Reverse((size, Reverse(path), one)));
        if full {
            self.largest.pop();
        }
    }
}

fn bytes(node: &Node) -> u64 {
    if let Body::File { size, .. } = &node.body { *size } else { 0 }
}

fn kind(node: &Node) -> FileKind {
    match &node.body {
        Body::File { .. } => FileKind::File,
        Body::Folder(_) => FileKind::Folder,
        Body::Symlink(_) => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// Owner, mode, attributes; not the time.
fn same_meta(old: &Node, new: &Node) -> bool {
    let of = |node: &Node| (node.meta.mode, node.meta.uid, node.meta.gid);
    of(old) == of(new) && old.meta.attributes == new.meta.attributes
}
