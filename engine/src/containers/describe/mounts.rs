//! The mounts of a description.

use std::path::PathBuf;

use oci_spec::runtime::{Mount, MountBuilder};

use super::{Given, of_container};
use crate::containers::config::{self, ContainerConfig, MountSource, NamespaceMode};

/// Docker's size of /dev/shm.
const SHM_BYTES: u64 = 64 << 20;

/// A mount whose source is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::containers) struct Placed {
    pub mount: config::Mount,
    /// Path on the host; `None` for tmpfs.
    pub source: Option<PathBuf>,
}

pub(super) fn all(given: &Given<'_>, user: bool) -> Vec<Mount> {
    let mut mounts = defaults(given.config, given.ipc_container);
    for one in given.placed {
        // A typed mount at a default's place stands instead of it.
        mounts.retain(|default| default.destination() != &one.mount.destination);
        mounts.push(typed(one, user));
    }
    mounts
}

fn defaults(config: &ContainerConfig, ipc_container: Option<&str>) -> Vec<Mount> {
    let access = if config.security.privileged { "rw" } else { "ro" };
    let shm = format!("size={}", config.shm_bytes.filter(|bytes| *bytes > 0).unwrap_or(SHM_BYTES));
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    match (&config.security.ipc, ipc_container) {
        (NamespaceMode::Container { .. }, Some(id)) => {
            mounts.push(mount("/dev/shm", "bind", &of_container(id), &["bind", "nosuid", "noexec", "nodev"]));
        }
        (NamespaceMode::Host, _) => mounts.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind"])),
        _ if config.security.without_shm => {}
        _ => mounts.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm])),
    }
    mounts
}

fn typed(placed: &Placed, user: bool) -> Mount {
    let access = if placed.mount.read_only { "ro" } else { "rw" };
    let destination = placed.mount.destination.to_string_lossy();
    let mut options: Vec<String> = Vec::new();
    let mut push = |option: &str| options.push(option.to_owned());
    match &placed.mount.source {
        MountSource::Tmpfs { size_bytes, mode, options: typed } => {
            for default in ["nosuid", "nodev", "noexec"] {
                push(default);
            }
            push(access);
            typed.iter().for_each(|option| push(option));
            if let Some(size) = size_bytes.filter(|size| *size > 0) {
                push(&format!("size={size}"));
            }
            push(&format!("mode={:o}", mode.unwrap_or(0o1777)));
        }
        MountSource::Volume { .. } => {
            push("rbind");
            push(access);
        }
        MountSource::Bind { propagation, non_recursive, granted, .. } => {
            push(if *non_recursive { "bind" } else { "rbind" });
            push(access);
            if *granted {
                push("nosuid");
                push("nodev");
            }
            push(propagation.as_deref().filter(|word| !word.is_empty()).unwrap_or("rprivate"));
        }
    }
    let Some(source) = &placed.source else {
        return of(&destination, "tmpfs", "tmpfs", options);
    };
    // A granted folder's files stay nobody's: a shift would make the container's root the host's there.
    let granted = matches!(placed.mount.source, MountSource::Bind { granted: true, .. });
    if user && !granted {
        options.push("idmap".to_owned());
    }
    of(&destination, "bind", &source.to_string_lossy(), options)
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    of(destination, kind, source, options.iter().map(|option| (*option).to_owned()).collect())
}

fn of(destination: &str, kind: &str, source: &str, options: Vec<String>) -> Mount {
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options)
        .build()
        .unwrap_or_default()
}
