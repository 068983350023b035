//! Makes the entries of a tar.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, SeekFrom, Stat, fgetxattr, flistxattr, fstat, major, minor, openat, readlinkat,
    seek, statat,
};
use rustix::io::Errno;
use tar_core::builder::EntryBuilder;
use tar_core::{EntryType, SparseEntry};

use super::PATH_BYTES;
use crate::wire::socket::Connection;

/// Bytes read and written at once.
const PIECE: usize = 256 << 10;
/// Bytes of holes from which a file is written as a sparse one.
const HOLES: u64 = 64 << 10;
/// Most pieces of a sparse file; one with more is written whole. Readers bound them too.
const PIECES: usize = 8_000;
/// Most stored bytes of a sparse file: those and its map together must fit the header's field of 8 GiB.
const SPARSE_BYTES: u64 = 7 << 30;
/// Entries between two looks whether anybody still wants them.
const LOOK: u32 = 256;
/// Size of a tar's block.
const BLOCK: u64 = 512;

/// A tar on its way out.
pub(super) struct Pack<'a> {
    out: BufWriter<File>,
    /// Names in the tar of files that have several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    client: &'a Connection,
    unlooked: u32,
    piece: Vec<u8>,
}

/// What became of an entry.
pub(super) enum Packed {
    /// It is a folder, open, and what is in it comes next.
    Folder(OwnedFd),
    /// Nothing more comes of it.
    Whole,
}

impl<'a> Pack<'a> {
    pub fn new(out: File, client: &'a Connection) -> Self {
        let out = BufWriter::with_capacity(PIECE, out);
        Self { out, links: HashMap::new(), client, unlooked: 0, piece: vec![0; PIECE] }
    }

    /// One file as `name`. Nothing is written of a socket, which no tar can hold, nor of what is gone by now.
    pub fn entry(&mut self, name: &[u8], folder: BorrowedFd<'_>, file: &CStr) -> io::Result<Packed> {
        self.look()?;
        if name.len() > PATH_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its path is longer than 4,095 bytes"));
        }
        match self.present(name, folder, file) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Packed::Whole),
            answer => answer,
        }
    }

    fn present(&mut self, name: &[u8], folder: BorrowedFd<'_>, file: &CStr) -> io::Result<Packed> {
        let about = statat(folder, file, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = openat(folder, file, flags, Mode::empty())?;
                self.folder(name, opened.as_fd())?;
                Ok(Packed::Folder(opened))
            }
            FileType::RegularFile => self.regular(name, folder, file),
            FileType::Socket => Ok(Packed::Whole),
            _ if self.is_linked(name, &about)? => Ok(Packed::Whole),
            FileType::Symlink => {
                let target = readlinkat(folder, file, Vec::new())?;
                let mut entry = described(name, EntryType::Symlink, &about)?;
                entry.link_name(target.as_bytes());
                self.header(&mut entry)
            }
            FileType::Fifo => self.header(&mut described(name, EntryType::Fifo, &about)?),
            kind => {
                let block = kind == FileType::BlockDevice;
                let mut entry = described(name, if block { EntryType::Block } else { EntryType::Char }, &about)?;
                entry.device(major(about.st_rdev), minor(about.st_rdev)).map_err(unwritable)?;
                self.header(&mut entry)
            }
        }
    }

    /// The header of a folder.
    pub fn folder(&mut self, name: &[u8], folder: BorrowedFd<'_>) -> io::Result<()> {
        let mut name = name.to_vec();
        if !name.ends_with(b"/") {
            name.push(b'/');
        }
        let mut entry = described(&name, EntryType::Directory, &fstat(folder)?)?;
        attributes(&mut entry, folder)?;
        self.header(&mut entry).map(drop)
    }

    fn regular(&mut self, name: &[u8], folder: BorrowedFd<'_>, file: &CStr) -> io::Result<Packed> {
        // Not blocking: in the meantime it may be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match openat(folder, file, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Packed::Whole),
            answer => File::from(answer?),
        };
        let about = fstat(&opened)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile || self.is_linked(name, &about)? {
            return Ok(Packed::Whole);
        }
        let size = about.st_size as u64;
        let mut entry = described(name, EntryType::Regular, &about)?;
        attributes(&mut entry, opened.as_fd())?;
        match holes(&opened, &about)? {
            None => {
                entry.size(size).map_err(unwritable)?;
                self.header(&mut entry)?;
                self.content(&opened, 0, size)?;
                self.pad(size)?;
            }
            Some(map) => {
                let stored = map.iter().map(|piece| piece.length).sum();
                entry.size(stored).map_err(unwritable)?;
                entry.sparse(&map, size);
                self.header(&mut entry)?;
                for piece in map {
                    self.content(&opened, piece.offset, piece.length)?;
                }
                self.pad(stored)?;
            }
        }
        Ok(Packed::Whole)
    }

    /// Writes a hard link when the same file is in the tar already.
    fn is_linked(&mut self, name: &[u8], about: &Stat) -> io::Result<bool> {
        if about.st_nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.links.get(&(about.st_dev, about.st_ino)) else {
            self.links.insert((about.st_dev, about.st_ino), name.to_vec());
            return Ok(false);
        };
        let mut entry = described(name, EntryType::Link, about)?;
        entry.link_name(first);
        self.header(&mut entry)?;
        Ok(true)
    }

    /// A mark that hides a name of the layers below. Spec: OCI image-spec, layer.md, "Whiteouts".
    pub fn mark(&mut self, name: &[u8], modified_s: i64) -> io::Result<()> {
        self.look()?;
        let mut entry = EntryBuilder::new_ustar();
        entry.path(name).entry_type(EntryType::Regular);
        entry.mode(0).and_then(|entry| entry.size(0)).map_err(unwritable)?;
        ids_and_time(&mut entry, 0, 0, modified_s)?;
        self.header(&mut entry).map(drop)
    }

    /// Writes the end of the tar and all that waits.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK as usize])?;
        self.out.flush()
    }

    fn header(&mut self, entry: &mut EntryBuilder) -> io::Result<Packed> {
        self.out.write_all(&entry.finish_bytes())?;
        Ok(Packed::Whole)
    }

    /// Copies so many bytes. Zeros stand for what a file has lost since its header was written; what it has won is left.
    fn content(&mut self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        seek(file, SeekFrom::Start(offset))?;
        let (mut file, mut left) = (file, length);
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = match file.read(&mut self.piece[..part]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                answer => answer?,
            };
            if read == 0 {
                self.piece.fill(0);
            }
            let read = if read == 0 { part } else { read };
            self.out.write_all(&self.piece[..read])?;
            left -= read as u64;
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let length = size.next_multiple_of(BLOCK) - size;
        self.out.write_all(&[0; BLOCK as usize][..length as usize])
    }

    /// Ends the work when nobody wants it any more: where little is written, a closed pipe alone would not say so.
    fn look(&mut self) -> io::Result<()> {
        self.unlooked += 1;
        if self.unlooked < LOOK {
            return Ok(());
        }
        self.unlooked = 0;
        is_wanted(self.client)
    }
}

/// Fails when the other end of the connection is closed.
pub(super) fn is_wanted(client: &Connection) -> io::Result<()> {
    let mut polled = [PollFd::new(client, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    match polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        true => Err(io::ErrorKind::BrokenPipe.into()),
        false => Ok(()),
    }
}

fn unwritable(error: tar_core::HeaderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn described(name: &[u8], kind: EntryType, about: &Stat) -> io::Result<EntryBuilder> {
    let mut entry = EntryBuilder::new_ustar();
    entry.path(name).entry_type(kind);
    entry.mode(about.st_mode & 0o7777).and_then(|entry| entry.size(0)).map_err(unwritable)?;
    ids_and_time(&mut entry, about.st_uid, about.st_gid, about.st_mtime)?;
    Ok(entry)
}

fn ids_and_time(entry: &mut EntryBuilder, user: u32, group: u32, modified_s: i64) -> io::Result<()> {
    entry.uid(user.into()).and_then(|entry| entry.gid(group.into())).map_err(unwritable)?;
    // Whole seconds, as Docker: a fraction would take a further header of a kilobyte for each file.
    entry.mtime(u64::try_from(modified_s).unwrap_or(0)).map_err(unwritable)?;
    if modified_s < 0 {
        entry.add_pax("mtime", modified_s.to_string());
    }
    Ok(())
}

/// Where a file with holes has its data; none for one to be written whole.
fn holes(file: &File, about: &Stat) -> io::Result<Option<Vec<SparseEntry>>> {
    let size = about.st_size as u64;
    if (about.st_blocks as u64).saturating_mul(BLOCK).saturating_add(HOLES) >= size {
        return Ok(None);
    }
    let (mut map, mut at, mut stored) = (Vec::new(), 0, 0);
    while at < size {
        let begin = match seek(file, SeekFrom::Data(at)) {
            // Nothing but a hole follows.
            Err(Errno::NXIO) => break,
            // A file system that does not know.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            answer => answer?,
        };
        let end = seek(file, SeekFrom::Hole(begin))?.min(size);
        if begin >= end || map.len() >= PIECES {
            return Ok(None);
        }
        map.push(SparseEntry { offset: begin, length: end - begin });
        stored += end - begin;
        at = end;
    }
    // Where the file ends, for readers that go by the map alone.
    map.push(SparseEntry { offset: size, length: 0 });
    Ok((stored <= SPARSE_BYTES && stored + HOLES < size).then_some(map))
}

/// Attributes that mean something in another container: `user.*`, file capabilities, ACLs.
fn is_carried(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

fn attributes(entry: &mut EntryBuilder, file: BorrowedFd<'_>) -> io::Result<()> {
    let mut list = vec![0_u8; 64 << 10];
    let length = match flistxattr(file, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        answer => answer?,
    };
    for name in list[..length].split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        // A pax record's key is text and ends at the first "=".
        let Some(key) = name.to_str().ok().filter(|key| !key.contains('=') && is_carried(key.as_bytes())) else {
            continue;
        };
        let mut value = vec![0_u8; 64 << 10];
        let length = match fgetxattr(file, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            answer => answer?,
        };
        entry.add_pax(&format!("SCHILY.xattr.{key}"), rootless(key, &value[..length]));
    }
    Ok(())
}

/// File capabilities that name a user namespace's root (revision 3), as those that name none (revision 2): in an image
/// ids are plain. Source: linux/capability.h, `vfs_ns_cap_data`.
fn rootless<'a>(key: &str, value: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
    const REVISION: usize = 3;
    if key != "security.capability" || value.len() != 24 || value[REVISION] != 3 {
        return value.into();
    }
    let mut plain = value[..20].to_vec();
    plain[REVISION] = 2;
    plain.into()
}
