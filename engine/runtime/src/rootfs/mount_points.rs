//! A layer of what every container mounts on: folders and files that an image lacks, made once for it and in memory.
//!
//! Else each start would make them in the container's own layer: of the fourteen files and folders that a container of
//! busybox had on disk, seven were these, /etc copied up for their sake among them. Docker makes a layer of them for
//! each container (moby, daemon/initlayer); here the containers of an image share one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, mkdirat};
use rustix::mount::{MountFlags, UnmountFlags, unmount};

use super::attach::{attach, new_mount};
use super::layers::Layer;
use super::overlay::{UPPER, WORK, as_user, by_number, mount_at_root};
use super::resolve::{self, Kind};
use crate::space;
use crate::sys::mounts::{Attributes, NO_DEVICES, READ_ONLY, copy_tree};

const POINTS: [(&str, Kind); 6] = [
    ("dev", Kind::Folder),
    ("proc", Kind::Folder),
    ("sys", Kind::Folder),
    ("etc/hosts", Kind::File),
    ("etc/hostname", Kind::File),
    ("etc/resolv.conf", Kind::File),
];

/// The layer for `layers` (top first), a detached mount: its root is the container's, whose first host id is `base`.
/// The kernel itself makes it, as the writable layer of an overlay, so that /etc keeps the image's owner and mode.
///
/// # Errors
/// As the calls.
pub fn make(layers: &[Layer], base: u32) -> std::io::Result<OwnedFd> {
    let options = [("mode".to_owned(), Some("755".to_owned()))];
    let tmpfs = new_mount("tmpfs", &options, NO_DEVICES)?;
    as_user(base, || -> std::io::Result<()> {
        for name in [UPPER, WORK] {
            mkdirat(&tmpfs, name, Mode::from_raw_mode(0o755))?;
        }
        Ok(())
    })?;
    let stage = Path::new(space::STAGE);
    attach(tmpfs.as_fd(), resolve::without_links(rustix::fs::CWD, stage)?.as_fd())?;
    let made = fill(layers, stage, base);
    unmount(stage, UnmountFlags::DETACH)?;
    made
}

fn fill(layers: &[Layer], stage: &Path, base: u32) -> std::io::Result<OwnedFd> {
    let names = by_number(layers.iter().map(|layer| &layer.folder));
    as_user(base, || mount_at_root(&names, Some(stage), MountFlags::NODEV))?;
    let root = resolve::without_links(rustix::fs::CWD, Path::new(space::ROOT));
    let made = root.map(|root| {
        as_user(base, || {
            for (path, kind) in POINTS {
                // One that cannot be made (/etc is a file, /proc a link) is told by the start, which needs it.
                resolve::or_make(root.as_fd(), Path::new(path), kind).ok();
            }
        });
    });
    // The last of it goes here: a folder that is the writable layer of one overlay must not be below another.
    unmount(space::ROOT, UnmountFlags::DETACH)?;
    made?;
    let attributes = Attributes { set: READ_ONLY | NO_DEVICES, ..Attributes::default() };
    copy_tree(rustix::fs::CWD, &stage.join(UPPER), attributes, false)
}
