//! Into a container: a tar's entries become files below a folder of it.
//!
//! Names are made clean by their text, and what climbs out of the folder is refused; links on the way to an entry are
//! followed inside the container, the last part never. What is there is replaced, folders are merged.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, StatVfsMountFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fsetxattr, fstat, fstatvfs, ftruncate, futimens, linkat, makedev, mkdirat, mknodat, openat, statat,
    symlinkat, utimensat,
};
use rustix::io::Errno;
use tar_core::parse::ParsedEntry;
use tar_core::{EntryType, PaxExtensions, SparseEntry};

use super::path::{Asked, Parts, clean, evaluate, relative};
use super::take::{Content, Entries, broken, take};
use super::{missing, shown};
use crate::failure::{Doing, refusal, refused_by};
use crate::rootfs::resolve::{self, Kind};
use crate::rootfs::{folder, remove};
use crate::time::of_pax;
use crate::wire::{Refusal, RefusalKind};

/// How a tar is taken in.
#[derive(Debug)]
pub struct Writing<'a> {
    /// The folder.
    pub path: &'a str,
    /// A folder stays a folder, and what is none becomes none.
    pub keep_kinds: bool,
    /// User and group of all of it, instead of the tar's.
    pub owner: Option<(u32, u32)>,
}

/// Takes a tar in.
///
/// # Errors
/// `NotFound` and `Invalid` for the folder; what is wrong with the tar or could not be written. What was written until
/// then stays.
pub fn write(root: BorrowedFd<'_>, writing: &Writing<'_>, stream: File) -> Result<(), Refusal> {
    let folder = target(root, writing.path)?;
    let mut writer = Writer { root, folder, writing, last: None, folders: Vec::new() };
    take(stream, &mut writer)?;
    writer.set_times()
}

/// The folder, by its path without links.
fn target(root: BorrowedFd<'_>, path: &str) -> Result<Parts, Refusal> {
    let asked = Asked::parse(path)?;
    let doing = || format!("look at {path}");
    let parts = match evaluate(root, &asked.parts) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(refusal(RefusalKind::Invalid, format!("{path} is a link that leads to itself")));
        }
        answer => answer.doing(doing)?,
    };
    let place = match resolve::inside(root, &relative(&parts)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {
            return Err(missing(path));
        }
        answer => answer.doing(doing)?,
    };
    if !resolve::is_folder(place.as_fd()).doing(doing)? {
        return Err(refusal(RefusalKind::Invalid, "extraction point is not a directory"));
    }
    if fstatvfs(&place).doing(doing)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let of_root = fstatvfs(root).doing(doing)?.f_fsid == fstatvfs(&place).doing(doing)?.f_fsid
            && fstat(root).doing(doing)?.st_dev == fstat(&place).doing(doing)?.st_dev;
        let words = if of_root { "container rootfs is marked read-only" } else { "mounted volume is marked read-only" };
        return Err(refusal(RefusalKind::Invalid, words));
    }
    Ok(parts)
}

struct Writer<'a> {
    root: BorrowedFd<'a>,
    folder: Parts,
    writing: &'a Writing<'a>,
    /// The folder of the entry before, since most share it.
    last: Option<(Parts, OwnedFd)>,
    /// Folders with their times, set at the end: each new entry changes them.
    folders: Vec<(Parts, (i64, u32))>,
}

impl Entries for Writer<'_> {
    fn entry(
        &mut self,
        entry: &ParsedEntry<'_>,
        sparse: Option<(Vec<SparseEntry>, u64)>,
        content: &mut Content<'_>,
    ) -> Result<(), Refusal> {
        let shown = shown(&entry.path);
        let Some(parts) = clean(&entry.path) else {
            return Err(broken(format!("{shown:?} leads out of the folder, or is no path")));
        };
        let Some((last, parents)) = parts.split_last() else { return Ok(()) };
        let doing = || format!("write {shown:?}");
        let is_file = matches!(entry.entry_type, EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse);
        let is_folder = entry.is_dir() || is_file && sparse.is_none() && entry.path.ends_with(b"/");
        let time = time(entry)?;
        let owner = self.owner(entry)?;
        let parent = self.parent(parents).map_err(|error| refused(error, (0, 0), &shown))?;
        let name = CString::new(&last[..]).doing(doing)?;
        self.make_room(parent.as_fd(), &name, is_folder, &shown)?;
        let written = if is_folder {
            self.folders.push((parts.clone(), time));
            make_folder(parent.as_fd(), &name, entry, owner)
        } else if is_file {
            file(parent.as_fd(), &name, entry, owner, sparse, content)
                .and_then(|file| Ok(futimens(&file, &times(time))?))
        } else {
            match entry.entry_type {
                EntryType::Link => self.hard_link(entry, parent.as_fd(), &name)?,
                EntryType::Symlink => symlink(parent.as_fd(), &name, entry, owner, time),
                _ => special(parent.as_fd(), &name, entry, owner, time)?,
            }
        };
        written.map_err(|error| refused(error, owner, &shown))
    }
}

impl Writer<'_> {
    /// The folder of an entry, made on the way where it is missing.
    fn parent(&mut self, parents: &[Vec<u8>]) -> io::Result<OwnedFd> {
        if let Some((last, folder)) = &self.last
            && last == parents
        {
            return folder.try_clone();
        }
        let whole: Parts = self.folder.iter().chain(parents).cloned().collect();
        let place = resolve::or_make(self.root, &relative(&whole), Kind::Folder)?;
        let opened = folder::open(&place, c".")?;
        self.last = Some((parents.to_vec(), opened.try_clone()?));
        Ok(opened)
    }

    /// Takes away what stands in an entry's place, but for a folder in the place of a folder.
    fn make_room(&mut self, parent: BorrowedFd<'_>, name: &CStr, folder: bool, shown: &str) -> Result<(), Refusal> {
        let doing = || format!("replace {shown:?}");
        let there = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            answer => FileType::from_raw_mode(answer.doing(doing)?.st_mode) == FileType::Directory,
        };
        if there && folder {
            return Ok(());
        }
        if there != folder && self.writing.keep_kinds {
            let words = match there {
                true => format!("cannot overwrite directory {shown:?} with non-directory"),
                false => format!("cannot overwrite non-directory {shown:?} with directory"),
            };
            return Err(refusal(RefusalKind::Invalid, words));
        }
        // It may be a folder that is open.
        self.last = None;
        remove::entry(parent, name).doing(doing)
    }

    fn owner(&self, entry: &ParsedEntry<'_>) -> Result<(u32, u32), Refusal> {
        if let Some(owner) = self.writing.owner {
            return Ok(owner);
        }
        let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
        id(entry.uid).zip(id(entry.gid)).ok_or_else(|| {
            broken(format!(
                "{:?} is of user {} and group {}, which Linux does not have",
                shown(&entry.path),
                entry.uid,
                entry.gid
            ))
        })
    }

    /// A link to another entry of the tar, or to what was in the folder before.
    fn hard_link(
        &mut self,
        entry: &ParsedEntry<'_>,
        parent: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<io::Result<()>, Refusal> {
        let target = entry.link_target.as_deref().unwrap_or_default();
        let Some(parts) = clean(target) else {
            return Err(broken(format!("the hard link {:?} leads out of the folder", shown(&entry.path))));
        };
        let Some((last, parents)) = parts.split_last() else {
            return Err(broken(format!("the hard link {:?} leads to the folder itself", shown(&entry.path))));
        };
        let whole: Parts = self.folder.iter().chain(parents).cloned().collect();
        let linked = resolve::inside(self.root, &relative(&whole)).and_then(|folder| {
            Ok(linkat(&folder, CString::new(&last[..])?.as_c_str(), parent, name, AtFlags::empty())?)
        });
        Ok(linked)
    }

    fn set_times(self) -> Result<(), Refusal> {
        for (parts, time) in self.folders.into_iter().rev() {
            let whole: Parts = self.folder.iter().cloned().chain(parts).collect();
            // A later entry may have replaced it.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            if let Ok(folder) = resolve::open_inside(self.root, &relative(&whole), flags) {
                futimens(&folder, &times(time)).doing(|| "set the time of a folder".to_owned())?;
            }
        }
        Ok(())
    }
}

/// What an entry that was not written comes to.
fn refused(error: io::Error, (user, group): (u32, u32), shown: &str) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EINVAL) if user.max(group) > 65_535 => {
            let message = format!("{shown:?} is of user {user} and group {group}; the container has none above 65,535");
            refusal(RefusalKind::Invalid, message)
        }
        Some(libc::EROFS) => refusal(RefusalKind::Invalid, format!("cannot write {shown:?}: it is marked read-only")),
        Some(libc::ELOOP | libc::ENOTDIR | libc::ENAMETOOLONG) => {
            refusal(RefusalKind::Invalid, format!("cannot write {shown:?}: {error}"))
        }
        // Not the kernel's word but ours.
        None => broken(format!("{shown:?}: {error}")),
        Some(_) => refused_by(error, || format!("write {shown:?}")),
    }
}

fn ids((user, group): (u32, u32)) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn make_folder(parent: BorrowedFd<'_>, name: &CStr, entry: &ParsedEntry<'_>, owner: (u32, u32)) -> io::Result<()> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let made = folder::open(parent, name)?;
    let (user, group) = ids(owner);
    fchown(&made, user, group)?;
    attributes(made.as_fd(), entry, true)?;
    Ok(fchmod(&made, Mode::from_raw_mode(entry.mode & 0o7777))?)
}

fn file(
    parent: BorrowedFd<'_>,
    name: &CStr,
    entry: &ParsedEntry<'_>,
    owner: (u32, u32),
    sparse: Option<(Vec<SparseEntry>, u64)>,
    content: &mut Content<'_>,
) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
    match sparse {
        None => content.copy(&file, 0, entry.size)?,
        Some((map, size)) => {
            let mut end = 0;
            for SparseEntry { offset, length } in map {
                let next = offset.checked_add(length).filter(|next| *next <= size && offset >= end);
                end = next
                    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the map of a sparse file is wrong"))?;
                content.copy(&file, offset, length)?;
            }
            ftruncate(&file, size)?;
        }
    }
    let (user, group) = ids(owner);
    fchown(&file, user, group)?;
    attributes(file.as_fd(), entry, false)?;
    fchmod(&file, Mode::from_raw_mode(entry.mode & 0o7777))?;
    Ok(file)
}

fn symlink(
    parent: BorrowedFd<'_>,
    name: &CStr,
    entry: &ParsedEntry<'_>,
    owner: (u32, u32),
    time: (i64, u32),
) -> io::Result<()> {
    let target = entry.link_target.as_deref().unwrap_or_default();
    symlinkat(target, parent, name)?;
    let (user, group) = ids(owner);
    chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(utimensat(parent, name, &times(time), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Pipes and devices. A device that a user namespace may not have is left out, as Docker does.
fn special(
    parent: BorrowedFd<'_>,
    name: &CStr,
    entry: &ParsedEntry<'_>,
    owner: (u32, u32),
    time: (i64, u32),
) -> Result<io::Result<()>, Refusal> {
    let kind = match entry.entry_type {
        EntryType::Char => FileType::CharacterDevice,
        EntryType::Block => FileType::BlockDevice,
        EntryType::Fifo => FileType::Fifo,
        other => {
            let message = format!("an entry of type {:?} cannot be written", char::from(other.to_byte()));
            return Err(refusal(RefusalKind::Unsupported, message));
        }
    };
    let device = makedev(entry.dev_major.unwrap_or(0), entry.dev_minor.unwrap_or(0));
    match mknodat(parent, name, kind, Mode::from_raw_mode(entry.mode & 0o7777), device) {
        Err(Errno::PERM) if kind != FileType::Fifo => return Ok(Ok(())),
        Err(error) => return Ok(Err(error.into())),
        Ok(()) => {}
    }
    let (user, group) = ids(owner);
    let described = || -> rustix::io::Result<()> {
        chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode & 0o7777), AtFlags::empty())?;
        utimensat(parent, name, &times(time), AtFlags::SYMLINK_NOFOLLOW)
    };
    Ok(described().map_err(Into::into))
}

/// What means something inside a container: `user.*`, file capabilities of files, ACLs. A file system that has none is
/// no reason to refuse the file, as Docker sees it.
fn attributes(on: BorrowedFd<'_>, entry: &ParsedEntry<'_>, folder: bool) -> io::Result<()> {
    for (name, value) in &entry.xattrs {
        let wanted = match &name[..] {
            b"security.capability" => !folder,
            b"system.posix_acl_access" => true,
            b"system.posix_acl_default" => folder,
            name => name.starts_with(b"user.") && name.len() > 5,
        };
        if !wanted {
            continue;
        }
        match fsetxattr(on, CString::new(&name[..])?.as_c_str(), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The time of an entry, from its pax header where that has one.
fn time(entry: &ParsedEntry<'_>) -> Result<(i64, u32), Refusal> {
    let records = PaxExtensions::new(entry.pax.unwrap_or_default()).flatten();
    match records.filter(|record| record.key_bytes() == b"mtime").last() {
        Some(record) => of_pax(record.value_bytes())
            .ok_or_else(|| broken(format!("the time of {:?} is no number", shown(&entry.path)))),
        None => Ok((entry.mtime as i64, 0)),
    }
}
