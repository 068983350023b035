//! The mounts of a description: furniture (/proc, /dev, /sys), put up before the root is known, and the rest, put into
//! the root in the order given.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Mount;
use serde::{Deserialize, Serialize};

use crate::failure::refusal;
use crate::sys::mounts::{NO_DEVICES, NO_EXECUTE, NO_SETUID, READ_ONLY};
use crate::wire::{Refusal, RefusalKind};

/// What stands beneath /proc, /dev and /sys before a container has its root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Furniture {
    /// Mounts in order.
    pub mounts: Vec<(PathBuf, Furnished)>,
    /// Paths that show nothing; only those beneath /proc, /dev and /sys.
    pub masked: Vec<PathBuf>,
    /// Paths that cannot be written; only those beneath /proc, /dev and /sys.
    pub read_only: Vec<PathBuf>,
    /// Kernel parameters, name with slashes and value.
    pub parameters: Vec<(PathBuf, String)>,
}

/// One mount of [`Furniture`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Furnished {
    /// /dev with its nodes, made outside by [`crate::rootfs::devices`].
    Devices {
        /// Attributes of the mount.
        attributes: u64,
    },
    /// /sys/fs/cgroup, whatever world the host lives in.
    Cgroups {
        /// Attributes of the mounts.
        attributes: u64,
    },
    /// A new instance of a kernel file system.
    Other {
        /// proc, sysfs, devpts, mqueue, tmpfs.
        filesystem: String,
        /// Its options.
        options: Vec<(String, Option<String>)>,
        /// Attributes of the mount.
        attributes: u64,
    },
}

/// A mount inside the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Absolute path in the container.
    pub destination: PathBuf,
    /// What shows there.
    pub shown: Shown,
    /// The image's content is copied into it when it is empty.
    pub copy_up: bool,
    /// It becomes read-only once that is done.
    #[serde(default)]
    pub read_only: bool,
}

/// What a [`Placement`] shows to the init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// The next of the descriptors beside the orders: a detached mount, ready.
    Descriptor,
    /// A new instance of a file system.
    New {
        /// Its name.
        filesystem: String,
        /// Its options.
        options: Vec<(String, Option<String>)>,
        /// Attributes of the mount.
        attributes: u64,
        /// The content of the image at that place is copied into it (`tmpcopyup`).
        copy: bool,
    },
}

/// Where the descriptor of a [`Shown::Descriptor`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Absolute path on the host, or in the data root.
    pub path: PathBuf,
    /// With all that is mounted beneath it.
    pub recursive: bool,
    /// Attributes of the mount.
    pub attributes: u64,
    /// Ids are shifted, so that the container's root writes as plain id 0.
    pub idmap: bool,
    /// MS_PRIVATE, MS_SLAVE or 0 for shared as it is.
    pub propagation: u64,
    /// Id of the container among whose mounts `path` lies, instead of the host's; only for /dev/shm.
    pub container: Option<String>,
}

/// Where the memory lies that processes of one IPC namespace share by name.
const SHARED_MEMORY: &str = "/dev/shm";

/// Sorted mounts.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub furniture: Vec<(PathBuf, Furnished)>,
    pub placements: Vec<Placement>,
    pub sources: Vec<Source>,
}

/// Whether a path lies in or beneath /proc, /dev or /sys.
pub(super) fn is_furniture(path: &Path) -> bool {
    ["/proc", "/dev", "/sys"].iter().any(|top| path.starts_with(top))
}

/// An absolute path of normal parts only.
pub(super) fn clean(path: &Path) -> Result<PathBuf, Refusal> {
    let bad = |why: &str| refusal(RefusalKind::Invalid, format!("the path {} {why}", path.display()));
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            _ => return Err(bad("must not contain ..")),
        }
    }
    if !path.is_absolute() || path.as_os_str().len() > 4_000 {
        return Err(bad("must be absolute and of at most 4,000 bytes"));
    }
    Ok(clean)
}

pub(super) fn sort(mounts: &[Mount], copy_up: &[PathBuf]) -> Result<Sorted, Refusal> {
    let mut sorted = Sorted::default();
    for mount in mounts {
        sort_one(mount, copy_up, &mut sorted)?;
    }
    Ok(sorted)
}

fn sort_one(mount: &Mount, copy_up: &[PathBuf], sorted: &mut Sorted) -> Result<(), Refusal> {
    let destination = clean(mount.destination())?;
    if destination == Path::new("/") {
        return Err(refusal(RefusalKind::Invalid, "a mount at / is not possible"));
    }
    let words = Words::parse(mount.options().as_deref().unwrap_or_default());
    let kind = mount.typ().as_deref().unwrap_or("none");
    if words.bind || kind == "bind" {
        let Some(source) = mount.source() else {
            return Err(refusal(RefusalKind::Invalid, format!("the bind at {} has no source", destination.display())));
        };
        words.no_data(&destination)?;
        if destination.starts_with("/proc") {
            return Err(refusal(RefusalKind::Invalid, format!("nothing can be mounted at {}", destination.display())));
        }
        let (path, container) = match source.to_str().and_then(|text| text.strip_prefix("container:")) {
            Some(id) if destination == Path::new(SHARED_MEMORY) => (destination.clone(), Some(id.to_owned())),
            _ => (clean(source)?, None),
        };
        let copy_up = copy_up.contains(&destination);
        // Written to while its content is copied, so read-only comes later.
        let read_only = copy_up && words.attributes & READ_ONLY != 0;
        sorted.sources.push(Source {
            path,
            recursive: words.recursive,
            attributes: if read_only { words.attributes & !READ_ONLY } else { words.attributes },
            idmap: words.idmap,
            propagation: words.propagation,
            container,
        });
        sorted.placements.push(Placement { destination, shown: Shown::Descriptor, copy_up, read_only });
        return Ok(());
    }
    let attributes = words.attributes;
    let furnished = match kind {
        "cgroup" | "cgroup2" => Furnished::Cgroups { attributes },
        "tmpfs" if destination == Path::new("/dev") => Furnished::Devices { attributes },
        "proc" | "sysfs" | "devpts" | "mqueue" | "tmpfs" => {
            Furnished::Other { filesystem: kind.to_owned(), options: words.data.clone(), attributes }
        }
        other => {
            let message = format!("the file system {other} at {} is not supported", destination.display());
            return Err(refusal(RefusalKind::Unsupported, message));
        }
    };
    // What is mounted over something placed already must come after it.
    let after = sorted.placements.iter().any(|placed| destination.starts_with(&placed.destination));
    match furnished {
        Furnished::Other { filesystem, options, attributes } if !is_furniture(&destination) || after => {
            let shown = Shown::New { filesystem, options, attributes: attributes & !READ_ONLY, copy: words.copy };
            sorted.placements.push(Placement {
                destination,
                shown,
                copy_up: false,
                read_only: attributes & READ_ONLY != 0,
            });
        }
        furnished if is_furniture(&destination) => sorted.furniture.push((destination, furnished)),
        _ => {
            let message = format!("{kind} can only be mounted beneath /proc, /dev or /sys");
            return Err(refusal(RefusalKind::Unsupported, message));
        }
    }
    Ok(())
}

/// The options of a mount, sorted. Spec: OCI runtime-spec, `config.md`, "Linux mount options".
#[derive(Debug, Default)]
struct Words {
    bind: bool,
    recursive: bool,
    idmap: bool,
    copy: bool,
    attributes: u64,
    propagation: u64,
    data: Vec<(String, Option<String>)>,
}

impl Words {
    fn parse(options: &[String]) -> Self {
        let mut words = Self { propagation: libc::MS_PRIVATE, ..Self::default() };
        for option in options {
            words.take(option);
        }
        words
    }

    fn take(&mut self, option: &str) {
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "ro" | "rro" => self.attributes |= READ_ONLY,
            "rw" => self.attributes &= !READ_ONLY,
            "nosuid" => self.attributes |= NO_SETUID,
            "suid" => self.attributes &= !NO_SETUID,
            "nodev" => self.attributes |= NO_DEVICES,
            "dev" => self.attributes &= !NO_DEVICES,
            "noexec" => self.attributes |= NO_EXECUTE,
            "exec" => self.attributes &= !NO_EXECUTE,
            "noatime" => self.time(libc::MOUNT_ATTR_NOATIME),
            "strictatime" => self.time(libc::MOUNT_ATTR_STRICTATIME),
            "relatime" => self.time(libc::MOUNT_ATTR_RELATIME),
            "nodiratime" => self.attributes |= libc::MOUNT_ATTR_NODIRATIME,
            "idmap" | "ridmap" => self.idmap = true,
            "private" | "rprivate" => self.propagation = libc::MS_PRIVATE,
            "slave" | "rslave" => self.propagation = libc::MS_SLAVE,
            "shared" | "rshared" => self.propagation = 0,
            "tmpcopyup" => self.copy = true,
            "defaults" | "async" | "sync" | "diratime" | "silent" | "loud" => {}
            other => match other.split_once('=') {
                Some((name, value)) => self.data.push((name.to_owned(), Some(value.to_owned()))),
                None => self.data.push((other.to_owned(), None)),
            },
        }
    }

    fn time(&mut self, attribute: u64) {
        self.attributes = self.attributes & !libc::MOUNT_ATTR__ATIME | attribute;
    }

    fn no_data(&self, destination: &Path) -> Result<(), Refusal> {
        match self.data.first() {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("the bind at {} has an unknown option {name}", destination.display());
                Err(refusal(RefusalKind::Invalid, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use oci_spec::runtime::{Mount, MountBuilder};

    use super::{Furnished, Shown, clean, sort};
    use crate::sys::mounts::{NO_SETUID, READ_ONLY};

    fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(source)
            .options(options.iter().map(|&one| one.to_owned()).collect::<Vec<_>>())
            .build()
            .expect("mount")
    }

    #[test]
    fn dev_is_furniture_and_a_bind_is_placed() {
        let sorted = sort(
            &[
                mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755"]),
                mount("/data", "bind", "/srv/data", &["rbind", "ro", "nosuid", "idmap"]),
                mount("/run", "tmpfs", "tmpfs", &["size=1m"]),
                mount("/plain", "bind", "/srv/plain", &["bind", "ro"]),
                mount("/dev/shm", "bind", "container:abc", &["bind"]),
            ],
            &[PathBuf::from("/data")],
        )
        .expect("sorted");

        assert_eq!(sorted.furniture, [(PathBuf::from("/dev"), Furnished::Devices { attributes: NO_SETUID })]);
        assert_eq!(sorted.sources.len(), 3);
        assert_eq!(sorted.sources[2].container.as_deref(), Some("abc"));
        assert!(sort(&[mount("/x", "bind", "container:abc", &["bind"])], &[]).is_err(), "only what IPC shares");
        assert!(sorted.sources[0].recursive && sorted.sources[0].idmap);
        assert_eq!(sorted.sources[0].attributes, NO_SETUID, "read-only only after the copying");
        assert!(sorted.placements[0].copy_up && sorted.placements[0].read_only);
        assert_eq!((sorted.sources[1].attributes, sorted.placements[2].read_only), (READ_ONLY, false));
        assert!(matches!(&sorted.placements[1].shown, Shown::New { filesystem, .. } if filesystem == "tmpfs"));
    }

    #[test]
    fn parent_steps_proc_and_unknown_file_systems_are_refused() {
        assert!(clean(Path::new("/a/../b")).is_err());
        assert!(clean(Path::new("a")).is_err());
        assert!(sort(&[mount("/proc/sys", "bind", "/x", &["bind"])], &[]).is_err());
        assert!(sort(&[mount("/x", "ext4", "/dev/sda", &[])], &[]).is_err());
        assert!(sort(&[mount("/", "tmpfs", "tmpfs", &[])], &[]).is_err());
    }
}
