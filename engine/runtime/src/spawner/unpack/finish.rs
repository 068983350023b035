//! What can be told only when the whole layer is there: marks that hide nothing, names that a link to below brings
//! along, owners and modes of folders that the tar only implies, times of folders.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, fgetxattr, futimens, linkat, mknodat, unlinkat};

use super::names::Parts;
use super::write::{OPAQUE, Writer, kind, name, opaque};
use super::{below, times};
use crate::failure::Doing;
use crate::rootfs::{copy_up, folder};
use crate::wire::Refusal;

impl Writer {
    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        let doing = || "finish the layer".to_owned();
        if self.root_is_opaque {
            self.hide_all_below().doing(doing)?;
        }
        self.join_links().doing(doing)?;
        self.drop_idle_marks().doing(doing)?;
        self.describe_implied().doing(doing)?;
        self.set_times().doing(doing)?;
        rustix::fs::syncfs(&self.root).doing(|| "write a layer to disk".to_owned())
    }

    /// Overlay does not look at the mark of an opaque folder on a root, so what is in it is hidden name by name.
    fn hide_all_below(&mut self) -> io::Result<()> {
        let Some(view) = &self.below else { return Ok(()) };
        for name in folder::names(folder::open(view, c".")?.as_fd())? {
            match kind(self.root.as_fd(), &name)? {
                None => mknodat(&self.root, &name, FileType::CharacterDevice, Mode::empty(), 0)?,
                Some((FileType::Directory, _)) => opaque(folder::open(&self.root, &name)?.as_fd())?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A link to a file of the layers below is a link to a copy, and the copy takes that file's name as well.
    fn join_links(&mut self) -> io::Result<()> {
        for (target, copied) in std::mem::take(&mut self.copied) {
            let (Some((last, parents)), Some((folder, first))) = (target.split_last(), self.still_there(&copied)?)
            else {
                continue;
            };
            if !self.shows_below(&target)? || self.has(&target)? {
                continue;
            }
            let parent = self.folder(&parents.to_vec())?;
            linkat(&folder, &first, &parent, &name(last)?, AtFlags::empty())?;
        }
        Ok(())
    }

    /// A mark that hides nothing would be listed as a file of its folder: overlay looks for marks only where several
    /// layers have the folder.
    fn drop_idle_marks(&mut self) -> io::Result<()> {
        for path in std::mem::take(&mut self.whiteouts) {
            let Some((last, parents)) = path.split_last() else { continue };
            let Some(folder) = below::walk(self.root.as_fd(), parents)? else { continue };
            let name = name(last)?;
            let marked = matches!(kind(folder.as_fd(), &name)?, Some((FileType::CharacterDevice, 0)));
            if marked && !(self.shows_below(&path)? && self.is_below(&path)?) {
                unlinkat(&folder, &name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Overlay shows owner and mode of the topmost folder of a name, so one that is only implied has to look like the
    /// one that it covers.
    fn describe_implied(&mut self) -> io::Result<()> {
        for path in std::mem::take(&mut self.implied) {
            let Some(folder) = below::walk(self.root.as_fd(), &path)? else { continue };
            let covered = match &self.below {
                Some(view) if self.shows_below(&path)? => below::walk(view.as_fd(), &path)?,
                _ => None,
            };
            match covered {
                Some(covered) => {
                    let about = rustix::fs::fstat(&covered)?;
                    copy_up::describe(covered.as_fd(), folder.as_fd(), &about, below::of_layers)?;
                }
                None => futimens(&folder, &times((0, 0)))?,
            }
        }
        Ok(())
    }

    fn set_times(&mut self) -> io::Result<()> {
        for (path, time) in std::mem::take(&mut self.times) {
            // A later entry may have replaced it.
            if let Some(folder) = below::walk(self.root.as_fd(), &path)? {
                futimens(&folder, &times(time))?;
            }
        }
        Ok(())
    }

    /// Whether this layer lets what lies below at `path` be seen, as far as the folders above it go.
    fn shows_below(&self, path: &Parts) -> io::Result<bool> {
        let Some((_, parents)) = path.split_last() else { return Ok(true) };
        if self.root_is_opaque {
            return Ok(false);
        }
        let mut folder = self.root.try_clone()?;
        for part in parents {
            let name = name(part)?;
            match kind(folder.as_fd(), &name)? {
                None => return Ok(true),
                Some((FileType::Directory, _)) => folder = folder::open(&folder, &name)?,
                Some(_) => return Ok(false),
            }
            if is_opaque(folder.as_fd())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_below(&self, path: &Parts) -> io::Result<bool> {
        match &self.below {
            Some(view) => Ok(below::find(view.as_fd(), path)?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether this layer has anything at `path`, a mark included.
    fn has(&self, path: &Parts) -> io::Result<bool> {
        Ok(below::find(self.root.as_fd(), path)?.is_some())
    }
}

fn is_opaque(folder: BorrowedFd<'_>) -> io::Result<bool> {
    match fgetxattr(folder, OPAQUE, &mut [0_u8; 8][..]) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NODATA) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
