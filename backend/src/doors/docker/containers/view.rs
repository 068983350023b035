//! A container in Docker's two shapes: a line of `list`, and `inspect`.

use std::collections::BTreeMap;

use sampan_engine::containers::config::ContainerConfig;
use sampan_engine::containers::{Container, Health, HealthStatus, MountKind, MountPoint, ProbeResult, State};
use sampan_engine::volumes::Usage;
use serde::Serialize;
use serde_json::{Value, json};

use super::{echo, network_settings};
use crate::doors::docker::version::Version;
use crate::doors::docker::{humans, times};

/// `Up 5 minutes (Paused)`, `Exited (0) 3 hours ago`, …
pub fn status(container: &Container, now_ns: i64) -> String {
    let run = &container.run;
    let since = |at: Option<i64>| humans::duration(now_ns - at.unwrap_or(now_ns));
    let code = run.exit_code.unwrap_or(0);
    match container.state {
        State::Created => "Created".to_owned(),
        State::Running => match &run.health {
            None => format!("Up {}", since(run.started_at_ns)),
            Some(health) => format!("Up {} ({})", since(run.started_at_ns), health_words(health.status)),
        },
        State::Paused => format!("Up {} (Paused)", since(run.started_at_ns)),
        State::Restarting => format!("Restarting ({code}) {} ago", since(run.finished_at_ns)),
        State::Exited => format!("Exited ({code}) {} ago", since(run.finished_at_ns)),
        State::Removing => "Removal In Progress".to_owned(),
        State::Dead => "Dead".to_owned(),
    }
}

fn health_words(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Starting => "health: starting",
        other => other.word(),
    }
}

/// One line of `list`; typed, since a list may have thousands of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary<'a> {
    id: &'a str,
    names: [String; 1],
    image: String,
    #[serde(rename = "ImageID")]
    image_id: &'a str,
    command: String,
    created: i64,
    ports: Vec<Value>,
    labels: &'a BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: SummaryHost<'a>,
    network_settings: SummaryNetworks,
    mounts: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryHost<'a> {
    network_mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a BTreeMap<String, String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryNetworks {
    networks: network_settings::Networks,
}

/// `image`: what the image is called now; `size`: when it was asked for.
pub fn summary<'a>(
    container: &'a Container,
    image: &str,
    size: Option<(Usage, u64)>,
    version: Version,
    now_ns: i64,
) -> Summary<'a> {
    let annotations = &container.config.annotations;
    Summary {
        id: &container.id,
        names: [format!("/{}", container.name)],
        image: image.to_owned(),
        image_id: &container.image_id,
        command: humans::command(&container.resolved.arguments),
        created: container.created_at_ns / 1_000_000_000,
        ports: network_settings::port_list(container),
        labels: &container.resolved.labels,
        state: container.state.word(),
        status: status(container, now_ns),
        host_config: SummaryHost {
            network_mode: network_settings::network_mode(&container.config.network),
            annotations: (version.knows(46) && !annotations.is_empty()).then_some(annotations),
        },
        network_settings: SummaryNetworks { networks: network_settings::networks(container) },
        mounts: mounts(container),
        size_rw: size.map(|(usage, _)| usage.bytes),
        size_root_fs: size.map(|(usage, root_bytes)| root_bytes + usage.bytes),
    }
}

/// What `inspect` needs beside the container.
pub struct Extra {
    /// Ids of execs that have not ended.
    pub exec_ids: Vec<String>,
    /// Writable layer, and bytes of the image; when it was asked for.
    pub size: Option<(Usage, u64)>,
}

/// The whole of `inspect`.
pub fn inspect(container: &Container, extra: Extra, version: Version) -> Value {
    let arguments = &container.resolved.arguments;
    let mut whole = json!({
        "Id": container.id,
        "Created": times::rfc3339(container.created_at_ns),
        "Path": arguments.first().cloned().unwrap_or_default(),
        "Args": arguments.get(1..).unwrap_or_default(),
        "State": state(container),
        "Image": container.image_id,
        // Made for each start in the sandbox's own memory: there is no path of them on the host.
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        // The log is our own format, to be read by `logs`.
        "LogPath": "",
        "Name": format!("/{}", container.name),
        "RestartCount": container.run.restarts,
        "Driver": STORAGE_DRIVER,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": if extra.exec_ids.is_empty() { Value::Null } else { json!(extra.exec_ids) },
        "HostConfig": host_config(container, version),
        "GraphDriver": { "Data": null, "Name": STORAGE_DRIVER },
    });
    if let Some((usage, root_bytes)) = extra.size {
        whole["SizeRw"] = json!(usage.bytes);
        whole["SizeRootFs"] = json!(root_bytes + usage.bytes);
    }
    whole["Mounts"] = Value::Array(mounts(container));
    whole["Config"] = json!(echo::config(container));
    whole["NetworkSettings"] = network_settings::settings(container);
    whole
}

/// How layers are stored, as `info` and `inspect` name it.
pub const STORAGE_DRIVER: &str = "sampan";

/// Masked and read-only paths are written out, as dockerd does.
fn host_config(container: &Container, version: Version) -> Value {
    let mut host = echo::host_config(container);
    if !version.knows(43) {
        host.annotations = BTreeMap::new();
    }
    let privileged = host.privileged;
    let defaults = |paths: &[&str]| paths.iter().map(ToString::to_string).collect();
    host.masked_paths.get_or_insert_with(|| if privileged { Vec::new() } else { defaults(&MASKED_PATHS) });
    host.readonly_paths.get_or_insert_with(|| if privileged { Vec::new() } else { defaults(&READONLY_PATHS) });
    json!(host)
}

/// Docker's `State`.
fn state(container: &Container) -> Value {
    let (run, state) = (&container.run, container.state);
    let mut whole = json!({
        "Status": state.word(),
        "Running": state.is_alive() || state == State::Restarting,
        "Paused": state == State::Paused,
        "Restarting": state == State::Restarting,
        "OOMKilled": run.out_of_memory,
        "Dead": state == State::Dead,
        "Pid": run.pid.filter(|_| state.is_alive()).unwrap_or(0),
        "ExitCode": run.exit_code.filter(|_| !state.is_alive()).unwrap_or(0),
        "Error": run.error,
        "StartedAt": times::rfc3339_or_never(run.started_at_ns),
        "FinishedAt": times::rfc3339_or_never(run.finished_at_ns),
    });
    if let Some(found) = &run.health {
        whole["Health"] = health(found);
    }
    whole
}

fn health(found: &Health) -> Value {
    let result = |result: &ProbeResult| {
        json!({
            "Start": times::rfc3339(result.start_ns),
            "End": times::rfc3339(result.end_ns),
            "ExitCode": result.exit_code,
            "Output": result.output,
        })
    };
    json!({
        "Status": found.status.word(),
        "FailingStreak": found.failing_streak,
        "Log": found.log.iter().map(result).collect::<Vec<_>>(),
    })
}

/// Docker's `Mounts`: of memory only what was asked for by `Mounts` stands there, as dockerd does.
pub fn mounts(container: &Container) -> Vec<Value> {
    container.resolved.mounts.iter().map(|mount| mount_point(mount, &container.config)).collect()
}

fn mount_point(mount: &MountPoint, asked: &ContainerConfig) -> Value {
    let propagation = asked.mounts.iter().find(|wanted| wanted.destination == mount.destination).and_then(|wanted| {
        match &wanted.source {
            sampan_engine::containers::config::MountSource::Bind { propagation, .. } => propagation.clone(),
            _ => None,
        }
    });
    let mut point = serde_json::Map::new();
    let kind = match mount.kind {
        MountKind::Volume => "volume",
        MountKind::Bind => "bind",
        MountKind::Tmpfs => "tmpfs",
    };
    point.insert("Type".into(), json!(kind));
    if let Some(name) = &mount.volume {
        point.insert("Name".into(), json!(name));
    }
    point.insert("Source".into(), json!(mount.source.to_string_lossy()));
    point.insert("Destination".into(), json!(mount.destination.to_string_lossy()));
    if mount.kind == MountKind::Volume {
        point.insert("Driver".into(), json!("local"));
    }
    point.insert("Mode".into(), json!(if mount.read_only { "ro" } else { "" }));
    point.insert("RW".into(), json!(!mount.read_only));
    let propagation = propagation.unwrap_or_else(|| if kind == "bind" { "rprivate".into() } else { String::new() });
    point.insert("Propagation".into(), json!(propagation));
    Value::Object(point)
}

/// Docker's defaults, in effect unless a request says otherwise. Source: moby `oci/defaults.go`.
const MASKED_PATHS: [&str; 11] = [
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
];
/// Likewise.
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
