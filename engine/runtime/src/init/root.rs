//! The root: attached, furniture moved in, mounts placed, paths hidden, made the only root.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use super::Stage;
use super::furnish::Staged;
use crate::failure::{Doing, refusal};
use crate::rootfs::attach::{attach, new_mount, relative};
use crate::rootfs::masked_paths::Masks;
use crate::rootfs::resolve::{self, Kind};
use crate::rootfs::{copy_up, resolve::is_folder};
use crate::spec::{Orders, Placement, Shown};
use crate::sys::mounts::{Attributes, READ_ONLY, set_attributes};
use crate::wire::{Refusal, RefusalKind};

/// Puts the root together; answers its descriptor.
pub(super) fn assemble(
    stage: &Stage<'_>,
    staged: &Staged,
    root: OwnedFd,
    orders: &Orders,
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<OwnedFd, Refusal> {
    let place = resolve::without_links(rustix::fs::CWD, &stage.root).doing(|| "open the root's place".to_owned())?;
    attach(root.as_fd(), place.as_fd()).doing(|| "attach the root".to_owned())?;
    for top in &staged.tops {
        move_top(staged, root.as_fd(), top)?;
    }
    for placement in &orders.placements {
        place_one(root.as_fd(), placement, descriptors)?;
    }
    let mut masks = Masks::new(root.as_fd());
    for path in &orders.masked {
        masks.mask(path)?;
    }
    for path in &orders.read_only {
        masks.read_only(path, 0)?;
    }
    Ok(root)
}

/// Moves /proc, /dev or /sys from the stage. An image where such a folder is a link is refused: what is mounted later
/// beneath it, and every check of it, would be led elsewhere.
fn move_top(staged: &Staged, root: BorrowedFd<'_>, top: &Path) -> Result<(), Refusal> {
    let doing = || format!("move /{} into the root", top.display());
    let place = match resolve::without_links(root, top) {
        Ok(place) => place,
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(refusal(RefusalKind::Invalid, format!("/{} of the image is a symbolic link", top.display())));
        }
        Err(_) => resolve::or_make(root, top, Kind::Folder).doing(doing)?,
    };
    let from = resolve::without_links(staged.folder.as_fd(), top).doing(doing)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&from, "", &place, "", flags).doing(doing)
}

/// Mounts what a placement shows, which is the next of `descriptors` where it is one.
pub(crate) fn place_one(
    root: BorrowedFd<'_>,
    placement: &Placement,
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<(), Refusal> {
    let doing = || format!("mount at {}", placement.destination.display());
    let mount = match &placement.shown {
        Shown::Descriptor => descriptors
            .pop_front()
            .ok_or_else(|| refusal(RefusalKind::Internal, "the orders came without a mount's descriptor"))?,
        Shown::New { filesystem, options, attributes, .. } => {
            new_mount(filesystem, options, *attributes).doing(doing)?
        }
    };
    let kind = if is_folder(mount.as_fd()).doing(doing)? { Kind::Folder } else { Kind::File };
    let place = resolve::or_make(root, relative(&placement.destination), kind).doing(doing)?;
    if is_folder(place.as_fd()).doing(doing)? != (kind == Kind::Folder) {
        let what = if kind == Kind::Folder { "a folder onto a file" } else { "a file onto a folder" };
        let message = format!("cannot mount {what} at {}", placement.destination.display());
        return Err(refusal(RefusalKind::Invalid, message));
    }
    let copy = placement.copy_up || matches!(placement.shown, Shown::New { copy: true, .. });
    if copy && kind == Kind::Folder {
        copy_up::if_empty(place.as_fd(), mount.as_fd())
            .doing(|| format!("copy the image's {} into its volume", placement.destination.display()))?;
    }
    if placement.read_only {
        set_attributes(mount.as_fd(), Attributes { set: READ_ONLY, ..Attributes::default() }, false).doing(doing)?;
    }
    attach(mount.as_fd(), place.as_fd()).doing(doing)
}

/// Makes the working directory, then the root read-only if wanted, then makes it the only root there is.
pub(super) fn finish(root: BorrowedFd<'_>, orders: &Orders) -> Result<(), Refusal> {
    let folder = orders.program.process.cwd();
    let made = resolve::or_make(root, relative(folder), Kind::Folder);
    if !made.as_ref().is_ok_and(|place| is_folder(place.as_fd()).unwrap_or(false)) {
        let message = format!("the working directory {} is not a folder", folder.display());
        return Err(refusal(RefusalKind::Invalid, message));
    }
    if orders.read_only_root {
        set_attributes(root, Attributes { set: READ_ONLY, ..Attributes::default() }, false)
            .doing(|| "make the root read-only".to_owned())?;
    }
    fchdir(root).doing(|| "enter the root".to_owned())?;
    pivot_root(".", ".").doing(|| "make the root the only one".to_owned())?;
    // The old root is now mounted over the new one.
    unmount(".", UnmountFlags::DETACH).doing(|| "let go of the old root".to_owned())?;
    chdir("/").doing(|| "enter the root".to_owned())
}

pub(super) fn set_names(orders: &Orders) -> Result<(), Refusal> {
    if let Some(name) = &orders.hostname {
        rustix::system::sethostname(name.as_bytes()).doing(|| format!("set the host name {name}"))?;
    }
    if let Some(name) = &orders.domainname {
        rustix::system::setdomainname(name.as_bytes()).doing(|| format!("set the domain name {name}"))?;
    }
    Ok(())
}
