//! New mounts and their places, by descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, move_mount,
};

use super::resolve;
use crate::failure::Doing;
use crate::wire::Refusal;

/// A new, detached instance of a file system. Spec: fsopen(2), Linux 5.2.
///
/// # Errors
/// As these calls; the kernel's own words are in the text.
pub fn new_mount(filesystem: &str, options: &[(String, Option<String>)], attributes: u64) -> io::Result<OwnedFd> {
    let context = fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = || -> rustix::io::Result<()> {
        fsconfig_set_string(&context, "source", filesystem)?;
        for (name, value) in options {
            match value {
                Some(value) => fsconfig_set_string(&context, name.as_str(), value.as_str())?,
                None => fsconfig_set_flag(&context, name.as_str())?,
            }
        }
        fsconfig_create(&context)
    };
    set().map_err(|error| explained(context.as_fd(), error))?;
    mount_context(context.as_fd(), attributes)
}

/// The mount of a finished context.
///
/// # Errors
/// As fsmount(2).
pub fn mount_context(context: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The error with the last message the kernel left in the context.
pub fn explained(context: BorrowedFd<'_>, error: rustix::io::Errno) -> io::Error {
    let mut text = [0_u8; 1024];
    let mut last = None;
    while let Ok(count) = rustix::io::read(context, &mut text) {
        if count == 0 {
            break;
        }
        last = Some(String::from_utf8_lossy(&text[..count]).trim().trim_start_matches("e ").to_owned());
    }
    let error = io::Error::from(error);
    match last {
        Some(last) => io::Error::new(error.kind(), format!("{error} ({last})")),
        None => error,
    }
}

/// Attaches a detached mount at a place.
///
/// # Errors
/// As move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", place, "", flags)?)
}

/// Attaches a detached mount at `path` inside `root`, which must exist.
///
/// # Errors
/// With the path in the text.
pub fn attach_inside(mount: BorrowedFd<'_>, root: BorrowedFd<'_>, path: &Path) -> Result<(), Refusal> {
    let place = resolve::inside(root, relative(path)).doing(|| format!("open {}", path.display()))?;
    attach(mount, place.as_fd()).doing(|| format!("mount at {}", path.display()))
}

/// The path without its leading slash.
pub fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
