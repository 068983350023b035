//! What a person asks for when a container is created, the same from every door.
//!
//! Stored as JSON in `containers.config`; fields are only ever added, each with a default. Absent values mean "as the
//! image says, else as Docker does". `create` resolves it against the image into the OCI description.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

pub use super::echo::Echo;
pub use sampan_runtime::sandbox::{LogLimits, RestartPolicy};
pub use sampan_runtime::wire::net::Protocol;
use serde::{Deserialize, Serialize};

/// A container to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// Reference or (short) id of the image, as typed.
    pub image: String,
    /// Replaces the image's entry point; an empty list resets it.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// `NAME=value`, or `NAME` to unset one of the image's; later wins.
    pub environment: Vec<String>,
    /// Labels, added to the image's.
    pub labels: BTreeMap<String, String>,
    /// `name|uid[:group|gid]`, looked up in the root's own passwd and group.
    pub user: Option<String>,
    /// Further groups, names or numbers.
    pub groups: Vec<String>,
    /// Made if it is not there.
    pub working_directory: Option<PathBuf>,
    /// Default: the first 12 digits of the id.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// A pseudo-terminal.
    pub tty: bool,
    /// Its first rows and columns; `None`: whatever the client says once it is there.
    pub terminal_size: Option<(u16, u16)>,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// It closes when the first attached client leaves.
    pub stdin_once: bool,
    /// Which streams the creating client will attach (kept for `inspect`).
    pub attach: AttachFlags,
    /// Name or number; default: the image's, else SIGTERM.
    pub stop_signal: Option<String>,
    /// Seconds before it is killed; default 10, -1 without limit.
    pub stop_timeout: Option<i64>,
    /// Remove it when it ends (`--rm`).
    pub auto_remove: bool,
    /// What to do at its end.
    pub restart: RestartPolicy,
    /// Volumes, binds and tmpfs.
    pub mounts: Vec<Mount>,
    /// Ports to publish.
    pub ports: Vec<PortRequest>,
    /// Ports the container says it listens on (`--expose`), added to the image's.
    pub exposed_ports: Vec<ExposedPort>,
    /// Publishes every exposed port (`-P`).
    pub publish_all: bool,
    /// Its network.
    pub network: Network,
    /// Its hardware address on the bridge, of one interface (unicast); none: one that follows from its address.
    pub mac: Option<[u8; 6]>,
    /// Resolvers instead of the host's.
    pub dns: Vec<Ipv4Addr>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of resolv.conf.
    pub dns_options: Vec<String>,
    /// `name:address` lines for /etc/hosts; `host-gateway` is the bridge's address.
    pub extra_hosts: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// What it may do.
    pub security: Security,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Host devices.
    pub devices: Vec<Device>,
    /// Size of /dev/shm; default 64 MiB.
    pub shm_bytes: Option<u64>,
    /// A tiny init as PID 1.
    pub init: bool,
    /// The log's bounds: bytes per file and files; default 256 MiB and 4.
    pub log: Option<LogLimits>,
    /// Free notes of the OCI description.
    pub annotations: BTreeMap<String, String>,
    /// A probe; `None`: the image's.
    pub healthcheck: Option<Healthcheck>,
    /// As the door understood it, verbatim, where `inspect` must give back what was sent (Docker's `HostConfig` and
    /// `Config`). Never acted upon.
    pub echo: Echo,
}

/// Streams to attach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachFlags {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path in the container.
    pub destination: PathBuf,
    /// Cannot be written.
    #[serde(default)]
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MountSource {
    /// A volume; made when there is none of this name. No name: an anonymous one, removed with `rm -v`.
    Volume {
        /// Its name.
        name: Option<String>,
        /// Leave it empty instead of copying the image's content on first use.
        #[serde(default)]
        no_copy: bool,
    },
    /// A host folder or file.
    Bind {
        /// Absolute path.
        path: PathBuf,
        /// Make the folder when it is missing (`-v`), else refuse (`--mount`).
        #[serde(default)]
        create: bool,
        /// `rprivate` (default), `private`, `rshared`, `shared`, `rslave`, `slave`.
        #[serde(default)]
        propagation: Option<String>,
        /// Without the mounts beneath it.
        #[serde(default)]
        non_recursive: bool,
        /// With the team's ids, and only as long as it lies beneath a folder that the team was granted; else with the
        /// host's ids, which takes an administrator.
        #[serde(default)]
        granted: bool,
    },
    /// Memory.
    Tmpfs {
        /// Most bytes.
        #[serde(default)]
        size_bytes: Option<u64>,
        /// Permission bits; default 0o1777.
        #[serde(default)]
        mode: Option<u32>,
        /// Further options (`noexec`, `uid=…`), checked against a list.
        #[serde(default)]
        options: Vec<String>,
    },
}

/// A port to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// Address on the host; default all.
    #[serde(default)]
    pub host_address: Option<Ipv4Addr>,
    /// First and last host port to choose from; `None`: net chooses.
    #[serde(default)]
    pub host_ports: Option<(u16, u16)>,
    /// Port in the container.
    pub container_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// A port that something listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExposedPort {
    /// Its number.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// Which network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Network {
    /// The team's bridge.
    #[default]
    Bridge,
    /// Loopback only.
    None,
    /// The host's own; needs a grant.
    Host,
    /// That of another container of the same team.
    Container {
        /// Name or id as typed.
        container: String,
    },
}

/// Bounds; absent is "no limit" but for processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory in bytes, at least 6 MiB.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together; -1 without limit; default: twice the memory.
    pub memory_swap_bytes: Option<i64>,
    /// Soft limit.
    pub memory_reservation_bytes: Option<u64>,
    /// 0-100.
    pub swappiness: Option<u64>,
    /// Nothing is killed when memory ends.
    pub oom_kill_disable: bool,
    /// -1000 to 1000; clamped to what the host allows, with a warning.
    pub oom_score_adjust: Option<i32>,
    /// Relative weight, 2-262144.
    pub cpu_shares: Option<u64>,
    /// Billionths of a CPU (`--cpus`).
    pub nano_cpus: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds per period.
    pub cpu_quota: Option<i64>,
    /// `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// `0`.
    pub cpuset_mems: Option<String>,
    /// Processes and threads; -1 or 0 without limit; default 4096.
    pub pids: Option<i64>,
    /// 10-1000.
    pub block_io_weight: Option<u16>,
    /// Resource limits of the process.
    pub ulimits: Vec<Ulimit>,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `core`, … without `RLIMIT_`.
    pub name: String,
    /// Soft; -1 without limit.
    pub soft: i64,
    /// Hard.
    pub hard: i64,
}

/// What a container may do. Anything beyond the defaults needs a grant from the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Everything.
    pub privileged: bool,
    /// Capabilities to add; `ALL`, with or without `CAP_`.
    pub capabilities_add: Vec<String>,
    /// Capabilities to drop.
    pub capabilities_drop: Vec<String>,
    /// Nothing gains privileges by executing.
    pub no_new_privileges: bool,
    /// Default: Docker's profile.
    pub seccomp: Seccomp,
    /// Root cannot be written.
    pub read_only_root: bool,
    /// Masked paths instead of the default ones.
    pub masked_paths: Option<Vec<String>>,
    /// Read-only paths instead of the default ones.
    pub readonly_paths: Option<Vec<String>>,
    /// `host` user namespace.
    pub user_namespace_host: bool,
    /// `host` process ids.
    pub pid: NamespaceMode,
    /// `host` or another container's IPC.
    pub ipc: NamespaceMode,
    /// Other containers of the team may join its IPC and `/dev/shm`.
    pub ipc_shareable: bool,
    /// No `/dev/shm`: Docker's `--ipc none`, beside an IPC namespace of its own.
    pub without_shm: bool,
    /// `host` name.
    pub uts_host: bool,
    /// `host` cgroup namespace.
    pub cgroup_host: bool,
}

/// Whose namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum NamespaceMode {
    /// Its own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// Another container's.
    Container {
        /// Name or id as typed.
        container: String,
    },
}

/// Filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "profile", rename_all = "kebab-case")]
pub enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// None at all.
    Unconfined,
    /// A profile in Docker's JSON.
    Custom {
        /// The JSON text.
        json: String,
    },
}

/// A host device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// Of `rwm`.
    pub permissions: String,
}

/// A probe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// Docker's form: `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", text]`; empty: the image's.
    pub test: Vec<String>,
    /// Nanoseconds, 0 for the default of 30 s.
    pub interval_ns: i64,
    /// Nanoseconds, 0 for the default of 30 s.
    pub timeout_ns: i64,
    /// Nanoseconds.
    pub start_period_ns: i64,
    /// Nanoseconds, 0 for the default of 5 s.
    pub start_interval_ns: i64,
    /// Failures in a row, 0 for the default of 3.
    pub retries: u32,
}
