//! Hard links: within the layer, and to files of the layers below.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, linkat, statat};
use tar_core::parse::ParsedEntry;

use super::below;
use super::names::{self, Parts};
use super::write::{Writer, broken, kind, name, shown};
use crate::failure::Doing;
use crate::wire::Refusal;

/// A file of the layers below that was copied for the sake of a link to it.
#[derive(Debug)]
pub(super) struct Copied {
    /// Device and inode of the copy.
    pub inode: (u64, u64),
    /// Names that were given to it, some of which may be something else by now.
    pub names: Vec<Parts>,
}

impl Writer {
    pub(super) fn hard_link(&mut self, path: &Parts, entry: &ParsedEntry<'_>) -> Result<(), Refusal> {
        let target = names::clean(entry.link_target.as_deref().unwrap_or_default())?;
        let bad = |why: &str| broken(format!("the hard link {:?} leads to {why}", shown(&entry.path)));
        if target == *path || target.is_empty() {
            return Err(bad("itself or the root"));
        }
        let doing = || format!("unpack {:?}", shown(&entry.path));
        let Some((target_name, parents)) = target.split_last() else { return Err(bad("the root")) };
        let own = match below::walk(self.root.as_fd(), parents).doing(doing)? {
            Some(folder) => {
                let target_name = name(target_name).doing(doing)?;
                kind(folder.as_fd(), &target_name).doing(doing)?.map(|kind| (folder, target_name, kind))
            }
            None => None,
        };
        match own {
            None => self.link_to_below(path, &target).doing(doing)?.map_err(bad),
            Some((_, _, (FileType::Directory, _))) => Err(bad("a folder")),
            Some((_, _, (FileType::CharacterDevice, 0))) => Err(bad("a deleted name")),
            Some((folder, target_name, _)) => {
                let (to, name) = self.make_room(path).doing(doing)?;
                linkat(&folder, &target_name, &to, &name, AtFlags::empty()).doing(doing)
            }
        }
    }

    /// A link into the layers below, which cannot be one on disk: a copy, to which further links lead. Says what is
    /// wrong with the target.
    fn link_to_below(&mut self, path: &Parts, target: &Parts) -> io::Result<Result<(), &'static str>> {
        let found = self.below.as_ref().map(|view| below::find(view.as_fd(), target)).transpose()?.flatten();
        let Some(found) = found else { return Ok(Err("something that no layer has")) };
        if found.kind() == FileType::Directory {
            return Ok(Err("a folder"));
        }
        let copied = self.copied.remove(target);
        let again = copied.as_ref().map(|copied| self.still_there(copied)).transpose()?.flatten();
        let (folder, name) = self.make_room(path)?;
        let copied = match (again, copied) {
            (Some((first, first_name)), Some(mut copied)) => {
                linkat(&first, &first_name, &folder, &name, AtFlags::empty())?;
                copied.names.push(path.clone());
                copied
            }
            _ => {
                found.copy(folder.as_fd(), &name)?;
                let made = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                Copied { inode: (made.st_dev, made.st_ino), names: vec![path.clone()] }
            }
        };
        self.copied.insert(target.clone(), copied);
        Ok(Ok(()))
    }

    /// Folder and name under which a copy still is.
    pub(super) fn still_there(&self, copied: &Copied) -> io::Result<Option<(OwnedFd, CString)>> {
        for path in &copied.names {
            let Some((last, parents)) = path.split_last() else { continue };
            let Some(folder) = below::walk(self.root.as_fd(), parents)? else { continue };
            let name = name(last)?;
            match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if (found.st_dev, found.st_ino) == copied.inode => return Ok(Some((folder, name))),
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
