//! What kernel and host offer, tried at start.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::mount::{FsOpenFlags, fsconfig_set_flag, fsopen};

use crate::cgroups::{Cgroup, Layout, World};
use crate::rootfs::layers::mount_erofs;
use crate::sys::mounts::{READ_ONLY, has_open_tree_attr};
use crate::wire::spawner::Features;

/// Tries them. `without` names what is not to be used.
pub(super) fn find(layout: &Layout, parent: &Cgroup, data: BorrowedFd<'_>, without: &[String]) -> Features {
    let wanted = |name: &str| !without.iter().any(|one| one == name);
    Features {
        erofs: wanted("erofs") && erofs(data),
        detached_mounts: wanted("detached-mounts") && has_open_tree_attr(),
        cgroup_v2: layout.world() == World::Unified,
        cgroup_parent: parent.path().to_owned(),
        controllers: layout.controllers(),
        swap_limit: layout.swap_limit(),
    }
}

/// Whether a file of the data root can be mounted as EROFS: an empty file is refused for its content where the kernel
/// can (`EINVAL`), and for what it is where it cannot (`ENOTBLK`, `ENODEV`). A kernel without file-backed mounts has not
/// heard of `directio` either, and says `EINVAL` to that.
fn erofs(data: BorrowedFd<'_>) -> bool {
    let knows =
        fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).and_then(|context| fsconfig_set_flag(&context, "directio"));
    if knows.is_err() {
        return false;
    }
    const NAME: &str = ".erofs-probe";
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = openat(data, NAME, flags, Mode::from_raw_mode(0o600)) else { return false };
    let tried = rustix::fs::ftruncate(&file, 1 << 16)
        .map_err(std::io::Error::from)
        .and_then(|()| mount_erofs(file.as_fd(), &[], READ_ONLY));
    if let Err(error) = unlinkat(data, NAME, AtFlags::empty()) {
        eprintln!("spawner: cannot remove the probe file of the data root: {error}");
    }
    match tried {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::InvalidInput || error.raw_os_error() == Some(libc::EINVAL),
    }
}
