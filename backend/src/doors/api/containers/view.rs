//! A container as REST shows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sampan_engine::containers::config::{Healthcheck, Protocol, RestartPolicy};
use sampan_engine::containers::{Container, Health, MountKind, MountPoint, ProbeResult};
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
    /// starting, healthy or unhealthy, as its health check finds it; null: it has none, or does not run
    health: Option<&'static str>,
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
    /// What is run to see whether it is well; null: nothing
    healthcheck: Option<HealthcheckView>,
    /// Failed health checks since the last that succeeded
    health_failing_streak: u32,
    /// The last five health checks, oldest first
    health_log: Vec<ProbeView>,
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

/// What is run to see whether a container is well.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HealthcheckView {
    /// `CMD` and its words, `CMD-SHELL` and a line, or `NONE`
    test: Vec<String>,
    /// 0: 30 s
    interval_ms: i64,
    /// 0: 30 s
    timeout_ms: i64,
    /// Failures in this time after the start do not count
    start_period_ms: i64,
    /// Between two checks of the start period; 0: 5 s
    start_interval_ms: i64,
    /// Failures in a row that make it unhealthy; 0: 3
    retries: u32,
}

impl From<&Healthcheck> for HealthcheckView {
    fn from(probe: &Healthcheck) -> Self {
        Self {
            test: probe.test.clone(),
            interval_ms: probe.interval_ns / 1_000_000,
            timeout_ms: probe.timeout_ns / 1_000_000,
            start_period_ms: probe.start_period_ns / 1_000_000,
            start_interval_ms: probe.start_interval_ns / 1_000_000,
            retries: probe.retries,
        }
    }
}

/// What one health check came to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProbeView {
    /// RFC 3339
    started_at: String,
    /// RFC 3339
    ended_at: String,
    /// 0: it is well; -1: the check could not be run, or took too long
    exit_code: i32,
    /// The first 4096 bytes of what it said
    output: String,
}

impl From<&ProbeResult> for ProbeView {
    fn from(result: &ProbeResult) -> Self {
        Self {
            started_at: times::text(result.start_ns),
            ended_at: times::text(result.end_ns),
            exit_code: result.exit_code,
            output: result.output.clone(),
        }
    }
}

/// What is found of one that runs.
fn health_of(container: &Container) -> Option<&Health> {
    container.run.health.as_ref().filter(|_| container.state.is_alive())
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
            health: health_of(container).map(|health| health.status.word()),
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
            healthcheck: resolved.healthcheck.as_ref().map(HealthcheckView::from),
            health_failing_streak: container.run.health.as_ref().map_or(0, |health| health.failing_streak),
            health_log: container.run.health.iter().flat_map(|health| &health.log).map(ProbeView::from).collect(),
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
