//! Docker's create request, read into what the engine makes. Every field is honoured, harmless when empty, or refused
//! by its name.

use std::collections::BTreeMap;

use sampan_engine::containers::config::{AttachFlags, ContainerConfig, Echo, Network};
use serde::Deserialize;

use super::values::{
    addresses, exposed_ports, extra_hosts, given, healthcheck, mac_address, oom_score, shm_bytes, terminal_size, words,
    working_directory,
};
use crate::doors::docker::containers::config::Config;
use crate::doors::docker::containers::host_config::{HostConfig, LogConfig, RestartPolicy};
use crate::doors::docker::containers::log_config::read_log;
use crate::doors::docker::containers::restart_policy::read_policy;
use crate::doors::docker::containers::{mounts, ports};
use crate::doors::docker::error::DockerError;
use crate::doors::docker::version::Version;

/// Body of `POST /containers/create`: a `Config` with two more fields beside its own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateRequest {
    /// What it is on any host.
    #[serde(flatten)]
    pub config: Config,
    /// What it is on this host.
    pub host_config: HostConfig,
    /// Networks and the settings of its endpoints.
    pub networking_config: NetworkingConfig,
}

/// Networks to join, by name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// `null` and `{}` ask for nothing special.
    pub endpoints_config: BTreeMap<String, Option<EndpointSettings>>,
}

/// What may be asked of an endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: BTreeMap<String, serde_json::Value>,
    pub links: Vec<String>,
    pub aliases: Vec<String>,
    pub mac_address: String,
    pub driver_opts: BTreeMap<String, serde_json::Value>,
}

impl CreateRequest {
    /// What the engine is asked for. `echo` keeps what `inspect` gives back.
    ///
    /// # Errors
    /// 400 for what cannot be read, 501 naming a field that is not there.
    pub fn read(mut self, version: Version) -> Result<ContainerConfig, DockerError> {
        self.settle_defaults(version);
        self.refuse()?;
        let (config, host) = (&self.config, &self.host_config);
        let mut limits = host.resources.limits()?;
        limits.oom_score_adjust = oom_score(host.oom_score_adj)?;
        let anonymous = config.volumes.iter().flat_map(BTreeMap::keys);
        let binds = host.binds.as_deref().unwrap_or_default();
        let restart = read_policy(&host.restart_policy)?;
        if host.auto_remove && restart != sampan_engine::containers::config::RestartPolicy::No {
            return Err(DockerError::invalid("can't create 'AutoRemove' container with restart policy"));
        }
        Ok(ContainerConfig {
            image: config.image.clone(),
            entrypoint: words(config.entrypoint.as_ref()),
            command: words(config.cmd.as_ref()),
            environment: config.env.clone().unwrap_or_default(),
            labels: config.labels.clone().unwrap_or_default(),
            user: given(&config.user),
            groups: host.group_add.clone().unwrap_or_default(),
            working_directory: working_directory(&config.working_dir)?,
            hostname: given(&config.hostname),
            domainname: given(&config.domainname),
            tty: config.tty,
            terminal_size: terminal_size(host.console_size).filter(|_| config.tty),
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            attach: AttachFlags {
                stdin: config.attach_stdin,
                stdout: config.attach_stdout,
                stderr: config.attach_stderr,
            },
            stop_signal: given(&config.stop_signal),
            stop_timeout: config.stop_timeout,
            auto_remove: host.auto_remove,
            restart,
            mounts: mounts::read(binds, &host.mounts, &host.tmpfs, anonymous)?,
            ports: ports::read_bindings(host.port_bindings.as_ref().unwrap_or(&BTreeMap::new()))?,
            exposed_ports: exposed_ports(config)?,
            publish_all: host.publish_all_ports,
            network: self.network()?,
            mac: self.mac()?,
            dns: addresses(host.dns.as_deref().unwrap_or_default())?,
            dns_search: host.dns_search.clone().unwrap_or_default(),
            dns_options: host.dns_options.clone().unwrap_or_default(),
            extra_hosts: extra_hosts(host.extra_hosts.as_deref().unwrap_or_default())?,
            limits,
            security: host.security()?,
            sysctls: host.sysctls.clone(),
            devices: host.resources.devices()?,
            shm_bytes: shm_bytes(host.shm_size)?,
            init: host.init.unwrap_or(false),
            log: read_log(&host.log_config)?,
            annotations: host.annotations.clone(),
            healthcheck: config.healthcheck.as_ref().map(healthcheck).transpose()?,
            echo: Echo::of(&serde_json::json!({ "Config": config, "HostConfig": host })),
        })
    }

    /// Whose mounts it wants, too.
    ///
    /// # Errors
    /// 400 for what cannot be read.
    pub fn volumes_from(&self) -> Result<Vec<mounts::VolumesFrom>, DockerError> {
        let texts = self.host_config.volumes_from.as_deref().unwrap_or_default();
        texts.iter().map(|text| mounts::VolumesFrom::read(text)).collect()
    }

    /// What dockerd fills in before it keeps a request.
    fn settle_defaults(&mut self, version: Version) {
        let (config, host) = (&mut self.config, &mut self.host_config);
        if matches!(host.network_mode.as_str(), "" | "default") {
            host.network_mode = "bridge".to_owned();
        }
        if let Some(endpoint) = self.networking_config.endpoints_config.remove("default") {
            self.networking_config.endpoints_config.insert(host.network_mode.clone(), endpoint);
        }
        if !version.knows(25) {
            host.auto_remove = false;
        }
        if !version.knows(42) {
            host.console_size = [0, 0];
        }
        if !version.knows(43) {
            host.annotations.clear();
        }
        if let Some(probe) = config.healthcheck.as_mut().filter(|_| !version.knows(44)) {
            probe.start_interval = 0;
        }
        if host.resources.pids_limit.is_some_and(|limit| limit == 0) {
            host.resources.pids_limit = None;
        }
        if host.ipc_mode.is_empty() {
            host.ipc_mode = "private".to_owned();
        }
        if host.cgroupns_mode.is_empty() {
            host.cgroupns_mode = "private".to_owned();
        }
        if host.log_config.driver.is_empty() {
            host.log_config =
                LogConfig { driver: "json-file".to_owned(), config: std::mem::take(&mut host.log_config.config) };
        }
        if host.restart_policy.name.is_empty() {
            host.restart_policy = RestartPolicy { name: "no".to_owned(), ..host.restart_policy.clone() };
        }
        if host.shm_size == 0 {
            host.shm_size = 64 << 20;
        }
        if host.runtime.is_empty() {
            host.runtime = RUNTIME.to_owned();
        }
    }

    /// Fields of Docker's that are not here: whole or refused.
    fn refuse(&self) -> Result<(), DockerError> {
        let (config, host) = (&self.config, &self.host_config);
        if config.image.is_empty() {
            return Err(DockerError::invalid("no image specified"));
        }
        let present = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let fields = [
            ("Config.Shell", config.shell.as_ref().is_some_and(|shell| !shell.0.is_empty())),
            ("HostConfig.Links", present(&host.links)),
            ("HostConfig.Cgroup", !host.cgroup.is_empty()),
            ("HostConfig.StorageOpt", !host.storage_opt.is_empty()),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, set)| *set) {
            return Err(DockerError::unsupported(format!("{name} is not there yet")));
        }
        mounts::check_driver(&host.volume_driver, "HostConfig.VolumeDriver")?;
        if host.runtime != RUNTIME {
            return Err(DockerError::invalid(format!("unknown or invalid runtime name: {}", host.runtime)));
        }
        if !matches!(host.isolation.as_str(), "" | "default") {
            return Err(DockerError::invalid(format!("invalid isolation '{}' on linux", host.isolation)));
        }
        Ok(())
    }

    /// The network, and that nothing is asked of its endpoint that is not there.
    fn network(&self) -> Result<Network, DockerError> {
        let mode = self.host_config.network_mode.as_str();
        for (name, endpoint) in &self.networking_config.endpoints_config {
            if name != mode {
                return Err(no_such_network(name));
            }
            let Some(endpoint) = endpoint else { continue };
            // All networks here are the default ones. Sentences: moby `daemon/container_operations.go`.
            let is_empty = |value: &serde_json::Value| matches!(value.to_string().as_str(), "null" | "\"\"" | "[]");
            if !endpoint.ipam_config.values().all(is_empty) {
                return Err(DockerError::invalid(
                    "user specified IP address is supported on user defined networks only",
                ));
            }
            if !endpoint.aliases.is_empty() {
                return Err(DockerError::invalid(
                    "network-scoped alias is supported only for containers in user defined networks",
                ));
            }
            let fields = [("Links", !endpoint.links.is_empty()), ("DriverOpts", !endpoint.driver_opts.is_empty())];
            if let Some((field, _)) = fields.iter().find(|(_, set)| *set) {
                return Err(DockerError::unsupported(format!(
                    "NetworkingConfig.EndpointsConfig.{name}.{field} is not there yet"
                )));
            }
        }
        if self.config.network_disabled {
            return Ok(Network::None);
        }
        match mode {
            "bridge" => Ok(Network::Bridge),
            "none" => Ok(Network::None),
            "host" => Ok(Network::Host),
            _ => match mode.split_once(':') {
                Some(("container", container)) if !container.is_empty() => {
                    self.check_joined()?;
                    Ok(Network::Container { container: container.to_owned() })
                }
                _ => Err(no_such_network(mode)),
            },
        }
    }

    /// The hardware address: the endpoint's, or as older clients say it, the container's. Sentences: moby
    /// `api/server/router/container/container_routes.go`, `runconfig/errors.go`.
    fn mac(&self) -> Result<Option<[u8; 6]>, DockerError> {
        let mode = &self.host_config.network_mode;
        let endpoint = self.networking_config.endpoints_config.get(mode).and_then(Option::as_ref);
        let of_endpoint = endpoint.map_or("", |endpoint| endpoint.mac_address.as_str());
        let of_container = self.config.mac_address.as_str();
        if !of_endpoint.is_empty() && !of_container.is_empty() && of_endpoint != of_container {
            return Err(DockerError::invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or \
                 be left empty",
            ));
        }
        let text = if of_endpoint.is_empty() { of_container } else { of_endpoint };
        if text.is_empty() {
            return Ok(None);
        }
        if mode != "bridge" {
            return Err(DockerError::invalid("conflicting options: mac-address and the network mode"));
        }
        mac_address(text).map(Some)
    }

    /// What makes no sense in another container's network. Sentences: moby `runconfig/errors.go`.
    fn check_joined(&self) -> Result<(), DockerError> {
        let (config, host) = (&self.config, &self.host_config);
        let set = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let ports = host.port_bindings.as_ref().is_some_and(|map| !map.is_empty()) || host.publish_all_ports;
        let refusals = [
            (!config.hostname.is_empty(), "conflicting options: hostname and the network mode"),
            (set(&host.dns), "conflicting options: dns and the network mode"),
            (set(&host.extra_hosts), "conflicting options: custom host-to-IP mapping and the network mode"),
            (ports, "conflicting options: port publishing and the container type network mode"),
            (
                config.exposed_ports.as_ref().is_some_and(|map| !map.is_empty()),
                "conflicting options: port exposing and the container type network mode",
            ),
        ];
        match refusals.iter().find(|(is, _)| *is) {
            Some((_, why)) => Err(DockerError::invalid(*why)),
            None => Ok(()),
        }
    }
}

/// The one runtime, as `info` names it.
pub const RUNTIME: &str = "sampan";

/// dockerd says it at start, with a 404; at create that would make the CLI pull the image.
fn no_such_network(name: &str) -> DockerError {
    DockerError::invalid(format!("network {name} not found"))
}
