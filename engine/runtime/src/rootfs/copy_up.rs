//! Copies a folder of the image into an empty volume: owners, modes, times, links, extended attributes.
//!
//! By descriptors only, without following a link, inside the container's user namespace; so neither the image nor
//! another container that writes at the same time can lead it elsewhere.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown, fgetxattr,
    flistxattr, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
};

use super::{folder, remove};

/// Deepest folder that is copied.
const DEPTH: usize = 128;

/// Copies `from` into `to` when `to` holds nothing; takes back all of it when that fails.
///
/// # Errors
/// As the calls; `Unsupported` for a device node, which a user namespace cannot make.
pub fn if_empty(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let to = folder::open(to, c".")?;
    if folder::names(to.as_fd())?.is_empty() {
        let from = folder::open(from, c".")?;
        let mut copy = Copy { links: HashMap::new(), top: to.as_fd() };
        if let Err(error) = copy.folder(from.as_fd(), to.as_fd(), &mut Vec::new()) {
            remove::contents(to.as_fd())?;
            return Err(error);
        }
    }
    Ok(())
}

struct Copy<'top> {
    /// Names in the copy of files that have several, by device and inode.
    links: HashMap<(u64, u64), Vec<CString>>,
    top: BorrowedFd<'top>,
}

impl Copy<'_> {
    fn folder(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &mut Vec<CString>) -> io::Result<()> {
        if path.len() > DEPTH {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "folders are nested too deep"));
        }
        for name in folder::names(from)? {
            path.push(name.clone());
            self.entry(from, to, &name, path)?;
            path.pop();
        }
        let found = rustix::fs::fstat(from)?;
        describe(from, to, &found, for_volumes)
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        path: &mut Vec<CString>,
    ) -> io::Result<()> {
        let found = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let owner = (Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)));
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let (below, made) = (folder::open(from, name)?, folder::open(to, name)?);
                self.folder(below.as_fd(), made.as_fd(), path)
            }
            FileType::RegularFile => self.file(from, to, name, &found, path),
            FileType::Symlink => {
                symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
                Ok(chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            kind @ (FileType::Fifo | FileType::Socket) => {
                mknodat(to, name, kind, Mode::from_raw_mode(found.st_mode & 0o7777), 0)?;
                Ok(chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{} is a device, which cannot be copied into a volume", name.to_string_lossy()),
            )),
        }
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        found: &Stat,
        path: &[CString],
    ) -> io::Result<()> {
        let key = (found.st_dev, found.st_ino);
        if found.st_nlink > 1 {
            if let Some(first) = self.links.get(&key) {
                let (folder, last) = self.walk(first)?;
                return Ok(linkat(&folder, &last, to, name, AtFlags::empty())?);
            }
            self.links.insert(key, path.to_vec());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(from, name, flags, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(to, name, flags, Mode::from_raw_mode(0o600))?;
        let mut source_file = std::fs::File::from(source);
        let mut target_file = std::fs::File::from(target);
        io::copy(&mut source_file, &mut target_file)?;
        describe(source_file.as_fd(), target_file.as_fd(), found, for_volumes)
    }

    /// The folder and the last name of a path in the copy.
    fn walk(&self, path: &[CString]) -> io::Result<(OwnedFd, CString)> {
        let mut folder = folder::open(self.top, c".")?;
        let Some((last, parents)) = path.split_last() else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        for parent in parents {
            folder = folder::open(folder.as_fd(), parent)?;
        }
        Ok((folder, last.clone()))
    }
}

/// Gives `to` owner, mode and times of `found`, and the extended attributes of `from` that are `wanted`, in the order in
/// which none undoes another.
///
/// # Errors
/// As the calls.
pub fn describe(from: BorrowedFd<'_>, to: BorrowedFd<'_>, found: &Stat, wanted: fn(&[u8]) -> bool) -> io::Result<()> {
    fchown(to, Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)))?;
    attributes(from, to, wanted)?;
    fchmod(to, Mode::from_raw_mode(found.st_mode & 0o7777))?;
    let time = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    let times = Timestamps {
        last_access: time(found.st_atime, found.st_atime_nsec),
        last_modification: time(found.st_mtime, found.st_mtime_nsec),
    };
    Ok(futimens(to, &times)?)
}

fn for_volumes(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability"
}

fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, wanted: fn(&[u8]) -> bool) -> io::Result<()> {
    let mut list = vec![0_u8; 64 << 10];
    let length = match flistxattr(from, &mut list[..]) {
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        answer => answer?,
    };
    for name in list[..length].split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if !wanted(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0_u8; 64 << 10];
        let length = fgetxattr(from, name, &mut value[..])?;
        fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::if_empty;

    #[test]
    fn owner_mode_and_links_are_copied_once() {
        let folder = tempfile::tempdir().expect("folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("deep/er")).expect("from");
        std::fs::create_dir(&to).expect("to");
        std::fs::write(from.join("deep/file"), "text").expect("file");
        std::fs::hard_link(from.join("deep/file"), from.join("twin")).expect("twin");
        symlink("/etc/passwd", from.join("link")).expect("link");
        chown(from.join("deep/file"), Some(33), Some(34)).expect("owner");
        std::fs::set_permissions(from.join("deep/file"), std::fs::Permissions::from_mode(0o4750)).expect("mode");
        std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o710)).expect("mode");
        let open = |path| std::fs::File::open(path).expect("open");

        if_empty(open(&from).as_fd(), open(&to).as_fd()).expect("copied");

        let file = std::fs::metadata(to.join("deep/file")).expect("file");
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777, file.nlink()), (33, 34, 0o4750, 2));
        assert_eq!(std::fs::metadata(to.join("twin")).expect("twin").ino(), file.ino());
        assert_eq!(std::fs::read_link(to.join("link")).expect("link").to_str(), Some("/etc/passwd"));
        assert_eq!(std::fs::metadata(&to).expect("top").mode() & 0o7777, 0o710);

        std::fs::remove_file(to.join("twin")).expect("remove");
        if_empty(open(&from).as_fd(), open(&to).as_fd()).expect("not copied");
        assert!(!to.join("twin").exists());
    }
}
