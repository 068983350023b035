//! /proc, /dev and /sys, put up on a stage before the root is known.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fstatfs, symlinkat};

use super::Stage;
use crate::failure::{Doing, refusal};
use crate::rootfs::attach::{attach, attach_inside, new_mount, relative};
use crate::rootfs::masked_paths::Masks;
use crate::rootfs::resolve::{self, Kind};
use crate::spec::{Furnished, Furniture};
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_EXECUTE, NO_SETUID, READ_ONLY, copy_tree, set_attributes};
use crate::wire::{Refusal, RefusalKind};

/// `f_type` of procfs (linux/magic.h).
const PROCFS: u64 = 0x9fa0;

/// The stage, furnished.
#[derive(Debug)]
pub(super) struct Staged {
    /// Its folder.
    pub folder: OwnedFd,
    /// What stands on it and moves into the root: `proc`, `dev`, `sys`.
    pub tops: Vec<PathBuf>,
}

pub(super) fn furnish(stage: &Stage<'_>) -> Result<Staged, Refusal> {
    let mode = [("mode".to_owned(), Some("755".to_owned()))];
    let tmpfs = new_mount("tmpfs", &mode, NO_SETUID | NO_DEVICES).doing(|| "make the stage".to_owned())?;
    let place = resolve::without_links(rustix::fs::CWD, &stage.stage).doing(|| "open the stage".to_owned())?;
    attach(tmpfs.as_fd(), place.as_fd()).doing(|| "mount the stage".to_owned())?;
    let folder = tmpfs;
    let mut tops = Vec::new();
    for (destination, furnished) in &stage.furniture.mounts {
        let path = relative(destination);
        let place =
            resolve::or_make(folder.as_fd(), path, Kind::Folder).doing(|| format!("make {}", destination.display()))?;
        put_up(stage, folder.as_fd(), place.as_fd(), destination, furnished)?;
        if path.components().count() == 1 && !tops.contains(&path.to_owned()) {
            tops.push(path.to_owned());
        }
    }
    set_parameters(folder.as_fd(), stage.furniture)?;
    let mut masks = Masks::new(folder.as_fd());
    for path in &stage.furniture.masked {
        masks.mask(path)?;
    }
    for path in &stage.furniture.read_only {
        masks.read_only(path, NO_SETUID | NO_DEVICES | NO_EXECUTE)?;
    }
    Ok(Staged { folder, tops })
}

fn put_up(
    stage: &Stage<'_>,
    folder: BorrowedFd<'_>,
    place: BorrowedFd<'_>,
    destination: &Path,
    furnished: &Furnished,
) -> Result<(), Refusal> {
    let doing = || format!("mount {}", destination.display());
    match furnished {
        Furnished::Devices { .. } => {
            let devices = stage.devices.ok_or_else(|| refusal(RefusalKind::Internal, "/dev was not made"))?;
            attach(devices, place).doing(doing)
        }
        Furnished::Cgroups { attributes } => cgroups(folder, place, destination, *attributes),
        Furnished::Other { filesystem, options, attributes } => {
            let mount = match new_mount(filesystem, options, *attributes) {
                // The network namespace is not ours, so neither is its sysfs: the host's own, read-only.
                Err(error) if filesystem == "sysfs" && error.kind() == std::io::ErrorKind::PermissionDenied => {
                    host_sysfs(*attributes)
                }
                answer => answer,
            };
            attach(mount.doing(doing)?.as_fd(), place).doing(doing)
        }
    }
}

fn host_sysfs(attributes: u64) -> std::io::Result<OwnedFd> {
    let attributes = Attributes { set: attributes | READ_ONLY, ..Attributes::default() };
    copy_tree(rustix::fs::CWD, Path::new("/sys"), attributes, true)
}

/// The cgroup file systems that this process is in by more than their roots: on v2 the one, else a tmpfs with one mount
/// per hierarchy and links for controllers that share one. Source: /proc/self/cgroup, cgroups(7).
fn cgroups(folder: BorrowedFd<'_>, place: BorrowedFd<'_>, destination: &Path, attributes: u64) -> Result<(), Refusal> {
    let text = std::fs::read_to_string("/proc/self/cgroup").doing(|| "read /proc/self/cgroup".to_owned())?;
    let legacy: Vec<&str> =
        text.lines().filter_map(|line| line.split(':').nth(1)).filter(|names| !names.is_empty()).collect();
    if legacy.is_empty() {
        let mount = new_mount("cgroup2", &[], attributes).doing(|| "mount cgroup2".to_owned())?;
        return attach(mount.as_fd(), place).doing(|| format!("mount {}", destination.display()));
    }
    let mode = [("mode".to_owned(), Some("755".to_owned()))];
    let tmpfs = new_mount("tmpfs", &mode, attributes & !READ_ONLY).doing(|| "make /sys/fs/cgroup".to_owned())?;
    attach(tmpfs.as_fd(), place).doing(|| format!("mount {}", destination.display()))?;
    for names in legacy {
        let name = names.strip_prefix("name=").unwrap_or(names);
        let options: Vec<_> = match names.strip_prefix("name=") {
            Some(name) => vec![("none".to_owned(), None), ("name".to_owned(), Some(name.to_owned()))],
            None => names.split(',').map(|controller| (controller.to_owned(), None)).collect(),
        };
        let mount = match new_mount("cgroup", &options, attributes) {
            Ok(mount) => mount,
            // A hierarchy that the host has no mount of cannot be mounted from a user namespace.
            Err(_) if names.starts_with("name=") => continue,
            Err(error) => Err(error).doing(|| format!("mount the cgroup hierarchy {names}"))?,
        };
        rustix::fs::mkdirat(&tmpfs, name, rustix::fs::Mode::from_raw_mode(0o755))
            .doing(|| format!("make /sys/fs/cgroup/{name}"))?;
        attach_inside(mount.as_fd(), folder, &destination.join(name))?;
        if name.contains(',') {
            for one in name.split(',') {
                symlinkat(name, &tmpfs, one).doing(|| format!("make /sys/fs/cgroup/{one}"))?;
            }
        }
    }
    set_attributes(tmpfs.as_fd(), Attributes { set: attributes, ..Attributes::default() }, false)
        .doing(|| "make /sys/fs/cgroup read-only".to_owned())
}

/// Writes kernel parameters through the stage's own /proc, verified to be one (CVE-2025-52881).
fn set_parameters(folder: BorrowedFd<'_>, furniture: &Furniture) -> Result<(), Refusal> {
    for (name, value) in &furniture.parameters {
        let doing = || format!("set the kernel parameter {}", name.display());
        let path = Path::new("proc/sys").join(name);
        let file = resolve::open_inside(folder, &path, OFlags::WRONLY).doing(doing)?;
        if fstatfs(&file).doing(doing)?.f_type as u64 != PROCFS {
            return Err(refusal(RefusalKind::Internal, "kernel parameters are not on a procfs"));
        }
        File::from(file).write_all(value.as_bytes()).doing(doing)?;
    }
    Ok(())
}
