//! Binds that a team has by an administrator's grant of a host folder, looked up anew at each start.
//!
//! Nothing of such a mount is shifted: in the team's user namespace the container's root is the first id of the team's
//! range, so files of the host's own ids are nobody's there, and whatever is made, a file with the setuid bit too,
//! belongs to an id of the range.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::files;
use super::sources::{Places, missing};
use crate::failure::{Doing, refusal};
use crate::rootfs::resolve;
use crate::sandbox::{GRANTS_FOLDER, HostFolder, Sandbox};
use crate::spec::Source;
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_SETUID, READ_ONLY, copy_tree, set_attributes};
use crate::wire::{Refusal, RefusalKind};

/// What a container's team was granted, as far as the container asks for it.
#[derive(Debug)]
pub(super) struct Grants<'a> {
    places: Places<'a>,
    sandbox: &'a Sandbox,
    folders: Vec<HostFolder>,
}

impl<'a> Grants<'a> {
    /// As they are now.
    pub fn of(places: Places<'a>, sandbox: &'a Sandbox) -> Result<Self, Refusal> {
        let folders = match sandbox.granted_sources.is_empty() {
            true => Vec::new(),
            false => read(places, sandbox)?,
        };
        Ok(Self { places, sandbox, folders })
    }

    /// Whether `source` is the team's by a grant.
    pub fn hold(&self, source: &Source) -> bool {
        self.sandbox.granted_sources.contains(&source.path)
    }

    /// Refuses what could not be opened now.
    pub fn check(&self, sources: &[Source]) -> Result<(), Refusal> {
        sources.iter().filter(|source| self.hold(source)).try_for_each(|source| {
            let folder = self.allowed(source)?;
            self.places.space.on_host(|| find(folder, &source.path)).map(drop)
        })
    }

    /// A detached mount of `source`.
    pub fn open(&self, source: &Source) -> Result<OwnedFd, Refusal> {
        let doing = || format!("open the mount source {}", source.path.display());
        let folder = self.allowed(source)?;
        let copy = self.places.space.on_host(|| {
            let place = find(folder, &source.path)?;
            copy_tree(place.as_fd(), Path::new(""), Attributes::default(), source.recursive).doing(doing)
        })?;
        let attributes = Attributes {
            set: source.attributes | NO_SETUID | NO_DEVICES,
            propagation: libc::MS_PRIVATE,
            ..Attributes::default()
        };
        set_attributes(copy.as_fd(), attributes, source.recursive)
            .doing(|| format!("set the options of the mount of {}", source.path.display()))?;
        Ok(copy)
    }

    /// The granted folder that `source` lies in; of several the deepest counts.
    fn allowed(&self, source: &Source) -> Result<&HostFolder, Refusal> {
        let shown = source.path.display();
        if !self.sandbox.user_namespace {
            let message = format!("the granted folder {shown} is only for a container with a user namespace");
            return Err(refusal(RefusalKind::Invalid, message));
        }
        let covering = self.folders.iter().filter(|folder| source.path.starts_with(&folder.path));
        let Some(folder) = covering.max_by_key(|folder| folder.path.components().count()) else {
            let message = format!(
                "the container's team is not granted the host's {shown} (any more): an administrator grants a host \
                 folder on the team's page, or by `sampan admin grant-folder TEAM {shown}`"
            );
            return Err(refusal(RefusalKind::Conflict, message));
        };
        if folder.read_only && source.attributes & READ_ONLY == 0 {
            let message = format!(
                "the container's team is granted the host's {} only to read: mount {shown} read-only",
                folder.path.display()
            );
            return Err(refusal(RefusalKind::Conflict, message));
        }
        let data = self.places.data_root;
        if data.starts_with(&folder.path) || folder.path.starts_with(data) {
            let message = format!("{} lies in or above the data root, which no grant opens", folder.path.display());
            return Err(refusal(RefusalKind::Invalid, message));
        }
        Ok(folder)
    }
}

/// None when there is no file: the last grant was revoked.
fn read(places: Places<'_>, sandbox: &Sandbox) -> Result<Vec<HostFolder>, Refusal> {
    let name = format!("{GRANTS_FOLDER}/{}.json", sandbox.team.key);
    match resolve::beneath(places.data, Path::new(&name), files::READING) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        file => files::parse(file.doing(|| format!("open {name}"))?, &name),
    }
}

/// `path` as a mere place, among the host's mounts. The granted folder itself is found without following a link, since
/// another granted folder may lie above it, with whatever a container made there; what lies beneath may be reached by
/// links that stay beneath.
fn find(folder: &HostFolder, path: &Path) -> Result<OwnedFd, Refusal> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open the host's root".to_owned())?;
    let top = match resolve::without_links(root.as_fd(), &folder.path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            let message = format!(
                "the granted folder {} is or lies behind a symbolic link: an administrator grants the folder it leads to",
                folder.path.display()
            );
            return Err(refusal(RefusalKind::Conflict, message));
        }
        found => opened(found, path)?,
    };
    match path.strip_prefix(&folder.path) {
        Ok(rest) if !rest.as_os_str().is_empty() => match resolve::staying_beneath(top.as_fd(), rest) {
            Err(error) if leads_out(&error) => {
                let message = format!(
                    "the mount source {} leads out of the folder {} that the team was granted",
                    path.display(),
                    folder.path.display()
                );
                Err(refusal(RefusalKind::Conflict, message))
            }
            found => opened(found, path),
        },
        _ => Ok(top),
    }
}

fn opened(found: std::io::Result<OwnedFd>, path: &Path) -> Result<OwnedFd, Refusal> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match found {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Err(missing(path)),
        found => found.doing(|| format!("open the mount source {}", path.display())),
    }
}

/// `EXDEV`: a link or `..` out of the folder. `ELOOP`: a link of /proc, or too many links.
fn leads_out(error: &std::io::Error) -> bool {
    [Errno::XDEV, Errno::LOOP].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
