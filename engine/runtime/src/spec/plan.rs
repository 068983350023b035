//! The plan of a start.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxNamespaceType, LinuxResources, LinuxSeccomp, Process, Spec};

use super::mounts::{Furniture, Placement, Source, clean, is_furniture, sort};
use crate::failure::refusal;
use crate::sandbox::Sandbox;
use crate::user_namespace::{Mapping, Mappings};
use crate::wire::{Refusal, RefusalKind};

/// Whose namespace a container lives in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Its own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another container's, by id.
    Container(String),
    /// One bound to a path (`run --bundle`).
    Path(PathBuf),
}

/// Namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Joined {
    /// Ids; `None`: the host's user namespace.
    pub mappings: Option<Mappings>,
    /// Network.
    pub network: Whose,
    /// Process ids.
    pub pid: Whose,
    /// System V IPC and message queues.
    pub ipc: Whose,
    /// Host name.
    pub uts: Whose,
    /// View of the cgroups.
    pub cgroup: Whose,
}

/// A description, checked and sorted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Namespaces.
    pub joined: Joined,
    /// /proc, /dev and /sys.
    pub furniture: Furniture,
    /// Nodes in /dev beside the usual ones.
    pub devices: Vec<LinuxDevice>,
    /// Mounts in the root.
    pub placements: Vec<Placement>,
    /// Sources of those that show a descriptor, in order.
    pub sources: Vec<Source>,
    /// Masked paths outside of the furniture.
    pub masked: Vec<PathBuf>,
    /// Read-only paths outside of the furniture.
    pub read_only: Vec<PathBuf>,
    /// The root cannot be written.
    pub read_only_root: bool,
    /// Host name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// The process.
    pub process: Process,
    /// Limits.
    pub resources: LinuxResources,
    /// Filter of system calls.
    pub seccomp: Option<LinuxSeccomp>,
}

impl Plan {
    /// Sorts a description; `sandbox` is there for a container of the engine, not for a bare bundle.
    ///
    /// # Errors
    /// `Invalid` and `Unsupported` with what is wrong in the description.
    pub fn new(spec: &Spec, sandbox: Option<&Sandbox>) -> Result<Self, Refusal> {
        let linux = spec.linux().clone().unwrap_or_default();
        let process = spec.process().clone().ok_or_else(|| invalid("the description has no process"))?;
        check_process(&process)?;
        if spec.hooks().as_ref().is_some_and(has_hooks) {
            return Err(refusal(RefusalKind::Unsupported, "hooks are not supported"));
        }
        let joined = joined(spec, sandbox)?;
        let copy_up = sandbox.map(|sandbox| sandbox.copy_up.as_slice()).unwrap_or_default();
        let sorted = sort(spec.mounts().as_deref().unwrap_or_default(), copy_up)?;
        let (masked_early, masked) = split(linux.masked_paths().as_deref())?;
        let (read_only_early, read_only) = split(linux.readonly_paths().as_deref())?;
        let mut parameters: Vec<_> = linux.sysctl().clone().unwrap_or_default().into_iter().collect();
        parameters.sort();
        let parameters =
            parameters.into_iter().map(|(name, value)| parameter(&name, value)).collect::<Result<_, _>>()?;
        Ok(Self {
            joined,
            furniture: Furniture {
                mounts: sorted.furniture,
                masked: masked_early,
                read_only: read_only_early,
                parameters,
            },
            devices: linux.devices().clone().unwrap_or_default(),
            placements: sorted.placements,
            sources: sorted.sources,
            masked,
            read_only,
            read_only_root: spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or(false),
            hostname: spec.hostname().clone(),
            domainname: spec.domainname().clone(),
            process,
            resources: linux.resources().clone().unwrap_or_default(),
            seccomp: linux.seccomp().clone(),
        })
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    refusal(RefusalKind::Invalid, message)
}

/// Checks what would fail late or unclearly.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check_process(process: &Process) -> Result<(), Refusal> {
    let arguments = process.args().as_deref().unwrap_or_default();
    if arguments.first().is_none_or(String::is_empty) {
        return Err(invalid("no command is given, and the image names none"));
    }
    let texts = arguments.iter().chain(process.env().as_deref().unwrap_or_default());
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(invalid("a null byte in an argument or in the environment"));
    }
    clean_folder(process.cwd())
}

fn clean_folder(folder: &Path) -> Result<(), Refusal> {
    if folder.is_absolute() && !folder.as_os_str().as_encoded_bytes().contains(&0) {
        return Ok(());
    }
    Err(invalid(format!("the working directory {} is not an absolute path", folder.display())))
}

fn has_hooks(hooks: &oci_spec::runtime::Hooks) -> bool {
    [hooks.create_runtime(), hooks.create_container(), hooks.start_container(), hooks.poststart(), hooks.poststop()]
        .into_iter()
        .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
}

fn split(paths: Option<&[String]>) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Refusal> {
    let clean: Vec<PathBuf> =
        paths.unwrap_or_default().iter().map(|path| clean(Path::new(path))).collect::<Result<_, _>>()?;
    Ok(clean.into_iter().partition(|path| is_furniture(path)))
}

/// A kernel parameter that belongs to a namespace of the container. Spec: sysctl(8); Docker's own list.
fn parameter(name: &str, value: String) -> Result<(PathBuf, String), Refusal> {
    let path = PathBuf::from(name.replace('.', "/"));
    let in_ipc = ["kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax"];
    let known = path.starts_with("net")
        || path.starts_with("fs/mqueue")
        || path.starts_with("kernel/shm_rmid_forced")
        || path.starts_with("kernel/shmmni")
        || path.starts_with("kernel/domainname")
        || in_ipc.iter().any(|one| path == Path::new(one));
    // An empty part is a `..` or a leading slash in disguise.
    let whole = !name.split(['.', '/']).any(str::is_empty);
    if !known || !whole || path.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Err(invalid(format!("the kernel parameter {name} does not belong to a container")));
    }
    Ok((path, value))
}

fn joined(spec: &Spec, sandbox: Option<&Sandbox>) -> Result<Joined, Refusal> {
    let linux = spec.linux().clone().unwrap_or_default();
    let list = linux.namespaces().clone().unwrap_or_default();
    let whose = |kind: LinuxNamespaceType| match list.iter().find(|one| one.typ() == kind) {
        None => Whose::Host,
        Some(one) => match one.path() {
            None => Whose::Own,
            Some(path) if sandbox.is_some() => container_path(path),
            Some(path) => Whose::Path(path.clone()),
        },
    };
    if whose(LinuxNamespaceType::Mount) != Whose::Own {
        return Err(refusal(RefusalKind::Unsupported, "a container needs a mount namespace of its own"));
    }
    if whose(LinuxNamespaceType::Time) == Whose::Own {
        return Err(refusal(RefusalKind::Unsupported, "time namespaces are not supported"));
    }
    let mappings = match (sandbox, whose(LinuxNamespaceType::User)) {
        (Some(sandbox), _) => sandbox.user_namespace.then(|| Mappings::team(sandbox.team.base_id)),
        (None, Whose::Own) => Some(mappings_of(&linux)?),
        (None, Whose::Host) => None,
        (None, _) => return Err(refusal(RefusalKind::Unsupported, "joining a user namespace is not supported")),
    };
    let mut joined = Joined {
        mappings,
        network: whose(LinuxNamespaceType::Network),
        pid: whose(LinuxNamespaceType::Pid),
        ipc: whose(LinuxNamespaceType::Ipc),
        uts: whose(LinuxNamespaceType::Uts),
        cgroup: whose(LinuxNamespaceType::Cgroup),
    };
    if let Some(sandbox) = sandbox {
        joined.network = match &sandbox.network {
            crate::sandbox::NetworkMode::Host => Whose::Host,
            crate::sandbox::NetworkMode::Container { id } => Whose::Container(id.clone()),
            _ => Whose::Own,
        };
    }
    Ok(joined)
}

/// `container:ID` as a namespace's path is ours: the namespace of another container of the same team.
fn container_path(path: &Path) -> Whose {
    match path.to_str().and_then(|text| text.strip_prefix("container:")) {
        Some(id) => Whose::Container(id.to_owned()),
        None => Whose::Path(path.to_owned()),
    }
}

fn mappings_of(linux: &oci_spec::runtime::Linux) -> Result<Mappings, Refusal> {
    let list = |mappings: &Option<Vec<oci_spec::runtime::LinuxIdMapping>>| -> Vec<Mapping> {
        let mappings = mappings.as_deref().unwrap_or_default();
        mappings
            .iter()
            .map(|one| Mapping { inside: one.container_id(), outside: one.host_id(), count: one.size() })
            .collect()
    };
    let mappings = Mappings { users: list(linux.uid_mappings()), groups: list(linux.gid_mappings()) };
    if mappings.user(0).is_none() || mappings.group(0).is_none() {
        return Err(invalid("the user namespace's mappings must hold id 0"));
    }
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Whose, container_path, parameter};

    #[test]
    fn parameters_of_the_host_are_refused() {
        assert_eq!(
            parameter("net.ipv4.ip_forward", "1".to_owned()).expect("known"),
            (PathBuf::from("net/ipv4/ip_forward"), "1".to_owned())
        );
        assert!(parameter("kernel.core_pattern", "|/x".to_owned()).is_err());
        assert!(parameter("net.../../kernel.core_pattern", "x".to_owned()).is_err());
        assert!(parameter("/net/x", "x".to_owned()).is_err());
    }

    #[test]
    fn a_namespace_of_another_container_is_named_by_its_id() {
        assert_eq!(container_path(&PathBuf::from("container:abc")), Whose::Container("abc".to_owned()));
        assert_eq!(container_path(&PathBuf::from("/proc/1/ns/net")), Whose::Path(PathBuf::from("/proc/1/ns/net")));
    }
}
