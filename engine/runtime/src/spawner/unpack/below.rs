//! What the layers below have: a layer's hard links may lead there, and folders that its tar only implies look as there.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Uid, chownat, ftruncate, mknodat, openat, readlinkat, seek,
    statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::names::Parts;
use crate::failure::Doing;
use crate::rootfs::layers::open_layer;
use crate::rootfs::{copy_up, overlay};
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_EXECUTE, NO_SETUID, READ_ONLY, copy_tree};
use crate::wire::Refusal;

/// A read-only mount of what `folders`, top first, show on top of each other; none for no folders. From its root no
/// `..` leads anywhere.
pub(super) fn view(data: BorrowedFd<'_>, folders: &[PathBuf]) -> Result<Option<OwnedFd>, Refusal> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let opened: Vec<OwnedFd> =
        folders.iter().map(|path| open_layer(data, path, flags)).collect::<Result<_, Refusal>>()?;
    let doing = || "look at the layers below".to_owned();
    match &opened[..] {
        [] => Ok(None),
        [one] => {
            let attributes =
                Attributes { set: READ_ONLY | NO_SETUID | NO_DEVICES | NO_EXECUTE, ..Attributes::default() };
            copy_tree(one.as_fd(), std::path::Path::new(""), attributes, false).map(Some).doing(doing)
        }
        several => overlay::show(several).map(Some).doing(doing),
    }
}

/// One thing that the layers below have.
pub(super) struct Found {
    folder: OwnedFd,
    name: CString,
    pub about: Stat,
}

impl Found {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.about.st_mode)
    }

    /// Copies it under `name` into `folder`, where nothing of that name is.
    pub fn copy(&self, folder: BorrowedFd<'_>, name: &CString) -> io::Result<()> {
        match self.kind() {
            FileType::RegularFile => return self.copy_file(folder, name),
            FileType::Symlink => symlinkat(readlinkat(&self.folder, &self.name, Vec::new())?, folder, name)?,
            kind => {
                let mode = Mode::from_raw_mode(self.about.st_mode & 0o7777);
                mknodat(folder, name, kind, mode, self.about.st_rdev)?;
            }
        }
        let owner = (Some(Uid::from_raw(self.about.st_uid)), Some(Gid::from_raw(self.about.st_gid)));
        chownat(folder, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        if self.kind() != FileType::Symlink {
            let mode = Mode::from_raw_mode(self.about.st_mode & 0o7777);
            rustix::fs::chmodat(folder, name, mode, AtFlags::empty())?;
        }
        let times = super::times((self.about.st_mtime, self.about.st_mtime_nsec as u32));
        Ok(utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn copy_file(&self, folder: BorrowedFd<'_>, name: &CString) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = File::from(openat(&self.folder, &self.name, flags, Mode::empty())?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o600))?);
        let mut at = 0;
        // Run by run, so that holes stay holes.
        loop {
            let begin = match seek(&from, SeekFrom::Data(at)) {
                Err(Errno::NXIO) => break,
                answer => answer?,
            };
            let end = seek(&from, SeekFrom::Hole(begin))?;
            seek(&from, SeekFrom::Start(begin))?;
            seek(&to, SeekFrom::Start(begin))?;
            io::copy(&mut io::Read::take(&from, end - begin), &mut &to)?;
            at = end;
        }
        ftruncate(&to, self.about.st_size as u64)?;
        copy_up::describe(from.as_fd(), to.as_fd(), &self.about, of_layers)
    }
}

/// What is at `path` in a view, no link followed.
pub(super) fn find(view: BorrowedFd<'_>, path: &Parts) -> io::Result<Option<Found>> {
    let Some((last, parents)) = path.split_last() else { return Ok(None) };
    let Some(folder) = walk(view, parents)? else { return Ok(None) };
    let name = CString::new(&last[..])?;
    match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) => Ok(Some(Found { folder, name, about })),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The folder at `path`, no link followed; none when there is none.
pub(super) fn walk(root: BorrowedFd<'_>, path: &[Vec<u8>]) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = openat(root, c".", flags, Mode::empty())?;
    for part in path {
        folder = match openat(&folder, &CString::new(&part[..])?, flags, Mode::empty()) {
            Ok(below) => below,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(Some(folder))
}

/// Which attributes a layer may have, whoever wrote it there.
pub(super) fn of_layers(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}
