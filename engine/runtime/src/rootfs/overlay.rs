//! A container's root: its writable layer over the image's, plain ids on disk.
//!
//! Lower and upper are idmapped mounts, and the overlay is made with the team's first id as file-system user and group,
//! so that what overlayfs itself makes (whiteouts, the work folder) has plain ids too. With fsuid 0 the kernel makes it
//! read-only without a word. Needs SECBIT_NO_SETUID_FIXUP, else the change of fsuid takes the capabilities away.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::fs::OFlags;
use rustix::mount::{
    FsOpenFlags, MountFlags, UnmountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_string, fsopen, mount,
    unmount,
};

use super::attach::{explained, mount_context};
use super::layers::{Layer, Lowers};
use super::resolve;
use crate::failure::Doing;
use crate::space;
use crate::sys::mounts::{Attributes, NO_DEVICES, copy_tree};
use crate::wire::Refusal;

/// Names in a container's folder.
pub const UPPER: &str = "upper";
/// Where overlayfs prepares what it moves into the upper.
pub const WORK: &str = "work";

/// Where the writable layer is.
#[derive(Debug, Clone, Copy)]
pub enum Uppers<'a> {
    /// `containers/` as a mount of the team's, ids shifted, whose first host id this is.
    Shifted(&'a Layer, u32),
    /// `containers/` as it is.
    Plain(BorrowedFd<'a>),
}

/// A detached overlay for the container `id`.
///
/// # Errors
/// With the kernel's own words.
pub fn make(lowers: &Lowers, uppers: Uppers<'_>, id: &str) -> Result<OwnedFd, Refusal> {
    let doing = || "make the container's root".to_owned();
    let folder = match uppers {
        Uppers::Shifted(layer, _) => layer.folder.as_fd(),
        Uppers::Plain(folder) => folder,
    };
    let open = |name: &str| {
        resolve::beneath(folder, &Path::new(id).join(name), OFlags::PATH | OFlags::DIRECTORY)
            .doing(|| format!("open the container's {name} folder"))
    };
    let (upper, work) = (open(UPPER)?, open(WORK)?);
    let base = match uppers {
        Uppers::Shifted(_, base) => base,
        Uppers::Plain(_) => 0,
    };
    if lowers.all().all(|layer| layer.name.is_none()) {
        return as_user(base, || by_descriptors(lowers, upper.as_fd(), work.as_fd())).doing(doing);
    }
    let upper_name = match uppers {
        Uppers::Shifted(layer, _) => layer.name.clone().unwrap_or_default(),
        Uppers::Plain(_) => Path::new(space::DATA).join("containers"),
    };
    as_user(base, || by_names(lowers, &upper_name.join(id))).doing(doing)
}

/// Does something with a user's id as file-system user and group. The old one comes back also when `act` panics: by
/// the end of the process, which does not unwind into anything that would go on.
pub(super) fn as_user<T>(id: u32, act: impl FnOnce() -> T) -> T {
    setfsgid(Gid::from_raw(id));
    setfsuid(Uid::from_raw(id));
    let done = act();
    setfsuid(Uid::from_raw(0));
    setfsgid(Gid::from_raw(0));
    done
}

fn by_descriptors(lowers: &Lowers, upper: BorrowedFd<'_>, work: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = || -> rustix::io::Result<()> {
        fsconfig_set_string(&context, "source", "overlay")?;
        for layer in lowers.all() {
            fsconfig_set_fd(&context, "lowerdir+", layer.folder.as_fd())?;
        }
        fsconfig_set_fd(&context, "upperdir", upper)?;
        fsconfig_set_fd(&context, "workdir", work)?;
        for (name, value) in OPTIONS {
            fsconfig_set_string(&context, name, value)?;
        }
        fsconfig_set_string(&context, "uuid", "null")?;
        fsconfig_create(&context)
    };
    set().map_err(|error| explained(context.as_fd(), error))?;
    mount_context(context.as_fd(), NO_DEVICES)
}

/// Nothing that would make the writable layer unreadable without the layers below it.
const OPTIONS: [(&str, &str); 4] = [("xino", "off"), ("index", "off"), ("redirect_dir", "off"), ("metacopy", "off")];

/// By mount(2) and names, as kernels before 6.13 need it; then copied and detached.
fn by_names(lowers: &Lowers, container: &Path) -> std::io::Result<OwnedFd> {
    let names: Vec<String> =
        lowers.all().flat_map(|layer| &layer.name).map(|name| name.display().to_string()).collect();
    mount_at_root(&names, Some(container), MountFlags::NODEV)?;
    detach_from_root()
}

/// What at least two folders show on top of each other, top first, to be read only.
///
/// # Errors
/// As the calls.
pub fn show(folders: &[OwnedFd]) -> std::io::Result<OwnedFd> {
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_at_root(&by_number(folders), None, flags)?;
    detach_from_root()
}

/// Names of folders by descriptor: so the options of as many as an image can have fit into the page that mount(2) takes.
pub(super) fn by_number<'a>(folders: impl IntoIterator<Item = &'a OwnedFd>) -> Vec<String> {
    folders.into_iter().map(|folder| format!("/proc/self/fd/{}", folder.as_raw_fd())).collect()
}

/// Mounts an overlay of named folders, top first, at [`space::ROOT`]; `container` has the folders of a writable layer.
pub(super) fn mount_at_root(lowers: &[String], container: Option<&Path>, flags: MountFlags) -> std::io::Result<()> {
    let mut data = format!("lowerdir={}", lowers.join(":"));
    if let Some(container) = container {
        let (upper, work) = (container.join(UPPER), container.join(WORK));
        data.push_str(&format!(",upperdir={},workdir={}", upper.display(), work.display()));
    }
    for (name, value) in OPTIONS {
        data.push_str(&format!(",{name}={value}"));
    }
    let data = std::ffi::CString::new(data)?;
    Ok(mount("overlay", space::ROOT, "overlay", flags, Some(data.as_c_str()))?)
}

fn detach_from_root() -> std::io::Result<OwnedFd> {
    let copy = copy_tree(rustix::fs::CWD, Path::new(space::ROOT), Attributes::default(), false);
    unmount(space::ROOT, UnmountFlags::DETACH)?;
    copy
}
