//! Paths of a container that show nothing or cannot be written.
//!
//! CVE-2025-31133, CVE-2025-52881: every path is opened inside the root by openat2(2), the mount goes to the opened
//! place, and what stands for "nothing" is checked to be the null device by its number.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat, makedev};

use super::attach::{attach, new_mount, relative};
use super::resolve;
use crate::failure::{Doing, refusal};
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_EXECUTE, NO_SETUID, READ_ONLY, copy_tree};
use crate::wire::{Refusal, RefusalKind};

/// Masks paths inside one root (or stage).
#[derive(Debug)]
pub struct Masks<'root> {
    root: BorrowedFd<'root>,
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl<'root> Masks<'root> {
    /// For the root whose /dev/null is used.
    pub fn new(root: BorrowedFd<'root>) -> Self {
        Self { root, null: None, empty: None }
    }

    /// Lets `path` show nothing: the null device over a file, an empty folder over a folder. A missing path is left.
    ///
    /// # Errors
    /// With the path in the text.
    pub fn mask(&mut self, path: &Path) -> Result<(), Refusal> {
        let Some(place) = existing(self.root, path)? else { return Ok(()) };
        let doing = || format!("mask {}", path.display());
        if resolve::is_folder(place.as_fd()).doing(doing)? {
            return self.empty_folder(place.as_fd()).doing(doing);
        }
        let cover = self.null_device()?.doing(doing)?;
        attach(cover.as_fd(), place.as_fd()).doing(doing)
    }

    /// Makes `path` read-only with all that is mounted beneath it. A missing path is left.
    ///
    /// # Errors
    /// With the path in the text.
    pub fn read_only(&self, path: &Path, attributes: u64) -> Result<(), Refusal> {
        let Some(place) = existing(self.root, path)? else { return Ok(()) };
        let doing = || format!("make {} read-only", path.display());
        let attributes = Attributes { set: attributes | READ_ONLY, ..Attributes::default() };
        let copy = copy_tree(place.as_fd(), Path::new(""), attributes, true).doing(doing)?;
        attach(copy.as_fd(), place.as_fd()).doing(doing)
    }

    fn null_device(&mut self) -> Result<io::Result<OwnedFd>, Refusal> {
        if self.null.is_none() {
            let null =
                resolve::without_links(self.root, Path::new("dev/null")).doing(|| "open /dev/null".to_owned())?;
            let found = fstat(&null).doing(|| "look at /dev/null".to_owned())?;
            if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice || found.st_rdev != makedev(1, 3) {
                return Err(refusal(RefusalKind::Invalid, "/dev/null is not the null device"));
            }
            self.null = Some(null);
        }
        let null = self.null.as_ref().map_or(self.root, |null| null.as_fd());
        Ok(copy_tree(null, Path::new(""), Attributes::default(), false))
    }

    /// Puts an empty folder over `place`. The first one is attached as it is: only what is attached can be copied before
    /// Linux 6.15, and a mount that was never attached has its end waited for (synchronize_rcu).
    fn empty_folder(&mut self, place: BorrowedFd<'_>) -> io::Result<()> {
        if let Some(empty) = &self.empty {
            let copy = copy_tree(empty.as_fd(), Path::new(""), Attributes::default(), false)?;
            return attach(copy.as_fd(), place);
        }
        let options = [("size".to_owned(), Some("0".to_owned())), ("mode".to_owned(), Some("755".to_owned()))];
        let first = new_mount("tmpfs", &options, READ_ONLY | NO_SETUID | NO_DEVICES | NO_EXECUTE)?;
        attach(first.as_fd(), place)?;
        self.empty = Some(first);
        Ok(())
    }
}

fn existing(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Refusal> {
    match resolve::inside(root, relative(path)) {
        Ok(place) => Ok(Some(place)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::EACCES)) => Ok(None),
        Err(error) => Err(error).doing(|| format!("open {}", path.display())),
    }
}
