//! Writes entries into the root of this process, each step by a descriptor, no link followed. The last entry of a name
//! counts; a name through a link makes a folder in its place, as in Docker.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chownat, fchmod, fchown, flistxattr, fremovexattr,
    fsetxattr, ftruncate, futimens, makedev, mkdirat, mknodat, openat, statat, symlinkat, utimensat,
};
use tar_core::parse::{Limits, ParseEvent, ParsedEntry, Parser};
use tar_core::{EntryType, PaxExtensions, SparseEntry};

use super::links::Copied;
use super::names::{self, Name, Parts};
use super::{below, times};
use crate::failure::{Doing, refusal};
use crate::rootfs::{folder, remove};
use crate::time::of_pax;
use crate::wire::{Refusal, RefusalKind};

/// Most entries of one layer.
const ENTRIES: u64 = 1_000_000;
/// Most bytes of one file.
const FILE_BYTES: u64 = 1 << 40;
/// Most bytes of the headers of one entry.
const HEADER_BYTES: usize = 2 << 20;

/// Overlay's mark of a folder that hides what lies below it.
pub(super) const OPAQUE: &CStr = c"trusted.overlay.opaque";

pub(super) struct Writer {
    pub root: OwnedFd,
    /// What the layers below show.
    pub below: Option<OwnedFd>,
    /// The folder of the entry before, since most share it.
    last: Option<(Parts, OwnedFd)>,
    /// Times of folders, set at the end: each new entry changes them.
    pub times: HashMap<Parts, (i64, u32)>,
    /// Folders that have no entry of their own.
    pub implied: HashSet<Parts>,
    /// Where marks of deleted names were made.
    pub whiteouts: Vec<Parts>,
    /// Copies of files below, by their path there.
    pub copied: HashMap<Parts, Copied>,
    pub root_is_opaque: bool,
}

impl Writer {
    pub fn new(below: Option<OwnedFd>) -> Result<Self, Refusal> {
        Ok(Self {
            root: folder::open(rustix::fs::CWD, c".").doing(|| "open the root".to_owned())?,
            below,
            last: None,
            times: HashMap::new(),
            implied: HashSet::from([Parts::new()]),
            whiteouts: Vec::new(),
            copied: HashMap::new(),
            root_is_opaque: false,
        })
    }

    pub fn unpack(mut self, tar: &File) -> Result<(), Refusal> {
        let mut parser = Parser::new(Limits {
            max_metadata_size: 1 << 20,
            max_path_len: Some(4_096),
            max_pending_entries: 16,
            max_sparse_entries: 10_000,
        });
        parser.set_ignore_pax_errors(true);
        parser.set_allow_empty_path(true);
        let (mut offset, mut wanted, mut entries) = (0_u64, 512_usize, 0_u64);
        loop {
            let input = read_at(tar, offset, wanted)?;
            let short = input.len() < wanted;
            let event = parser.parse(&input).map_err(|error| broken(format!("byte {offset}: {error}")))?;
            let (consumed, skip) = match event {
                ParseEvent::NeedData { min_bytes } => {
                    if short {
                        // Missing end marks are forgiven, as others do.
                        let end = input.iter().all(|&byte| byte == 0);
                        return if end { self.finish() } else { Err(broken("it ends within an entry".to_owned())) };
                    }
                    wanted = min_bytes.max(input.len() + 1);
                    if wanted > HEADER_BYTES {
                        return Err(broken(format!("the headers at byte {offset} are too large")));
                    }
                    continue;
                }
                ParseEvent::Entry { consumed, entry } => {
                    (consumed, self.entry(tar, &entry, offset + consumed as u64, None)?)
                }
                ParseEvent::SparseEntry { consumed, entry, sparse_map, real_size } => {
                    let sparse = Some((sparse_map, real_size));
                    (consumed, self.entry(tar, &entry, offset + consumed as u64, sparse)?)
                }
                ParseEvent::GlobalExtensions { consumed, .. } => (consumed, 0),
                ParseEvent::End { .. } => return self.finish(),
            };
            entries += 1;
            if entries > ENTRIES {
                return Err(broken(format!("it has more than {ENTRIES} entries")));
            }
            offset += consumed as u64 + skip;
            wanted = 512;
        }
    }

    /// Takes one entry whose content begins at `data`; how many bytes of content and padding follow.
    fn entry(
        &mut self,
        tar: &File,
        entry: &ParsedEntry<'_>,
        data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> Result<u64, Refusal> {
        let regular = matches!(entry.entry_type, EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse);
        let folder = entry.is_dir() || (regular && sparse.is_none() && entry.path.ends_with(b"/"));
        let skip = if regular && !folder {
            if entry.size > FILE_BYTES {
                return Err(broken(format!("{:?} is too large", shown(&entry.path))));
            }
            entry.size.next_multiple_of(512)
        } else {
            0
        };
        let doing = || format!("unpack {:?}", shown(&entry.path));
        let time = time(entry)?;
        match names::read(&entry.path)? {
            Name::Passed => {}
            Name::Whiteout(path) => self.whiteout(&path).doing(doing)?,
            Name::Opaque(path) if path.is_empty() => self.root_is_opaque = true,
            Name::Opaque(path) => {
                let folder = self.folder(&path).doing(doing)?;
                opaque(folder.as_fd()).doing(doing)?;
            }
            Name::Plain(path) if folder => self.make_folder(&path, entry, time).doing(doing)?,
            Name::Plain(path) if path.is_empty() => return Err(broken("its root is not a folder".to_owned())),
            Name::Plain(path) if entry.is_hard_link() => self.hard_link(&path, entry)?,
            Name::Plain(path) if regular => {
                let file = self.file(tar, &path, entry, data, sparse).doing(doing)?;
                futimens(&file, &times(time)).doing(doing)?;
            }
            Name::Plain(path) => self.special(&path, entry, time)?,
        }
        Ok(skip)
    }

    fn make_folder(&mut self, path: &Parts, entry: &ParsedEntry<'_>, time: (i64, u32)) -> std::io::Result<()> {
        let folder = self.folder(path)?;
        self.implied.remove(path);
        if self.times.insert(path.clone(), time).is_some() {
            // The last entry counts, and only it.
            clear_attributes(folder.as_fd())?;
        }
        fchown(&folder, Some(Uid::from_raw(id(entry.uid)?)), Some(Gid::from_raw(id(entry.gid)?)))?;
        attributes(folder.as_fd(), entry, true)?;
        Ok(fchmod(&folder, Mode::from_raw_mode(entry.mode & 0o7777))?)
    }

    fn file(
        &mut self,
        tar: &File,
        path: &Parts,
        entry: &ParsedEntry<'_>,
        data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> std::io::Result<OwnedFd> {
        let (folder, name) = self.make_room(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, &name, flags, Mode::from_raw_mode(0o600))?;
        match sparse {
            None => copy(tar, data, &file, 0, entry.size)?,
            Some((map, size)) => {
                let wrong =
                    || std::io::Error::new(std::io::ErrorKind::InvalidData, "the map of a sparse file is wrong");
                let (mut end, mut used) = (0_u64, 0_u64);
                for SparseEntry { offset, length } in map {
                    let next = offset.checked_add(length).filter(|&next| next <= size && offset >= end);
                    end = next.ok_or_else(wrong)?;
                    if size > FILE_BYTES || used + length > entry.size {
                        return Err(wrong());
                    }
                    copy(tar, data + used, &file, offset, length)?;
                    used += length;
                }
                ftruncate(&file, size)?;
            }
        }
        fchown(&file, Some(Uid::from_raw(id(entry.uid)?)), Some(Gid::from_raw(id(entry.gid)?)))?;
        attributes(file.as_fd(), entry, false)?;
        fchmod(&file, Mode::from_raw_mode(entry.mode & 0o7777))?;
        Ok(file)
    }

    fn special(&mut self, path: &Parts, entry: &ParsedEntry<'_>, time: (i64, u32)) -> Result<(), Refusal> {
        let kind = match entry.entry_type {
            EntryType::Symlink => FileType::Symlink,
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            EntryType::Fifo => FileType::Fifo,
            other => {
                let message = format!("an entry of type {:?} in a layer is not supported", char::from(other.to_byte()));
                return Err(refusal(RefusalKind::Unsupported, message));
            }
        };
        let device = makedev(entry.dev_major.unwrap_or(0), entry.dev_minor.unwrap_or(0));
        if kind == FileType::CharacterDevice && device == 0 {
            // Overlay's own mark for a deleted name: an image may not bring one.
            return Ok(());
        }
        let target = entry.link_target.as_deref().unwrap_or_default();
        if kind == FileType::Symlink && (target.is_empty() || target.contains(&0) || target.len() > 4_095) {
            return Err(broken(format!("the symbolic link {:?} leads to nothing", shown(&entry.path))));
        }
        let doing = || format!("unpack {:?}", shown(&entry.path));
        let (folder, name) = self.make_room(path).doing(doing)?;
        let mode = entry.mode & 0o7777;
        match kind {
            FileType::Symlink => symlinkat(target, &folder, &name).doing(doing)?,
            kind => mknodat(&folder, &name, kind, Mode::from_raw_mode(mode), device).doing(doing)?,
        }
        let owner =
            (Some(Uid::from_raw(id(entry.uid).doing(doing)?)), Some(Gid::from_raw(id(entry.gid).doing(doing)?)));
        chownat(&folder, &name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).doing(doing)?;
        if kind != FileType::Symlink {
            rustix::fs::chmodat(&folder, &name, Mode::from_raw_mode(mode), AtFlags::empty()).doing(doing)?;
        }
        utimensat(&folder, &name, &times(time), AtFlags::SYMLINK_NOFOLLOW).doing(doing)
    }

    /// Hides a name of the layers below; what this layer itself has under that name stays.
    fn whiteout(&mut self, path: &Parts) -> std::io::Result<()> {
        let Some((last, parents)) = path.split_last() else { return Ok(()) };
        let folder = self.folder(&parents.to_vec())?;
        let name = name(last)?;
        match kind(folder.as_fd(), &name)? {
            Some((FileType::Directory, _)) => opaque(folder::open(folder.as_fd(), &name)?.as_fd()),
            Some(_) => Ok(()),
            None => {
                self.whiteouts.push(path.clone());
                Ok(mknodat(&folder, &name, FileType::CharacterDevice, Mode::empty(), 0)?)
            }
        }
    }

    /// The folder of a new entry and its name, nothing being there any more.
    pub fn make_room(&mut self, path: &Parts) -> std::io::Result<(OwnedFd, CString)> {
        let (last, parents) = path.split_last().ok_or(std::io::ErrorKind::InvalidInput)?;
        let folder = self.folder(&parents.to_vec())?;
        let name = name(last)?;
        if kind(folder.as_fd(), &name)?.is_some() {
            self.last = None;
            remove::entry(folder.as_fd(), &name)?;
        }
        Ok((folder, name))
    }

    /// The folder at a path, made on the way where it is missing or something else.
    pub fn folder(&mut self, path: &Parts) -> std::io::Result<OwnedFd> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return folder.try_clone();
        }
        let mut folder = self.root.try_clone()?;
        for (depth, part) in path.iter().enumerate() {
            let name = name(part)?;
            let found = kind(folder.as_fd(), &name)?;
            if !matches!(found, Some((FileType::Directory, _))) {
                if found.is_some() {
                    remove::entry(folder.as_fd(), &name)?;
                }
                mkdirat(&folder, &name, Mode::from_raw_mode(0o755))?;
                self.times.remove(&path[..=depth]);
                self.implied.insert(path[..=depth].to_vec());
            }
            folder = folder::open(folder.as_fd(), &name)?;
            if matches!(found, Some((FileType::CharacterDevice, 0))) {
                opaque(folder.as_fd())?;
            }
        }
        self.last = Some((path.clone(), folder.try_clone()?));
        Ok(folder)
    }
}

pub(super) fn broken(why: String) -> Refusal {
    refusal(RefusalKind::Invalid, format!("the layer's tar is broken: {why}"))
}

pub(super) fn shown(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}

fn read_at(tar: &File, offset: u64, wanted: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match tar.read_at(&mut bytes[filled..], offset + filled as u64).doing(|| "read the tar".to_owned())? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn copy(tar: &File, mut from: u64, to: &OwnedFd, mut at: u64, length: u64) -> std::io::Result<()> {
    let mut left = length;
    while left > 0 {
        let part = left.min(1 << 30) as usize;
        match rustix::fs::copy_file_range(tar, Some(&mut from), to, Some(&mut at), part)? {
            0 => return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the tar ends within a file")),
            count => left -= count as u64,
        }
    }
    Ok(())
}

pub(super) fn kind(folder: BorrowedFd<'_>, name: &CStr) -> std::io::Result<Option<(FileType, u64)>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some((FileType::from_raw_mode(found.st_mode), found.st_rdev))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn opaque(folder: BorrowedFd<'_>) -> std::io::Result<()> {
    Ok(fsetxattr(folder, OPAQUE, b"y", XattrFlags::empty())?)
}

/// What means something inside a container: `user.*` but overlay's, file capabilities of files, POSIX ACLs.
fn attributes(on: BorrowedFd<'_>, entry: &ParsedEntry<'_>, folder: bool) -> std::io::Result<()> {
    for (name, value) in &entry.xattrs {
        let wanted = match &name[..] {
            b"security.capability" => !folder,
            b"system.posix_acl_access" => true,
            b"system.posix_acl_default" => folder,
            name => name.starts_with(b"user.") && name.len() > 5 && !name.starts_with(b"user.overlay."),
        };
        if wanted {
            fsetxattr(on, CString::new(&name[..])?.as_c_str(), value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn clear_attributes(on: BorrowedFd<'_>) -> std::io::Result<()> {
    let mut list = vec![0_u8; 64 << 10];
    let length = flistxattr(on, &mut list[..])?;
    for name in list[..length].split(|&byte| byte == 0).filter(|name| below::of_layers(name)) {
        fremovexattr(on, CString::new(name)?.as_c_str())?;
    }
    Ok(())
}

fn id(id: u64) -> std::io::Result<u32> {
    u32::try_from(id)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{id} is no id of Linux")))
}

pub(super) fn name(part: &[u8]) -> std::io::Result<CString> {
    Ok(CString::new(part)?)
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
