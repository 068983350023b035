//! Sources of mounts, opened here: volumes beneath the data root, everything else among the host's own mounts; and the
//! small files that a sandbox brings along.

use std::fs::DirBuilder;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::failure::{Doing, refusal};
use crate::rootfs::attach::{attach, new_mount};
use crate::rootfs::resolve;
use crate::sandbox::{Sandbox, SandboxFile};
use crate::space::{self, Space};
use crate::spec::{Placement, Shown, Source};
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_EXECUTE, NO_SETUID, copy_tree, set_attributes};
use crate::user_namespace::Mappings;
use crate::wire::spawner::Endpoint;
use crate::wire::{Refusal, RefusalKind};

/// Where sources are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    pub space: &'a Space,
    /// The data root.
    pub data: BorrowedFd<'a>,
    /// Its path on the host.
    pub data_root: &'a Path,
}

/// Refuses sources among the host's mounts that are not there, but for those that a start will make and those that a
/// team has by a grant.
pub(super) fn check(places: Places<'_>, sources: &[Source], sandbox: &Sandbox) -> Result<(), Refusal> {
    let passed = [&sandbox.make_sources, &sandbox.granted_sources];
    let of_host = |source: &&Source| {
        source.container.is_none()
            && !source.path.starts_with(places.data_root)
            && !passed.iter().any(|list| list.contains(&source.path))
    };
    let of_host: Vec<&Source> = sources.iter().filter(of_host).collect();
    if of_host.is_empty() {
        return Ok(());
    }
    places.space.on_host(|| match of_host.iter().find(|source| is_missing(&source.path)) {
        Some(source) => Err(missing(&source.path)),
        None => Ok(()),
    })
}

fn is_missing(path: &Path) -> bool {
    matches!(rustix::fs::stat(path), Err(Errno::NOENT | Errno::NOTDIR))
}

/// In the words that Docker's clients know.
pub(super) fn missing(path: &Path) -> Refusal {
    let message =
        format!("invalid mount config for type \"bind\": bind source path does not exist: {}", path.display());
    refusal(RefusalKind::Invalid, message)
}

/// A detached mount of `source`, shifted by `namespace` when it asks for that. `make`: a missing folder of the host is
/// made.
pub(super) fn open(
    places: Places<'_>,
    source: &Source,
    namespace: Option<BorrowedFd<'_>>,
    make: bool,
) -> Result<OwnedFd, Refusal> {
    let idmap = if source.idmap { namespace } else { None };
    let attributes =
        Attributes { set: source.attributes, propagation: source.propagation, idmap, ..Default::default() };
    if let Ok(inside) = source.path.strip_prefix(places.data_root) {
        return open_volume(places.data, inside, attributes);
    }
    let copy = places.space.on_host(|| {
        let as_it_is = Attributes::default();
        if make && is_missing(&source.path) {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(&source.path);
            made.doing(|| format!("make the mount source {} on the host", source.path.display()))?;
        }
        match copy_tree(rustix::fs::CWD, &source.path, as_it_is, source.recursive) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(&source.path)),
            answer => answer.doing(|| format!("open the mount source {}", source.path.display())),
        }
    })?;
    match set_attributes(copy.as_fd(), attributes, source.recursive) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && idmap.is_some() => {
            let message = format!("the file system of {} cannot shift ids (idmapped mounts)", source.path.display());
            Err(refusal(RefusalKind::Unsupported, message))
        }
        answer => answer.doing(|| format!("set the options of the mount of {}", source.path.display())),
    }?;
    Ok(copy)
}

/// Only `volumes/<id>/data` and what lies beneath: nothing else of the data root is for containers.
fn open_volume(data: BorrowedFd<'_>, path: &Path, attributes: Attributes<'_>) -> Result<OwnedFd, Refusal> {
    let parts: Vec<_> = path.components().collect();
    let is_volume = parts.len() >= 3 && parts[0].as_os_str() == "volumes" && parts[2].as_os_str() == "data";
    if !is_volume {
        return Err(refusal(RefusalKind::Invalid, format!("{} of the data root is not a volume", path.display())));
    }
    let folder = resolve::beneath(data, path, OFlags::PATH).doing(|| format!("open the volume {}", path.display()))?;
    copy_tree(folder.as_fd(), Path::new(""), attributes, false).doing(|| format!("mount the volume {}", path.display()))
}

/// The sandbox's own files on one tmpfs: a detached mount of each, in order, with where it goes.
pub(super) fn files(
    files: &[SandboxFile],
    endpoint: Option<&Endpoint>,
    mappings: Option<&Mappings>,
) -> Result<Vec<(Placement, OwnedFd)>, Refusal> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let doing = || "make the sandbox's files".to_owned();
    let user = mappings.map_or(Some(0), |mappings| mappings.user(0)).unwrap_or(0);
    let group = mappings.map_or(Some(0), |mappings| mappings.group(0)).unwrap_or(0);
    let options = [("size", "1m".to_owned()), ("mode", "755".to_owned())];
    let options: Vec<_> = options.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    let told = |address: fn(&Endpoint) -> std::net::Ipv4Addr| {
        endpoint.map(|endpoint| address(endpoint).to_string()).unwrap_or_default()
    };
    let (address, gateway) = (told(|endpoint| endpoint.address), told(|endpoint| endpoint.gateway));
    let tmpfs = new_mount("tmpfs", &options, NO_SETUID | NO_DEVICES | NO_EXECUTE).doing(doing)?;
    let mut placed = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let name = number.to_string();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = openat(&tmpfs, &name, flags, Mode::from_raw_mode(0o644)).doing(doing)?;
        let text = file.content.replace("{address}", &address).replace("{gateway}", &gateway);
        std::io::Write::write_all(&mut std::fs::File::from(made), text.as_bytes()).doing(doing)?;
        let owner = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        chownat(&tmpfs, &name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).doing(doing)?;
        placed.push((placement(file)?, name));
    }
    let shown = show_all(tmpfs.as_fd(), placed.iter().map(|(_, name)| name.as_str()))?;
    Ok(placed.into_iter().map(|(placement, _)| placement).zip(shown).collect())
}

/// A mount of each file. Before Linux 6.15 a detached mount cannot be copied: then it is attached for a moment.
fn show_all<'a>(tmpfs: BorrowedFd<'_>, names: impl Iterator<Item = &'a str> + Clone) -> Result<Vec<OwnedFd>, Refusal> {
    let doing = || "mount a sandbox's file".to_owned();
    let copy = |name: &str| copy_tree(tmpfs, Path::new(name), Attributes::default(), false);
    match names.clone().map(copy).collect::<Result<Vec<_>, _>>() {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
        answer => return answer.doing(doing),
    }
    let place = resolve::without_links(rustix::fs::CWD, Path::new(space::STAGE)).doing(doing)?;
    attach(tmpfs, place.as_fd()).doing(doing)?;
    let copies = names.map(copy).collect::<Result<Vec<_>, _>>().doing(doing);
    unmount(space::STAGE, UnmountFlags::DETACH).doing(doing)?;
    copies
}

fn placement(file: &SandboxFile) -> Result<Placement, Refusal> {
    let path: PathBuf = file.path.clone();
    let clean =
        path.is_absolute() && path.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    if !clean {
        return Err(refusal(RefusalKind::Invalid, format!("{} cannot be a sandbox's file", path.display())));
    }
    Ok(Placement { destination: path, shown: Shown::Descriptor, copy_up: false, read_only: false })
}
