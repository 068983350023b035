//! A container as REST asks for it, translated into the engine's own description.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use sampan_engine::containers::config::{
    ContainerConfig, Device, ExposedPort, Healthcheck, LogLimits, Mount, MountSource, NamespaceMode, Network,
    PortRequest, Protocol, RestartPolicy, Seccomp, Security,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::Problem;
use super::limits::LimitsBody;

/// A container to be. Absent values are as the image says, else as Docker does.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    /// Its name; made up when it is not given
    pub name: Option<String>,
    /// Reference or id of an image of the team
    pub image: String,
    /// Whether it is pulled first: `missing`: when the team has none of that name, `always`, or `never`
    #[serde(default)]
    pub pull: PullBody,
    /// Replaces the image's entry point; an empty list takes it away
    entrypoint: Option<Vec<String>>,
    /// Replaces the image's command
    command: Option<Vec<String>>,
    /// `NAME=value` each
    #[serde(default)]
    environment: Vec<String>,
    /// Labels
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// `name|uid[:group|gid]`
    user: Option<String>,
    /// Further groups
    #[serde(default)]
    groups: Vec<String>,
    /// Absolute path
    #[schema(value_type = Option<String>)]
    working_directory: Option<PathBuf>,
    /// Host name
    hostname: Option<String>,
    /// A terminal
    #[serde(default)]
    tty: bool,
    /// Standard input stays open
    #[serde(default)]
    open_stdin: bool,
    /// Name or number
    stop_signal: Option<String>,
    /// Seconds before it is killed; -1 without limit
    stop_timeout_seconds: Option<i64>,
    /// Removes it when it ends
    #[serde(default)]
    auto_remove: bool,
    /// What to do at its end
    #[serde(default)]
    restart: RestartBody,
    /// Volumes, host folders, memory
    #[serde(default)]
    mounts: Vec<MountBody>,
    /// Ports to publish
    #[serde(default)]
    ports: Vec<PortBody>,
    /// Publishes every port that the image exposes
    #[serde(default)]
    publish_all: bool,
    /// `bridge`, `none`, `host` or `container:NAME`
    network: Option<String>,
    /// Resolvers instead of the host's
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    dns: Vec<Ipv4Addr>,
    /// Search domains
    #[serde(default)]
    dns_search: Vec<String>,
    /// `name:address` each
    #[serde(default)]
    extra_hosts: Vec<String>,
    /// Bounds
    #[serde(default)]
    limits: LimitsBody,
    /// What it may do
    #[serde(default)]
    security: SecurityBody,
    /// Kernel parameters of its namespaces
    #[serde(default)]
    sysctls: BTreeMap<String, String>,
    /// Host devices
    #[serde(default)]
    devices: Vec<DeviceBody>,
    /// Size of /dev/shm
    shm_bytes: Option<u64>,
    /// A tiny init as its first process
    #[serde(default)]
    init: bool,
    /// Bytes of a log file, and how many are kept
    log: Option<LogBody>,
    /// What is run to see whether it is well; what it leaves out is the image's
    healthcheck: Option<HealthcheckBody>,
    /// Starts it at once
    #[serde(default)]
    pub start: bool,
}

/// What is run in a container to see whether it is well.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthcheckBody {
    /// `CMD` and its words, `CMD-SHELL` and a line, or `NONE` against the image's
    test: Vec<String>,
    /// Default: 30 s
    interval_ms: u32,
    /// Default: 30 s
    timeout_ms: u32,
    /// Failures in this time after the start do not count
    start_period_ms: u32,
    /// Between two checks of the start period; default: 5 s
    start_interval_ms: u32,
    /// Failures in a row that make it unhealthy; default: 3
    retries: u32,
}

impl HealthcheckBody {
    fn read(self) -> Result<Healthcheck, Problem> {
        let words = self.test.len();
        let right = match self.test.first().map(String::as_str) {
            None => true,
            Some("NONE") => words == 1,
            Some("CMD") => words >= 2,
            Some("CMD-SHELL") => words == 2,
            Some(_) => false,
        };
        if !right {
            let must = "must be CMD and its words, CMD-SHELL and one line, or NONE alone";
            return Err(Problem::invalid(format!("healthcheck.test {must}")));
        }
        let nanoseconds = |milliseconds: u32| i64::from(milliseconds) * 1_000_000;
        Ok(Healthcheck {
            test: self.test,
            interval_ns: nanoseconds(self.interval_ms),
            timeout_ns: nanoseconds(self.timeout_ms),
            start_period_ns: nanoseconds(self.start_period_ms),
            start_interval_ns: nanoseconds(self.start_interval_ms),
            retries: self.retries,
        })
    }
}

/// What to do when it ends.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(tag = "policy", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RestartBody {
    /// Nothing
    #[default]
    No,
    /// Always again
    Always,
    /// Again, unless a person stopped it
    UnlessStopped,
    /// Again on a status other than 0
    OnFailure {
        /// At most so often; 0 is without limit
        #[serde(default)]
        max_retries: u32,
    },
}

/// One mount.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MountBody {
    /// A volume, made when there is none of that name
    Volume {
        /// Its name; without one it is removed with the container
        name: Option<String>,
        /// Absolute path in the container
        destination: String,
        /// Cannot be written
        #[serde(default)]
        read_only: bool,
    },
    /// A host folder or file; for others than an administrator one beneath a folder that the team was granted
    Bind {
        /// Absolute path on the host
        source: String,
        /// Absolute path in the container
        destination: String,
        /// Cannot be written
        #[serde(default)]
        read_only: bool,
    },
    /// Memory
    Tmpfs {
        /// Absolute path in the container
        destination: String,
        /// Most bytes
        size_bytes: Option<u64>,
        /// Permission bits
        mode: Option<u32>,
    },
}

/// One port to publish.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortBody {
    /// Address on the host; all when it is not given
    #[schema(value_type = Option<String>)]
    host_address: Option<Ipv4Addr>,
    /// Port on the host; one is chosen when it is not given
    host_port: Option<u16>,
    /// Port in the container
    container_port: u16,
    /// `tcp` or `udp`
    #[serde(default)]
    protocol: ProtocolBody,
}

/// When an image is pulled before a container is made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullBody {
    /// It must be there
    #[default]
    Never,
    /// When it is not there
    Missing,
    /// Whatever is there
    Always,
}

/// `tcp` or `udp`.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ProtocolBody {
    #[default]
    Tcp,
    Udp,
}

/// What a container may do. Beyond the defaults only an administrator may ask.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityBody {
    /// Everything
    privileged: bool,
    /// Capabilities to add
    capabilities_add: Vec<String>,
    /// Capabilities to take away
    capabilities_drop: Vec<String>,
    /// Nothing gains privileges by executing
    no_new_privileges: bool,
    /// Its root cannot be written
    read_only_root: bool,
    /// No filter of system calls
    seccomp_unconfined: bool,
    /// The host's user namespace
    user_namespace_host: bool,
    /// `host` or `container:NAME`
    pid: Option<String>,
    /// `host`, `container:NAME`, or `shareable`: others may join it
    ipc: Option<String>,
}

/// One host device.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// Path on the host
    host_path: String,
    /// Path in the container; the same when it is not given
    container_path: Option<String>,
    /// Of `rwm`; all when it is not given
    permissions: Option<String>,
}

/// Bounds of a log.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogBody {
    /// Bytes of one file
    file_bytes: u64,
    /// Files kept
    files: u32,
}

impl CreateBody {
    /// The engine's description.
    pub fn into_config(self) -> Result<ContainerConfig, Problem> {
        Ok(ContainerConfig {
            image: self.image,
            entrypoint: self.entrypoint,
            command: self.command,
            environment: self.environment,
            labels: self.labels,
            user: self.user,
            groups: self.groups,
            working_directory: self.working_directory,
            hostname: self.hostname,
            tty: self.tty,
            open_stdin: self.open_stdin,
            stop_signal: self.stop_signal,
            stop_timeout: self.stop_timeout_seconds,
            auto_remove: self.auto_remove,
            restart: self.restart.into(),
            mounts: self.mounts.into_iter().map(Mount::from).collect(),
            exposed_ports: self.ports.iter().map(PortBody::exposed).collect(),
            ports: self.ports.into_iter().map(PortRequest::from).collect(),
            publish_all: self.publish_all,
            network: network(self.network.as_deref())?,
            dns: self.dns,
            dns_search: self.dns_search,
            extra_hosts: self.extra_hosts,
            limits: self.limits.into(),
            security: self.security.into_security()?,
            sysctls: self.sysctls,
            devices: self.devices.into_iter().map(Device::from).collect(),
            shm_bytes: self.shm_bytes,
            init: self.init,
            healthcheck: self.healthcheck.map(HealthcheckBody::read).transpose()?,
            log: self.log.map(|log| LogLimits { file_bytes: log.file_bytes, files: log.files, transient: false }),
            ..ContainerConfig::default()
        })
    }
}

fn network(text: Option<&str>) -> Result<Network, Problem> {
    match text {
        None | Some("bridge") => Ok(Network::Bridge),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(text) => match text.strip_prefix("container:") {
            Some(container) if !container.is_empty() => Ok(Network::Container { container: container.to_owned() }),
            _ => {
                Err(Problem::invalid(format!("network is {text:?}, but must be bridge, none, host or container:NAME")))
            }
        },
    }
}

fn namespace(name: &str, text: Option<&str>) -> Result<NamespaceMode, Problem> {
    match text {
        None => Ok(NamespaceMode::Own),
        Some("host") => Ok(NamespaceMode::Host),
        Some(text) => match text.strip_prefix("container:") {
            Some(container) if !container.is_empty() => {
                Ok(NamespaceMode::Container { container: container.to_owned() })
            }
            _ => Err(Problem::invalid(format!("{name} is {text:?}, but must be host or container:NAME"))),
        },
    }
}

impl SecurityBody {
    fn into_security(self) -> Result<Security, Problem> {
        Ok(Security {
            privileged: self.privileged,
            capabilities_add: self.capabilities_add,
            capabilities_drop: self.capabilities_drop,
            no_new_privileges: self.no_new_privileges,
            seccomp: if self.seccomp_unconfined { Seccomp::Unconfined } else { Seccomp::Default },
            read_only_root: self.read_only_root,
            user_namespace_host: self.user_namespace_host,
            pid: namespace("pid", self.pid.as_deref())?,
            ipc_shareable: self.ipc.as_deref() == Some("shareable"),
            ipc: namespace("ipc", self.ipc.as_deref().filter(|mode| *mode != "shareable"))?,
            ..Security::default()
        })
    }
}

impl From<RestartBody> for RestartPolicy {
    fn from(body: RestartBody) -> Self {
        match body {
            RestartBody::No => Self::No,
            RestartBody::Always => Self::Always,
            RestartBody::UnlessStopped => Self::UnlessStopped,
            RestartBody::OnFailure { max_retries } => Self::OnFailure { max_retries },
        }
    }
}

impl From<MountBody> for Mount {
    fn from(body: MountBody) -> Self {
        match body {
            MountBody::Volume { name, destination, read_only } => {
                let source = MountSource::Volume { name, no_copy: false };
                Self { source, destination: destination.into(), read_only }
            }
            MountBody::Bind { source, destination, read_only } => {
                let (path, create) = (source.into(), false);
                let source =
                    MountSource::Bind { path, create, propagation: None, non_recursive: false, granted: false };
                Self { source, destination: destination.into(), read_only }
            }
            MountBody::Tmpfs { destination, size_bytes, mode } => {
                let source = MountSource::Tmpfs { size_bytes, mode, options: Vec::new() };
                Self { source, destination: destination.into(), read_only: false }
            }
        }
    }
}

impl PortBody {
    fn protocol(&self) -> Protocol {
        match self.protocol {
            ProtocolBody::Tcp => Protocol::Tcp,
            ProtocolBody::Udp => Protocol::Udp,
        }
    }

    fn exposed(&self) -> ExposedPort {
        ExposedPort { port: self.container_port, protocol: self.protocol() }
    }
}

impl From<PortBody> for PortRequest {
    fn from(body: PortBody) -> Self {
        Self {
            host_address: body.host_address,
            host_ports: body.host_port.filter(|port| *port != 0).map(|port| (port, port)),
            container_port: body.container_port,
            protocol: body.protocol(),
        }
    }
}

impl From<DeviceBody> for Device {
    fn from(body: DeviceBody) -> Self {
        let container_path = body.container_path.unwrap_or_else(|| body.host_path.clone());
        Self {
            host_path: body.host_path.into(),
            container_path: container_path.into(),
            permissions: body.permissions.unwrap_or_else(|| "rwm".to_owned()),
        }
    }
}
