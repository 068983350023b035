//! /dev: a tmpfs of the initial user namespace, so that its nodes work in every container, owned by the container's
//! root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, chownat, makedev, mkdirat, mknodat, symlinkat};
use rustix::io::Errno;

use super::attach::{new_mount, relative};
use crate::failure::{Doing, refusal};
use crate::user_namespace::Mappings;
use crate::wire::{Refusal, RefusalKind};

/// Nodes of every container: name, major, minor. Spec: OCI runtime-spec, `config-linux.md`, "Default Devices".
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links of every container.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];
/// Folders to mount on.
const FOLDERS: [&str; 3] = ["pts", "shm", "mqueue"];

/// Makes the detached mount. Must run as root of the host with umask 0.
///
/// # Errors
/// `Invalid` for a device outside of /dev or of an unknown kind.
pub fn make(mappings: Option<&Mappings>, devices: &[LinuxDevice], attributes: u64) -> Result<OwnedFd, Refusal> {
    let owner = Owner::new(mappings);
    let root = owner.of(0, 0)?;
    let options = [("mode", "755".to_owned()), ("size", "65536k".to_owned()), ("nr_inodes", "8192".to_owned())]
        .into_iter()
        .chain([("uid", root.0.to_string()), ("gid", root.1.to_string())]);
    let options: Vec<_> = options.map(|(name, value)| (name.to_owned(), Some(value))).collect();
    let mount = new_mount("tmpfs", &options, attributes).doing(|| "make /dev".to_owned())?;
    for (name, major, minor) in NODES {
        node(mount.as_fd(), Path::new(name), FileType::CharacterDevice, 0o666, makedev(major, minor), root)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &mount, name).doing(|| format!("make the link /dev/{name}"))?;
        give(mount.as_fd(), Path::new(name), root)?;
    }
    for name in FOLDERS {
        mkdirat(&mount, name, Mode::from_raw_mode(0o755)).doing(|| format!("make /dev/{name}"))?;
        give(mount.as_fd(), Path::new(name), root)?;
    }
    for device in devices {
        add(mount.as_fd(), device, &owner)?;
    }
    Ok(mount)
}

/// Ids of the container's users on the host.
struct Owner<'a>(Option<&'a Mappings>);

impl<'a> Owner<'a> {
    fn new(mappings: Option<&'a Mappings>) -> Self {
        Self(mappings)
    }

    fn of(&self, user: u32, group: u32) -> Result<(u32, u32), Refusal> {
        let Some(mappings) = self.0 else { return Ok((user, group)) };
        mappings.user(user).zip(mappings.group(group)).ok_or_else(|| {
            refusal(RefusalKind::Invalid, format!("user {user} or group {group} has no place in the container's range"))
        })
    }
}

fn add(mount: BorrowedFd<'_>, device: &LinuxDevice, owner: &Owner<'_>) -> Result<(), Refusal> {
    let path = device.path();
    let invalid = |why: &str| refusal(RefusalKind::Invalid, format!("the device {} {why}", path.display()));
    let name = path.strip_prefix("/dev").map_err(|_| invalid("does not lie in /dev"))?;
    let normal = name.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !normal || name.as_os_str().is_empty() {
        return Err(invalid("does not lie in /dev"));
    }
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(invalid("has no kind")),
    };
    let number = |part: i64| u32::try_from(part).map_err(|_| invalid("has a number out of range"));
    let number = makedev(number(device.major())?, number(device.minor())?);
    let ids = owner.of(device.uid().unwrap_or(0), device.gid().unwrap_or(0)).or_else(|_| owner.of(0, 0))?;
    for parent in name.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if !parent.as_os_str().is_empty() {
            match mkdirat(mount, parent, Mode::from_raw_mode(0o755)) {
                Ok(()) => give(mount, parent, owner.of(0, 0)?)?,
                Err(Errno::EXIST) => {}
                Err(error) => Err(error).doing(|| format!("make /dev/{}", parent.display()))?,
            }
        }
    }
    node(mount, relative(name), kind, device.file_mode().unwrap_or(0o666), number, ids)
}

fn node(
    mount: BorrowedFd<'_>,
    name: &Path,
    kind: FileType,
    mode: u32,
    number: u64,
    ids: (u32, u32),
) -> Result<(), Refusal> {
    match mknodat(mount, name, kind, Mode::from_raw_mode(mode & 0o777), number) {
        Ok(()) => give(mount, name, ids),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).doing(|| format!("make the device /dev/{}", name.display())),
    }
}

fn give(mount: BorrowedFd<'_>, name: &Path, (user, group): (u32, u32)) -> Result<(), Refusal> {
    let ids = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    chownat(mount, name, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW).doing(|| format!("give away /dev/{}", name.display()))
}
