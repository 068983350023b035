//! A container as REST shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sampan_engine::containers::config::{Protocol, RestartPolicy};
use sampan_engine::containers::{Container, MountKind, MountPoint};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::times;

/// What stands in the place of a value that the caller may not read.
const MASKED: &str = "********";

/// A container in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ContainerSummary {
    /// 64 hexadecimal digits
    id: String,
    /// Unique in the team
    name: String,
    /// As it was asked for
    image: String,
    /// Digest of the image's configuration
    image_id: String,
    /// created, running, paused, restarting, exited, removing or dead
    state: &'static str,
    /// RFC 3339
    created_at: String,
    /// RFC 3339; null: never
    started_at: Option<String>,
    /// RFC 3339; null: not ended
    finished_at: Option<String>,
    /// 0-255; null: not ended, or nobody could learn it
    exit_code: Option<i32>,
    /// The kernel took a process of it when memory ended
    out_of_memory: bool,
    /// Program and arguments
    command: Vec<String>,
    /// The image's and its own
    labels: BTreeMap<String, String>,
    /// Published ports while it runs
    ports: Vec<PortView>,
    /// Address on the team's bridge while it runs
    address: Option<String>,
}

/// One published port.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PortView {
    /// Address on the host
    host_address: String,
    /// Port on the host
    host_port: u16,
    /// Port in the container
    container_port: u16,
    /// `tcp` or `udp`
    protocol: &'static str,
}

/// A container with all that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ContainerView {
    #[serde(flatten)]
    summary: ContainerSummary,
    /// Host pid of its main process
    pid: Option<i32>,
    /// Why it could not be started; empty: it could
    error: String,
    /// How often it was restarted since a person started it
    restarts: u32,
    /// `NAME=value`; values are masked for those who may only look
    environment: Vec<String>,
    /// As typed or as the image says
    user: String,
    /// Absolute path
    #[schema(value_type = String)]
    working_directory: PathBuf,
    /// Host name
    hostname: String,
    /// A terminal
    tty: bool,
    /// Standard input stays open
    open_stdin: bool,
    /// no, always, unless-stopped or on-failure
    restart: &'static str,
    /// Removes itself when it ends
    auto_remove: bool,
    /// What is mounted
    mounts: Vec<MountView>,
    /// Memory in bytes
    memory_limit_bytes: Option<u64>,
    /// Billionths of a CPU
    nano_cpus: Option<u64>,
    /// Processes and threads
    pids_limit: Option<i64>,
    /// Everything is allowed to it
    privileged: bool,
    /// Its root cannot be written
    read_only_root: bool,
}

/// One mount.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MountView {
    /// volume, bind or tmpfs
    #[serde(rename = "type")]
    kind: &'static str,
    /// Name of the volume
    volume: Option<String>,
    /// Path on the host, of a bind
    source: Option<String>,
    /// Absolute path in the container
    destination: String,
    /// Cannot be written
    read_only: bool,
}

impl From<&Container> for ContainerSummary {
    fn from(container: &Container) -> Self {
        let run = &container.run;
        Self {
            id: container.id.clone(),
            name: container.name.clone(),
            image: container.config.image.clone(),
            image_id: container.image_id.clone(),
            state: container.state.word(),
            created_at: times::text(container.created_at_ns),
            started_at: run.started_at_ns.map(times::text),
            finished_at: run.finished_at_ns.map(times::text),
            exit_code: run.exit_code,
            out_of_memory: run.out_of_memory,
            command: container.resolved.arguments.clone(),
            labels: container.resolved.labels.clone(),
            ports: run
                .ports
                .iter()
                .map(|port| PortView {
                    host_address: port.host_address.to_string(),
                    host_port: port.host_port,
                    container_port: port.container_port,
                    protocol: protocol(port.protocol),
                })
                .collect(),
            address: run.endpoint.as_ref().map(|endpoint| endpoint.address.to_string()),
        }
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

impl ContainerView {
    /// The container; `reveals`: the caller may read the values of its environment.
    pub fn new(container: &Container, reveals: bool) -> Self {
        let (config, resolved) = (&container.config, &container.resolved);
        let shown = |line: &String| match line.split_once('=') {
            Some((name, _)) if !reveals => format!("{name}={MASKED}"),
            _ => line.clone(),
        };
        Self {
            summary: container.into(),
            pid: container.run.pid,
            error: container.run.error.clone(),
            restarts: container.run.restarts,
            environment: resolved.environment.iter().map(shown).collect(),
            user: resolved.user.clone(),
            working_directory: resolved.working_directory.clone(),
            hostname: resolved.hostname.clone(),
            tty: config.tty,
            open_stdin: config.open_stdin,
            restart: restart(config.restart),
            auto_remove: config.auto_remove,
            mounts: resolved.mounts.iter().map(MountView::from).collect(),
            memory_limit_bytes: config.limits.memory_bytes,
            nano_cpus: config.limits.nano_cpus,
            pids_limit: config.limits.pids,
            privileged: config.security.privileged,
            read_only_root: config.security.read_only_root,
        }
    }
}

fn restart(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::No => "no",
        RestartPolicy::Always => "always",
        RestartPolicy::UnlessStopped => "unless-stopped",
        RestartPolicy::OnFailure { .. } => "on-failure",
    }
}

impl From<&MountPoint> for MountView {
    fn from(mount: &MountPoint) -> Self {
        let source = mount.source.display().to_string();
        Self {
            kind: match mount.kind {
                MountKind::Volume => "volume",
                MountKind::Bind => "bind",
                MountKind::Tmpfs => "tmpfs",
            },
            volume: mount.volume.clone(),
            source: (mount.kind == MountKind::Bind).then_some(source),
            destination: mount.destination.display().to_string(),
            read_only: mount.read_only,
        }
    }
}
