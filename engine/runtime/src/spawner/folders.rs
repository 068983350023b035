//! Folders of the data root that only root can make or remove: writable layers, volumes, unpacked layers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fstat, mkdirat};
use rustix::io::Errno;

use super::files::check_id;
use crate::failure::{Doing, refusal};
use crate::rootfs::layers::Lowers;
use crate::rootfs::overlay::{UPPER, WORK};
use crate::rootfs::resolve;
use crate::wire::{Refusal, RefusalKind};

/// Makes the writable layer; its root looks like the image's.
pub(super) fn make_layer(container: BorrowedFd<'_>, lowers: &Lowers) -> Result<(), Refusal> {
    let doing = || "make the container's writable layer".to_owned();
    for name in [UPPER, WORK] {
        make(container, name).doing(doing)?;
    }
    let upper = resolve::beneath(container, Path::new(UPPER), OFlags::RDONLY | OFlags::DIRECTORY).doing(doing)?;
    let mode = lowers.layers.first().map(|layer| fstat(&layer.folder)).transpose().doing(doing)?;
    let mode = mode.map_or(0o755, |found| found.st_mode & 0o7777);
    fchmod(&upper, Mode::from_raw_mode(mode)).doing(doing)
}

/// Makes `volumes/<id>/data`.
pub(super) fn make_volume(data: BorrowedFd<'_>, id: &str) -> Result<(), Refusal> {
    check_id(id)?;
    let doing = || format!("make the volume {id}");
    let volumes = volumes(data)?;
    match mkdirat(&volumes, id, Mode::from_raw_mode(0o711)) {
        Err(Errno::EXIST) => {
            return Err(refusal(RefusalKind::Conflict, format!("the volume {id} exists")));
        }
        answer => answer.doing(doing)?,
    }
    let volume = resolve::beneath(volumes.as_fd(), Path::new(id), OFlags::PATH).doing(doing)?;
    mkdirat(&volume, "data", Mode::from_raw_mode(0o755)).doing(doing)
}

/// The parent of a folder beneath `layers/`, and its last name.
pub(super) fn layer_place(data: BorrowedFd<'_>, target: &Path) -> Result<(OwnedFd, std::ffi::CString), Refusal> {
    use std::os::unix::ffi::OsStrExt;

    let invalid = || refusal(RefusalKind::Invalid, format!("{} does not lie beneath layers", target.display()));
    let normal = target.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !normal || !target.starts_with("layers") || target.components().count() < 2 {
        return Err(invalid());
    }
    let (parent, name) = target.parent().zip(target.file_name()).ok_or_else(invalid)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let parent = resolve::beneath(data, parent, flags).doing(|| format!("open {}", parent.display()))?;
    Ok((parent, std::ffi::CString::new(name.as_bytes()).map_err(|_| invalid())?))
}

pub(super) fn volumes(data: BorrowedFd<'_>) -> Result<OwnedFd, Refusal> {
    let doing = || "open the volumes".to_owned();
    make(data, "volumes").doing(doing)?;
    resolve::beneath(data, Path::new("volumes"), OFlags::RDONLY | OFlags::DIRECTORY).doing(doing)
}

/// Makes a folder unless it is there.
pub(super) fn make(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    match mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => {
            let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let folder = rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::Directory;
            if folder { Ok(()) } else { Err(Errno::NOTDIR) }
        }
        answer => answer,
    }
}
