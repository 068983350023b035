//! The OCI description of a container. Pure but for reading /dev's names: what is not there yet is checked by spawner.
//!
//! Spec: OCI runtime-spec 1.2; the defaults are Docker's.

mod devices;
mod limits;
mod mounts;
mod process;

pub(super) use limits::{changed, check as check_limits, discard};
pub(super) use mounts::Placed;
pub(super) use process::{console, exec};

use oci_spec::runtime::{
    Linux, LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Root, Spec,
};
use sampan_runtime::capabilities::CapabilitySet;
use sampan_runtime::sandbox::{Filter, RANGE};
use sampan_runtime::seccomp::Profile;

use super::config::{ContainerConfig, NamespaceMode, Network, Seccomp};
use super::{ContainerError, Resolved};
use crate::kind::Kind;
use crate::owner::Owner;

/// Kernel paths that show nothing. Docker's list.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Kernel paths that cannot be written. Docker's list.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// All that a description is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub owner: &'a Owner,
    pub config: &'a ContainerConfig,
    pub resolved: &'a Resolved,
    /// Mounts with their sources known, in order.
    pub placed: &'a [Placed],
    /// Full id of the container whose process ids it shares.
    pub pid_container: Option<&'a str>,
    /// Full id of the container whose IPC and /dev/shm it shares.
    pub ipc_container: Option<&'a str>,
}

/// Whether it gets a user namespace. Off for what cannot work in one: see docs/user-namespaces.md.
pub(super) fn has_user_namespace(config: &ContainerConfig) -> bool {
    let security = &config.security;
    !(security.privileged
        || security.user_namespace_host
        || security.cgroup_host
        || security.pid == NamespaceMode::Host
        || security.ipc == NamespaceMode::Host
        || config.network == Network::Host)
}

/// The description, and where its filter of system calls comes from.
pub(super) fn describe(given: Given<'_>) -> Result<(Spec, Filter), ContainerError> {
    let capabilities = capabilities(given.config)?;
    let (filter, seccomp) = filter(given.config, capabilities)?;
    let security = &given.config.security;
    let mut linux = Linux::default();
    let user = has_user_namespace(given.config);
    linux
        .set_uid_mappings(user.then(|| vec![mapping(given.owner)]))
        .set_gid_mappings(user.then(|| vec![mapping(given.owner)]))
        .set_namespaces(Some(namespaces(&given, user)))
        .set_resources(Some(limits::resources(&given.config.limits, devices::rules(given.config)?)?))
        .set_devices(Some(devices::nodes(given.config)?))
        .set_seccomp(seccomp)
        .set_sysctl(Some(given.config.sysctls.clone().into_iter().collect()))
        .set_masked_paths(Some(paths(&security.masked_paths, &MASKED, security.privileged)))
        .set_readonly_paths(Some(paths(&security.readonly_paths, &READ_ONLY, security.privileged)))
        .set_cgroups_path(None)
        .set_rootfs_propagation(None);

    let mut root = Root::default();
    root.set_path("rootfs".into()).set_readonly(Some(security.read_only_root));
    let mut spec = Spec::default();
    spec.set_root(Some(root))
        .set_process(Some(process::main(given.config, given.resolved, capabilities)?))
        .set_mounts(Some(mounts::all(&given, user)))
        .set_hostname((!security.uts_host).then(|| given.resolved.hostname.clone()))
        .set_domainname(given.config.domainname.clone().filter(|name| !name.is_empty()))
        .set_annotations(Some(given.config.annotations.clone().into_iter().collect()))
        .set_hooks(None)
        .set_linux(Some(linux));
    Ok((spec, filter))
}

pub(super) fn invalid(message: impl Into<String>) -> ContainerError {
    ContainerError::Invalid { message: message.into() }
}

/// Capabilities in effect.
pub(super) fn capabilities(config: &ContainerConfig) -> Result<CapabilitySet, ContainerError> {
    if config.security.privileged {
        return Ok(CapabilitySet::all());
    }
    CapabilitySet::docker(&config.security.capabilities_add, &config.security.capabilities_drop)
        .map_err(|error| ContainerError::Refused { kind: error.kind().into(), message: error.to_string() })
}

fn filter(
    config: &ContainerConfig,
    capabilities: CapabilitySet,
) -> Result<(Filter, Option<oci_spec::runtime::LinuxSeccomp>), ContainerError> {
    match &config.security.seccomp {
        _ if config.security.privileged => Ok((Filter::Described, None)),
        Seccomp::Default => Ok((Filter::DockerDefault, None)),
        Seccomp::Unconfined => Ok((Filter::Described, None)),
        Seccomp::Custom { json } => {
            let rules = Profile::parse(json).and_then(|profile| profile.resolve(capabilities));
            let refuse = |error: sampan_runtime::seccomp::SeccompError| ContainerError::Refused {
                kind: Kind::from(error.kind()),
                message: format!("the seccomp profile cannot be used: {error}"),
            };
            Ok((Filter::Described, Some(rules.map_err(refuse)?)))
        }
    }
}

fn paths(typed: &Option<Vec<String>>, default: &[&str], privileged: bool) -> Vec<String> {
    match typed {
        Some(typed) => typed.clone(),
        None if privileged => Vec::new(),
        None => default.iter().map(|path| (*path).to_owned()).collect(),
    }
}

fn mapping(owner: &Owner) -> LinuxIdMapping {
    LinuxIdMappingBuilder::default().container_id(0_u32).host_id(owner.base_id).size(RANGE).build().unwrap_or_default()
}

/// What spawner takes for a place of another container.
fn of_container(id: &str) -> String {
    format!("container:{id}")
}

fn namespaces(given: &Given<'_>, user: bool) -> Vec<LinuxNamespace> {
    let config = given.config;
    let security = &config.security;
    let own = |kind| LinuxNamespaceBuilder::default().typ(kind).build().unwrap_or_default();
    let mut list = vec![own(LinuxNamespaceType::Mount)];
    if user {
        list.push(own(LinuxNamespaceType::User));
    }
    if config.network != Network::Host {
        list.push(own(LinuxNamespaceType::Network));
    }
    if !security.uts_host {
        list.push(own(LinuxNamespaceType::Uts));
    }
    if !security.cgroup_host {
        list.push(own(LinuxNamespaceType::Cgroup));
    }
    for (kind, mode, container) in [
        (LinuxNamespaceType::Pid, &security.pid, given.pid_container),
        (LinuxNamespaceType::Ipc, &security.ipc, given.ipc_container),
    ] {
        match (mode, container) {
            (NamespaceMode::Host, _) => {}
            (NamespaceMode::Container { .. }, Some(id)) => {
                let mut joined = own(kind);
                joined.set_path(Some(of_container(id).into()));
                list.push(joined);
            }
            _ => list.push(own(kind)),
        }
    }
    list
}
