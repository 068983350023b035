//! Docker's create request, read into what the engine makes. Every field is honoured, harmless when empty, or refused
//! by its name.

use std::collections::BTreeMap;

use sampan_engine::containers::config::{AttachFlags, ContainerConfig, ExposedPort, Healthcheck, Network};
use serde::Deserialize;

use super::config::{Config, Words};
use super::host_config::{HostConfig, LogConfig, RestartPolicy};
use super::log_config::read_log;
use super::restart_policy::read_policy;
use super::{mounts, ports};
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
            echo: serde_json::json!({ "Config": config, "HostConfig": host }),
        })
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
            ("Config.MacAddress", !config.mac_address.is_empty()),
            ("Config.Shell", config.shell.as_ref().is_some_and(|shell| !shell.0.is_empty())),
            ("HostConfig.VolumesFrom", present(&host.volumes_from)),
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
            let fields = [
                ("IPAMConfig", !endpoint.ipam_config.is_empty()),
                ("Links", !endpoint.links.is_empty()),
                ("Aliases", !endpoint.aliases.is_empty()),
                ("MacAddress", !endpoint.mac_address.is_empty()),
                ("DriverOpts", !endpoint.driver_opts.is_empty()),
            ];
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

fn no_such_network(name: &str) -> DockerError {
    DockerError::not_found(format!("network {name} not found"))
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// dockerd: a command of no words is as if it was not sent; an entry point of one empty word resets the image's.
fn words(words: Option<&Words>) -> Option<Vec<String>> {
    let words = &words?.0;
    match words.as_slice() {
        [] => None,
        [single] if single.is_empty() => Some(Vec::new()),
        _ => Some(words.clone()),
    }
}

fn working_directory(text: &str) -> Result<Option<std::path::PathBuf>, DockerError> {
    match text {
        "" => Ok(None),
        absolute if absolute.starts_with('/') => Ok(Some(absolute.into())),
        relative => Err(DockerError::invalid(format!(
            "the working directory '{relative}' is invalid, it needs to be an absolute path"
        ))),
    }
}

fn oom_score(score: i32) -> Result<Option<i32>, DockerError> {
    if (-1000..=1000).contains(&score) {
        return Ok(Some(score).filter(|score| *score != 0));
    }
    Err(DockerError::invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")))
}

fn shm_bytes(size: i64) -> Result<Option<u64>, DockerError> {
    let size = u64::try_from(size).map_err(|_| DockerError::invalid("SHM size can not be less than 0"))?;
    Ok(Some(size).filter(|size| *size != 64 << 20))
}

fn exposed_ports(config: &Config) -> Result<Vec<ExposedPort>, DockerError> {
    let mut read = Vec::new();
    for text in config.exposed_ports.iter().flat_map(BTreeMap::keys) {
        read.extend(ports::read_exposed(text)?);
    }
    Ok(read)
}

fn addresses(texts: &[String]) -> Result<Vec<std::net::Ipv4Addr>, DockerError> {
    let read = |text: &String| match text.parse() {
        Ok(std::net::IpAddr::V4(address)) => Ok(address),
        Ok(std::net::IpAddr::V6(_)) => {
            Err(DockerError::unsupported(format!("HostConfig.Dns {text}: IPv6 is not there yet")))
        }
        Err(_) => Err(DockerError::invalid(format!("invalid DNS address: {text:?}"))),
    };
    texts.iter().map(read).collect()
}

/// `name:address`, `name:[address]`, `name:host-gateway`.
fn extra_hosts(texts: &[String]) -> Result<Vec<String>, DockerError> {
    for text in texts {
        let right = text.split_once(':').is_some_and(|(name, address)| {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            !name.is_empty() && (address == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok())
        });
        if !right {
            return Err(DockerError::invalid(format!("bad format for add-host: {text:?}")));
        }
    }
    Ok(texts.to_vec())
}

/// Bounds: moby `daemon/container.go`, `validateHealthCheck`.
fn healthcheck(probe: &super::config::Healthcheck) -> Result<Healthcheck, DockerError> {
    const LEAST_NS: i64 = 1_000_000;
    for (name, value) in [
        ("Interval", probe.interval),
        ("Timeout", probe.timeout),
        ("StartPeriod", probe.start_period),
        ("StartInterval", probe.start_interval),
    ] {
        if value != 0 && value < LEAST_NS {
            return Err(DockerError::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    let retries =
        u32::try_from(probe.retries).map_err(|_| DockerError::invalid("Retries in Healthcheck cannot be negative"))?;
    Ok(Healthcheck {
        test: probe.test.clone(),
        interval_ns: probe.interval,
        timeout_ns: probe.timeout,
        start_period_ns: probe.start_period,
        start_interval_ns: probe.start_interval,
        retries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_engine::containers::config::{MountSource, Security};

    /// What docker CLI 28 sends for `docker run busybox true`, without its nulls.
    fn sent_by_cli() -> serde_json::Value {
        serde_json::from_str(
            r#"{
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true,
            "AttachStderr": true, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": ["true"],
            "Image": "busybox", "Volumes": {}, "WorkingDir": "", "Labels": {},
            "HostConfig": {
                "Binds": [], "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}}, "NetworkMode": "default",
                "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false,
                "VolumeDriver": "", "ConsoleSize": [24, 80], "CgroupnsMode": "", "Dns": [], "DnsOptions": [],
                "DnsSearch": [], "IpcMode": "", "Cgroup": "", "OomScoreAdj": 0, "PidMode": "", "Privileged": false,
                "PublishAllPorts": false, "ReadonlyRootfs": false, "UTSMode": "", "UsernsMode": "", "ShmSize": 0,
                "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
                "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
                "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0,
                "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
                "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": -1, "OomKillDisable": false,
                "PidsLimit": 0, "Ulimits": [], "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
                "IOMaximumBandwidth": 0
            },
            "NetworkingConfig": {"EndpointsConfig": {"default": {"MacAddress": "", "NetworkID": "", "GwPriority": 0}}}
        }"#,
        )
        .unwrap()
    }

    fn read(change: impl FnOnce(&mut serde_json::Value)) -> Result<ContainerConfig, DockerError> {
        let mut sent = sent_by_cli();
        change(&mut sent);
        serde_json::from_value::<CreateRequest>(sent).unwrap().read(crate::doors::docker::version::NEWEST)
    }

    #[test]
    fn the_plainest_run_asks_for_nothing_special() {
        let config = read(|_| ()).unwrap();
        let expected = ContainerConfig {
            image: "busybox".into(),
            command: Some(vec!["true".into()]),
            attach: AttachFlags { stdin: false, stdout: true, stderr: true },
            echo: config.echo.clone(),
            ..ContainerConfig::default()
        };
        assert_eq!(config, expected);
        assert_eq!(config.security, Security::default());
        let host = &config.echo["HostConfig"];
        assert_eq!(host["NetworkMode"], "bridge");
        assert_eq!(host["LogConfig"]["Type"], "json-file");
        assert_eq!(host["ShmSize"], 64 << 20);
        assert_eq!(host["ConsoleSize"], serde_json::json!([24, 80]));
    }

    #[test]
    fn much_that_can_be_asked_for_is_understood() {
        let config = read(|sent| {
            sent["Hostname"] = "web".into();
            sent["Entrypoint"] = serde_json::json!([""]);
            sent["Volumes"] = serde_json::json!({"/data": {}});
            sent["ExposedPorts"] = serde_json::json!({"80/tcp": {}});
            sent["StopTimeout"] = 3.into();
            let host = &mut sent["HostConfig"];
            host["NetworkMode"] = "none".into();
            host["AutoRemove"] = true.into();
            host["Dns"] = serde_json::json!(["1.1.1.1"]);
            host["ExtraHosts"] = serde_json::json!(["a:10.0.0.1", "b:host-gateway"]);
            host["Init"] = true.into();
            host["Memory"] = (64 << 20).into();
            host["OomScoreAdj"] = 5.into();
            host["ShmSize"] = 1024.into();
            sent["NetworkingConfig"] = serde_json::json!({"EndpointsConfig": {"none": {}}});
        })
        .unwrap();
        assert_eq!(config.hostname.as_deref(), Some("web"));
        assert_eq!(config.entrypoint, Some(vec![]));
        assert!(matches!(config.mounts[0].source, MountSource::Volume { name: None, .. }));
        assert_eq!(config.exposed_ports.len(), 1);
        assert_eq!(config.stop_timeout, Some(3));
        assert_eq!(config.network, Network::None);
        assert!(config.auto_remove && config.init);
        assert_eq!(config.limits.memory_bytes, Some(64 << 20));
        assert_eq!(config.limits.oom_score_adjust, Some(5));
        assert_eq!(config.shm_bytes, Some(1024));
    }

    #[test]
    fn what_is_not_there_is_refused_by_its_name() {
        for (field, value) in [
            ("VolumesFrom", serde_json::json!(["a"])),
            ("Links", serde_json::json!(["a:b"])),
            ("StorageOpt", serde_json::json!({"size": "1g"})),
            ("CgroupParent", "x".into()),
        ] {
            let error = read(|sent| sent["HostConfig"][field] = value).unwrap_err();
            assert_eq!(error, DockerError::unsupported(format!("HostConfig.{field} is not there yet")));
        }
        let error = read(|sent| sent["HostConfig"]["NetworkMode"] = "front".into()).unwrap_err();
        assert_eq!(error, DockerError::not_found("network front not found"));
        let error = read(|sent| {
            sent["NetworkingConfig"]["EndpointsConfig"]["default"]["Aliases"] = serde_json::json!(["db"]);
        });
        assert_eq!(error.unwrap_err().status, 501);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(&str, Change); 6] = [
            ("no image", |sent| sent["Image"] = "".into()),
            ("relative working directory", |sent| sent["WorkingDir"] = "a".into()),
            ("restart and remove", |sent| {
                sent["HostConfig"]["AutoRemove"] = true.into();
                sent["HostConfig"]["RestartPolicy"]["Name"] = "always".into();
            }),
            ("runtime", |sent| sent["HostConfig"]["Runtime"] = "runc".into()),
            ("ports in another's network", |sent| {
                sent["HostConfig"]["NetworkMode"] = "container:a".into();
                sent["HostConfig"]["PortBindings"] = serde_json::json!({"80/tcp": [{"HostPort": "1"}]});
                sent["NetworkingConfig"] = serde_json::json!({});
            }),
            ("hosts", |sent| sent["HostConfig"]["ExtraHosts"] = serde_json::json!(["a"])),
        ];
        for (name, change) in cases {
            assert_eq!(read(change).unwrap_err().status, 400, "{name}");
        }
    }
}
