//! Attributes of mounts by descriptor: mount_setattr(2) and, where the kernel has it, open_tree_attr(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::OpenTreeFlags;

/// Cannot be written.
pub const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Setuid bits and file capabilities do nothing.
pub const NO_SETUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device nodes cannot be opened.
pub const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;
/// Nothing can be executed.
pub const NO_EXECUTE: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Number of open_tree_attr(2), the same on every architecture (Linux 6.15).
const OPEN_TREE_ATTR: libc::c_long = 467;

/// What is changed on a mount.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'fd> {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// MS_PRIVATE, MS_SLAVE, MS_SHARED or 0 for as it is.
    pub propagation: u64,
    /// Shifts ids by this user namespace.
    pub idmap: Option<BorrowedFd<'fd>>,
}

impl Attributes<'_> {
    fn raw(&self) -> libc::mount_attr {
        libc::mount_attr {
            attr_set: self.set | if self.idmap.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 },
            attr_clr: self.clear,
            propagation: self.propagation,
            userns_fd: self.idmap.map_or(0, |fd| fd.as_raw_fd() as u64),
        }
    }
}

/// Changes the mount that `mount` stands for, and all beneath it when `recursive`. Spec: mount_setattr(2), Linux 5.12.
///
/// # Errors
/// As mount_setattr(2); `EINVAL` when the file system cannot shift ids.
pub fn set_attributes(mount: BorrowedFd<'_>, attributes: Attributes<'_>, recursive: bool) -> io::Result<()> {
    let raw = attributes.raw();
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string constant, the structure lives until the call returns, its size is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const raw,
            size_of::<libc::mount_attr>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A detached copy of the mount at `path` beneath `folder`, changed by `attributes`. An empty path is `folder` itself.
///
/// Uses open_tree_attr(2), else open_tree(2) and mount_setattr(2), which cannot copy a detached mount before Linux 6.15.
///
/// # Errors
/// As these calls.
pub fn copy_tree(
    folder: BorrowedFd<'_>,
    path: &Path,
    attributes: Attributes<'_>,
    recursive: bool,
) -> io::Result<OwnedFd> {
    match open_tree_attr(folder, path, attributes, recursive) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {}
        answer => return answer,
    }
    let copy = rustix::mount::open_tree(folder, path, copy_flags(recursive))?;
    if attributes.raw() != (Attributes::default()).raw() {
        set_attributes(copy.as_fd(), attributes, recursive)?;
    }
    Ok(copy)
}

fn copy_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Whether the kernel knows open_tree_attr(2).
pub fn has_open_tree_attr() -> bool {
    let here = rustix::fs::CWD;
    !matches!(open_tree_attr(here, Path::new("/proc/self/fd/nothing"), Attributes::default(), false),
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS))
}

fn open_tree_attr(
    folder: BorrowedFd<'_>,
    path: &Path,
    attributes: Attributes<'_>,
    recursive: bool,
) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    use std::os::unix::ffi::OsStrExt;

    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let raw = attributes.raw();
    // SAFETY: path and structure live until the call returns, and the size given is that of the structure.
    let answer = unsafe {
        libc::syscall(
            OPEN_TREE_ATTR,
            folder.as_raw_fd(),
            path.as_ptr(),
            copy_flags(recursive).bits(),
            &raw const raw,
            size_of::<libc::mount_attr>(),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor just now, for this call; there is no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(answer as i32) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::{Attributes, READ_ONLY, copy_tree};

    #[test]
    fn a_read_only_copy_of_a_folder_refuses_a_new_file() {
        let folder = tempfile::tempdir().expect("folder");
        let copy =
            copy_tree(rustix::fs::CWD, folder.path(), Attributes { set: READ_ONLY, ..Attributes::default() }, false)
                .expect("copy");

        let refused =
            rustix::fs::mkdirat(copy.as_fd(), Path::new("new"), rustix::fs::Mode::from_raw_mode(0o755)).unwrap_err();

        assert_eq!(refused, rustix::io::Errno::ROFS);
        assert!(std::fs::create_dir(folder.path().join("new")).is_ok());
    }
}
