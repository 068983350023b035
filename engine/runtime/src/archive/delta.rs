//! What a container has made of its image's files.
//!
//! Told from three views of one root: its writable layer, the image beneath, and what both show together. Overlay's own
//! mark of a folder that hides what lies below it is an attribute that nobody in a user namespace can read; but such a
//! folder shows itself, since nothing else hides a name that the writable layer does not have. Where it hides none, it
//! makes no difference.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use super::pack::is_wanted;
use super::read::{joined, sorted};
use super::shown;
use crate::failure::Doing;
use crate::rootfs::folder;
use crate::wire::Refusal;
use crate::wire::socket::Connection;

/// Folders between two looks whether anybody still wants it.
const LOOK: u32 = 64;

/// Three views of one root, read-only.
#[derive(Debug)]
pub struct Views {
    /// The writable layer.
    pub upper: OwnedFd,
    /// The image.
    pub lower: OwnedFd,
    /// Both.
    pub merged: OwnedFd,
}

/// Who takes the differences. A folder comes before what is in it.
pub(super) trait Sink {
    /// `path` is new, or another one when it `existed`: the file `name` of `folder`, with nothing of what it may hold.
    fn entry(&mut self, path: &[u8], folder: BorrowedFd<'_>, name: &CStr, existed: bool) -> Result<(), Refusal>;
    /// The folder at `path` is as it was (or is there for a mount alone, when it did not exist), what is in it is not.
    fn within(&mut self, path: &[u8], folder: BorrowedFd<'_>, existed: bool) -> Result<(), Refusal>;
    /// `path` is gone; `about` is what stands for it in the writable layer.
    fn gone(&mut self, path: &[u8], about: &Stat) -> Result<(), Refusal>;
    /// Of what the image has in the folder at `path` these names are gone, and whatever it has beneath others.
    fn hidden(&mut self, path: &[u8], names: &[CString], about: &Stat) -> Result<(), Refusal>;
    /// Whether what an opaque folder has beneath it is still told against the image.
    fn looks_beneath_hidden(&self) -> bool;
}

/// Walks the writable layer.
pub(super) struct Delta<'a, S> {
    sink: &'a mut S,
    client: &'a Connection,
    unlooked: u32,
    /// Paths that a start makes for its mounts where the image has none, and the folders above them.
    places: BTreeSet<Vec<u8>>,
    /// Folders on the way down that have not been told of.
    waiting: Vec<(Vec<u8>, OwnedFd, bool)>,
}

/// The folder of one path in each view.
struct Folder {
    path: Vec<u8>,
    upper: OwnedFd,
    /// None where the image has no such folder.
    lower: Option<OwnedFd>,
    merged: Option<OwnedFd>,
}

impl<'a, S: Sink> Delta<'a, S> {
    /// `places` are where a start mounts something.
    pub fn new<'p>(sink: &'a mut S, client: &'a Connection, places: impl Iterator<Item = &'p Path>) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let above = |place: &'p Path| place.ancestors().map(|path| path.as_os_str().as_bytes());
        let places = places.flat_map(above).map(|path| path.strip_prefix(b"/").unwrap_or(path).to_vec()).collect();
        Self { sink, client, unlooked: 0, places, waiting: Vec::new() }
    }

    /// All of it.
    pub fn walk(&mut self, views: Views) -> Result<(), Refusal> {
        let Views { upper, lower, merged } = views;
        let open = |view: OwnedFd| folder::open(view, c".").doing(|| "open a view of the root".to_owned());
        let root =
            Folder { path: Vec::new(), upper: open(upper)?, lower: Some(open(lower)?), merged: Some(open(merged)?) };
        let doing = || "look at the root".to_owned();
        let (upper, lower) =
            (fstat(&root.upper).doing(doing)?, root.lower.as_ref().map(fstat).transpose().doing(doing)?);
        if lower.is_some_and(|lower| !looks_alike(&upper, &lower)) {
            self.sink.within(b"", root.upper.as_fd(), true)?;
        }
        self.folder(root)
    }

    /// What is in one folder.
    fn folder(&mut self, at: Folder) -> Result<(), Refusal> {
        let doing = || format!("look into {:?}", shown(&at.path));
        self.look().doing(doing)?;
        let names = sorted(at.upper.as_fd()).doing(doing)?;
        let hidden = hidden(&at, &names).doing(doing)?;
        if !hidden.is_empty() {
            self.tell_waiting()?;
            let about = fstat(&at.upper).doing(doing)?;
            self.sink.hidden(&at.path, &hidden, &about)?;
        }
        let against = hidden.is_empty() || self.sink.looks_beneath_hidden();
        let lower = at.lower.as_ref().filter(|_| against);
        for name in names {
            self.one(&at, lower, &name)?;
        }
        Ok(())
    }

    fn one(&mut self, at: &Folder, lower: Option<&OwnedFd>, name: &CStr) -> Result<(), Refusal> {
        let path = joined(&at.path, name.to_bytes());
        let doing = || format!("look at {:?}", shown(&path));
        let Some(about) = stat(at.upper.as_fd(), name).doing(doing)? else { return Ok(()) };
        let before = lower.map(|lower| stat(lower.as_fd(), name)).transpose().doing(doing)?.flatten();
        if is_mark(&about) {
            if before.is_some() {
                self.tell_waiting()?;
                self.sink.gone(&path, &about)?;
            }
            return Ok(());
        }
        if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
            let made_for_a_mount = before.is_none() && about.st_size == 0 && self.places.contains(&path);
            if made_for_a_mount {
                return Ok(());
            }
            self.tell_waiting()?;
            return self.sink.entry(&path, at.upper.as_fd(), name, before.is_some());
        }
        let upper = folder::open(&at.upper, name).doing(doing)?;
        let was_folder = before.filter(|before| FileType::from_raw_mode(before.st_mode) == FileType::Directory);
        let below = match (&was_folder, lower) {
            (Some(_), Some(lower)) => Some(folder::open(lower, name).doing(doing)?),
            _ => None,
        };
        // Gone meanwhile where the container runs on: then nothing beneath it can be told to be hidden.
        let merged = match (&below, &at.merged) {
            (Some(_), Some(merged)) => folder::open(merged, name).ok(),
            _ => None,
        };
        let made_for_a_mount = before.is_none() && self.places.contains(&path);
        let waits = match &was_folder {
            Some(was) => {
                looks_alike(&about, was)
                    && (self.has_places(&path)
                        || about.st_mtime == was.st_mtime && about.st_mtime_nsec == was.st_mtime_nsec)
            }
            None => made_for_a_mount,
        };
        if waits {
            let held = upper.try_clone().doing(doing)?;
            self.waiting.push((path.clone(), held, before.is_some()));
        } else {
            self.tell_waiting()?;
            self.sink.entry(&path, at.upper.as_fd(), name, before.is_some())?;
        }
        let depth = self.waiting.len();
        self.folder(Folder { path, upper, lower: below, merged })?;
        if waits && self.waiting.len() == depth {
            self.waiting.pop();
        }
        Ok(())
    }

    /// Tells of the folders above what comes now.
    fn tell_waiting(&mut self) -> Result<(), Refusal> {
        for (path, folder, existed) in std::mem::take(&mut self.waiting) {
            self.sink.within(&path, folder.as_fd(), existed)?;
        }
        Ok(())
    }

    /// Whether a start makes places for mounts in this folder, which changes its time.
    fn has_places(&self, path: &[u8]) -> bool {
        self.places.contains(path)
    }

    fn look(&mut self) -> io::Result<()> {
        self.unlooked += 1;
        if self.unlooked < LOOK {
            return Ok(());
        }
        self.unlooked = 0;
        is_wanted(self.client)
    }
}

/// Names that the image has in a folder, that the writable layer does not have and that are not shown.
fn hidden(at: &Folder, names: &[CString]) -> io::Result<Vec<CString>> {
    let (Some(lower), Some(merged)) = (&at.lower, &at.merged) else { return Ok(Vec::new()) };
    let mut hidden = Vec::new();
    for name in sorted(lower.as_fd())? {
        let is_own = names.binary_search(&name).is_ok();
        if !is_own && stat(merged.as_fd(), &name)?.is_none() {
            hidden.push(name);
        }
    }
    Ok(hidden)
}

fn stat(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Stat>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Overlay's mark of a deleted name.
fn is_mark(about: &Stat) -> bool {
    FileType::from_raw_mode(about.st_mode) == FileType::CharacterDevice && about.st_rdev == 0
}

fn looks_alike(one: &Stat, other: &Stat) -> bool {
    (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)
}
