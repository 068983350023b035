//! A container as it is seen: a snapshot that is replaced, never changed.

use std::path::PathBuf;
use std::sync::Arc;

use sampan_runtime::wire::net::Port;
use sampan_runtime::wire::spawner::Endpoint;
use serde::{Deserialize, Serialize};

use super::config::{ContainerConfig, Healthcheck, NamespaceMode};
use crate::owner::Owner;

/// One container at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    /// Whose it is.
    pub owner: Owner,
    /// Without a slash.
    pub name: String,
    /// Digest of its image: `sha256:…`.
    pub image_id: String,
    /// Nanoseconds since 1970.
    pub created_at_ns: i64,
    /// As it was asked for; `config.image` is the reference as typed.
    pub config: Arc<ContainerConfig>,
    /// What the configuration and the image make together.
    pub resolved: Arc<Resolved>,
    /// What it does now.
    pub state: State,
    /// Its present or last run.
    pub run: Run,
}

/// What configuration and image make together; stored with the row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolved {
    /// Program and arguments, entry point and command joined.
    pub arguments: Vec<String>,
    /// The image's and the container's, in this order.
    pub environment: Vec<String>,
    /// The entry point in effect.
    pub entrypoint: Vec<String>,
    /// The command in effect.
    pub command: Vec<String>,
    /// As typed or as the image says; empty: root.
    pub user: String,
    /// Absolute.
    pub working_directory: PathBuf,
    /// Its host name.
    pub hostname: String,
    /// The image's and the container's.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The image's and the container's.
    pub exposed_ports: Vec<super::config::ExposedPort>,
    /// Number of the signal that `stop` sends.
    pub stop_signal: i32,
    /// What is mounted, volumes by their name.
    pub mounts: Vec<MountPoint>,
    /// Ids of volumes made for it without a name.
    pub anonymous_volumes: Vec<String>,
    /// Id of the container whose network it shares.
    pub network_container: Option<String>,
    /// The probe: the container's, filled up from the image's.
    pub healthcheck: Option<Healthcheck>,
    /// The image's shell, for a probe that is one line; empty: `/bin/sh -c`.
    pub shell: Vec<String>,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// `volume`, `bind` or `tmpfs`.
    pub kind: MountKind,
    /// Name of the volume.
    #[serde(default)]
    pub volume: Option<String>,
    /// Path on the host; empty for tmpfs.
    #[serde(default)]
    pub source: PathBuf,
    /// Absolute path in the container.
    pub destination: PathBuf,
    /// Cannot be written.
    #[serde(default)]
    pub read_only: bool,
}

/// What a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A volume.
    Volume,
    /// A host folder or file.
    Bind,
    /// Memory.
    Tmpfs,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Never started.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended; the monitor will start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Something of it could not be let go of.
    Dead,
}

impl State {
    /// Docker's word for it, lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }

    /// Its main process is alive.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// The present or last run of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Host pid of the main process while it is alive.
    pub pid: Option<i32>,
    /// 0-255 as Docker counts; `None`: not ended yet, or nobody could learn it (then `error` says so).
    pub exit_code: Option<i32>,
    /// The kernel's out-of-memory killer took a process of it.
    pub out_of_memory: bool,
    /// Why it could not be started.
    pub error: String,
    /// Nanoseconds since 1970.
    pub started_at_ns: Option<i64>,
    /// Nanoseconds since 1970.
    pub finished_at_ns: Option<i64>,
    /// How often the monitor restarted it since a person started it.
    pub restarts: u32,
    /// A person asked it to stop: no start by policy after a restart of the host.
    pub stopped_by_person: bool,
    /// Its place on the team's bridge while it runs.
    pub endpoint: Option<Endpoint>,
    /// Published ports while it runs.
    pub ports: Vec<Port>,
    /// Sequence of the last journal entry that was taken in.
    pub journal_sequence: u64,
    /// What its probe found; `None`: it has none, or was never started.
    pub health: Option<Health>,
}

impl Container {
    /// Whether nothing of its output is kept.
    pub fn is_log_transient(&self) -> bool {
        self.config.log.is_some_and(|log| log.transient)
    }

    /// Whether it lives in namespaces of another container, which has to run first.
    pub(super) fn joins_another(&self) -> bool {
        let security = &self.config.security;
        let others = |mode: &NamespaceMode| matches!(mode, NamespaceMode::Container { .. });
        self.resolved.network_container.is_some() || others(&security.pid) || others(&security.ipc)
    }
}

impl Run {
    /// Nothing is probed from now on: as Docker says it, until it is probed again.
    pub(super) fn unprobed(&mut self) {
        if let Some(health) = &mut self.health {
            health.status = HealthStatus::Unhealthy;
        }
    }
}

/// How well a container is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// What the last probes come to.
    pub status: HealthStatus,
    /// Failures since the last success.
    pub failing_streak: u32,
    /// The last five results, oldest first.
    pub log: Vec<ProbeResult>,
}

/// What the last probes come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// None has succeeded yet, and too few have failed.
    #[default]
    Starting,
    /// The last one succeeded, or too few have failed since.
    Healthy,
    /// Too many failed in a row; also while it is paused or does not run.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What one probe came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Nanoseconds since 1970.
    pub start_ns: i64,
    /// Nanoseconds since 1970.
    pub end_ns: i64,
    /// 0: it is well; -1: the probe could not be run, or took too long.
    pub exit_code: i32,
    /// The first 4096 bytes of both its outputs.
    pub output: String,
}
