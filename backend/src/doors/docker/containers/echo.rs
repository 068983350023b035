//! The `Config` and `HostConfig` that `inspect` gives back: what was sent, with what is in effect now. A container that
//! another door made gets them from what the engine was asked for.

use std::collections::BTreeMap;

use sampan_engine::containers::Container;
use sampan_engine::containers::config::{
    ContainerConfig, MountSource, NamespaceMode, PortRequest, RestartPolicy as Policy, Seccomp,
};

use super::config::{Config, Empty, Words};
use super::host_config::{DeviceMapping, HostConfig, LogConfig, PortBinding, Resources, RestartPolicy, Ulimit};
use super::mounts::{BindOptions, MountRequest, TmpfsOptions, VolumeOptions};
use super::network_settings::network_mode;
use super::ports::protocol_name;
use super::request::RUNTIME;

/// What a container is on any host.
pub fn config(container: &Container) -> Config {
    let asked = &container.config;
    let resolved = &container.resolved;
    let sent = sent(asked, "Config").and_then(|sent| serde_json::from_value::<Config>(without_nulls(sent)).ok());
    let base = sent.unwrap_or_else(|| Config {
        domainname: asked.domainname.clone().unwrap_or_default(),
        attach_stdin: asked.attach.stdin,
        attach_stdout: asked.attach.stdout,
        attach_stderr: asked.attach.stderr,
        tty: asked.tty,
        open_stdin: asked.open_stdin,
        stdin_once: asked.stdin_once,
        image: asked.image.clone(),
        stop_signal: asked.stop_signal.clone().unwrap_or_default(),
        stop_timeout: asked.stop_timeout,
        ..Config::default()
    });
    let exposed: BTreeMap<String, Empty> = resolved
        .exposed_ports
        .iter()
        .map(|port| (format!("{}/{}", port.port, protocol_name(port.protocol)), Empty {}))
        .collect();
    let words = |list: &Vec<String>| Some(Words(list.clone())).filter(|words| !words.0.is_empty());
    Config {
        hostname: resolved.hostname.clone(),
        user: resolved.user.clone(),
        env: Some(resolved.environment.clone()),
        cmd: words(&resolved.command),
        entrypoint: words(&resolved.entrypoint),
        working_dir: resolved.working_directory.to_string_lossy().into_owned(),
        labels: Some(resolved.labels.clone()),
        exposed_ports: Some(exposed).filter(|ports| !ports.is_empty()),
        healthcheck: resolved.healthcheck.as_ref().map(|probe| super::config::Healthcheck {
            test: probe.test.clone(),
            interval: probe.interval_ns,
            timeout: probe.timeout_ns,
            start_period: probe.start_period_ns,
            start_interval: probe.start_interval_ns,
            retries: i64::from(probe.retries),
        }),
        ..base
    }
}

/// What a container is on this host. Limits and policy are those in effect: `update` changes them.
pub fn host_config(container: &Container) -> HostConfig {
    let asked = &container.config;
    let base = sent(asked, "HostConfig")
        .and_then(|sent| serde_json::from_value::<HostConfig>(without_nulls(sent)).ok())
        .unwrap_or_else(|| made_elsewhere(asked));
    let resources = resources(base.resources.clone(), asked);
    HostConfig { resources, restart_policy: written_policy(asked.restart), ..base }
}

/// One part of what was sent; none where another door made the container.
fn sent(asked: &ContainerConfig, part: &str) -> Option<serde_json::Value> {
    asked.echo.read().get_mut(part).map(serde_json::Value::take)
}

/// Kept as it is written, so that a list that was not sent is read as such.
fn without_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

fn written_policy(policy: Policy) -> RestartPolicy {
    let (name, count) = match policy {
        Policy::No => ("no", 0),
        Policy::Always => ("always", 0),
        Policy::UnlessStopped => ("unless-stopped", 0),
        Policy::OnFailure { max_retries } => ("on-failure", i64::from(max_retries)),
    };
    RestartPolicy { name: name.to_owned(), maximum_retry_count: count }
}

/// The limits in effect over what was sent.
fn resources(base: Resources, asked: &ContainerConfig) -> Resources {
    let limits = &asked.limits;
    let signed = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok()).unwrap_or(0);
    let swap =
        limits.memory_swap_bytes.unwrap_or_else(|| limits.memory_bytes.map_or(0, |bytes| signed(Some(bytes)) * 2));
    Resources {
        cpu_shares: signed(limits.cpu_shares),
        memory: signed(limits.memory_bytes),
        nano_cpus: signed(limits.nano_cpus),
        blkio_weight: limits.block_io_weight.unwrap_or(0),
        cpu_period: signed(limits.cpu_period),
        cpu_quota: limits.cpu_quota.unwrap_or(0),
        cpuset_cpus: limits.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: limits.cpuset_mems.clone().unwrap_or_default(),
        memory_reservation: signed(limits.memory_reservation_bytes),
        memory_swap: swap,
        memory_swappiness: limits.swappiness.and_then(|swappiness| i64::try_from(swappiness).ok()),
        // Null where it was not asked for, and where the host could not hold it.
        oom_kill_disable: base.oom_kill_disable.filter(|off| *off == limits.oom_kill_disable),
        pids_limit: limits.pids,
        ..base
    }
}

/// In Docker's words what another door asked for.
fn made_elsewhere(asked: &ContainerConfig) -> HostConfig {
    let some = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
    let security = &asked.security;
    let log = asked.log.map(|log| {
        BTreeMap::from([
            ("max-size".to_owned(), log.file_bytes.to_string()),
            ("max-file".to_owned(), log.files.to_string()),
        ])
    });
    HostConfig {
        log_config: LogConfig { driver: "json-file".into(), config: log.unwrap_or_default() },
        network_mode: network_mode(&asked.network),
        port_bindings: Some(port_bindings(&asked.ports)),
        auto_remove: asked.auto_remove,
        annotations: asked.annotations.clone(),
        cap_add: some(&security.capabilities_add).map(Words),
        cap_drop: some(&security.capabilities_drop).map(Words),
        cgroupns_mode: if security.cgroup_host { "host" } else { "private" }.into(),
        dns: Some(asked.dns.iter().map(ToString::to_string).collect()),
        dns_options: Some(asked.dns_options.clone()),
        dns_search: Some(asked.dns_search.clone()),
        extra_hosts: some(&asked.extra_hosts),
        group_add: some(&asked.groups),
        ipc_mode: namespace_mode(
            &security.ipc,
            match (security.without_shm, security.ipc_shareable) {
                (true, _) => "none",
                (_, true) => "shareable",
                _ => "private",
            },
        ),
        oom_score_adj: asked.limits.oom_score_adjust.unwrap_or(0),
        pid_mode: namespace_mode(&security.pid, ""),
        privileged: security.privileged,
        publish_all_ports: asked.publish_all,
        readonly_rootfs: security.read_only_root,
        security_opt: some(&security_options(asked)),
        uts_mode: if security.uts_host { "host".into() } else { String::new() },
        userns_mode: if security.user_namespace_host { "host".into() } else { String::new() },
        shm_size: asked.shm_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(64 << 20),
        sysctls: asked.sysctls.clone(),
        runtime: RUNTIME.into(),
        resources: Resources {
            devices: Some(asked.devices.iter().map(device).collect()),
            oom_kill_disable: Some(asked.limits.oom_kill_disable),
            ulimits: Some(
                asked
                    .limits
                    .ulimits
                    .iter()
                    .map(|limit| Ulimit { name: limit.name.clone(), hard: limit.hard, soft: limit.soft })
                    .collect(),
            ),
            ..Resources::default()
        },
        mounts: asked.mounts.iter().map(mount).collect(),
        masked_paths: security.masked_paths.clone(),
        readonly_paths: security.readonly_paths.clone(),
        init: asked.init.then_some(true),
        ..HostConfig::default()
    }
}

fn device(device: &sampan_engine::containers::config::Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: device.host_path.to_string_lossy().into_owned(),
        path_in_container: device.container_path.to_string_lossy().into_owned(),
        cgroup_permissions: device.permissions.clone(),
    }
}

fn port_bindings(ports: &[PortRequest]) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut map: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in ports {
        let host_port = match port.host_ports {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let host_ip = port.host_address.map(|address| address.to_string()).unwrap_or_default();
        let key = format!("{}/{}", port.container_port, protocol_name(port.protocol));
        map.entry(key).or_default().get_or_insert_default().push(PortBinding { host_ip, host_port });
    }
    map
}

fn namespace_mode(mode: &NamespaceMode, own: &str) -> String {
    match mode {
        NamespaceMode::Own => own.to_owned(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Container { container } => format!("container:{container}"),
    }
}

fn security_options(asked: &ContainerConfig) -> Vec<String> {
    let mut options = Vec::new();
    if asked.security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &asked.security.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Custom { json } => options.push(format!("seccomp={json}")),
    }
    options
}

fn mount(mount: &sampan_engine::containers::config::Mount) -> MountRequest {
    let target = mount.destination.to_string_lossy().into_owned();
    let base = MountRequest { target, read_only: mount.read_only, ..MountRequest::default() };
    match &mount.source {
        MountSource::Volume { name, no_copy } => MountRequest {
            kind: "volume".into(),
            source: name.clone().unwrap_or_default(),
            volume_options: no_copy.then(|| VolumeOptions { no_copy: true, ..VolumeOptions::default() }),
            ..base
        },
        MountSource::Bind { path, create, propagation, non_recursive, .. } => MountRequest {
            kind: "bind".into(),
            source: path.to_string_lossy().into_owned(),
            bind_options: Some(BindOptions {
                propagation: propagation.clone().unwrap_or_default(),
                non_recursive: *non_recursive,
                create_mountpoint: *create,
                ..BindOptions::default()
            }),
            ..base
        },
        MountSource::Tmpfs { size_bytes, mode, options } => MountRequest {
            kind: "tmpfs".into(),
            tmpfs_options: Some(TmpfsOptions {
                size_bytes: size_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(0),
                mode: mode.unwrap_or(0),
                options: options.iter().map(|option| option.split('=').map(str::to_owned).collect()).collect(),
            }),
            ..base
        },
    }
}
