//! Docker's `HostConfig`: what a container is on this host, and its `Resources`.
//!
//! Spec: Docker Engine API 1.51, `HostConfig`, `Resources`. Lists that were not sent are written as `null`, as dockerd
//! does; a field that it leaves out when empty is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Words;
use super::mounts::MountRequest;

/// As sent with `create` and given back by `inspect`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    pub binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    pub network_mode: String,
    pub port_bindings: Option<BTreeMap<String, Option<Vec<PortBinding>>>>,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Option<Vec<String>>,
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub cap_add: Option<Words>,
    pub cap_drop: Option<Words>,
    pub cgroupns_mode: String,
    pub dns: Option<Vec<String>>,
    pub dns_options: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub extra_hosts: Option<Vec<String>>,
    pub group_add: Option<Vec<String>>,
    pub ipc_mode: String,
    pub cgroup: String,
    pub links: Option<Vec<String>>,
    pub oom_score_adj: i32,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    pub shm_size: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    pub runtime: String,
    pub isolation: String,
    #[serde(flatten)]
    pub resources: Resources,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountRequest>,
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

/// Bounds; also the body of `update`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    pub cpu_shares: i64,
    pub memory: i64,
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Option<Vec<serde_json::Value>>,
    pub blkio_device_read_bps: Option<Vec<serde_json::Value>>,
    pub blkio_device_write_bps: Option<Vec<serde_json::Value>>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<serde_json::Value>>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<serde_json::Value>>,
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Option<Vec<DeviceMapping>>,
    pub device_cgroup_rules: Option<Vec<String>>,
    pub device_requests: Option<Vec<serde_json::Value>>,
    /// Removed in 1.42 and ignored since.
    #[serde(skip_serializing)]
    pub kernel_memory: i64,
    #[serde(rename = "KernelMemoryTCP", skip_serializing)]
    pub kernel_memory_tcp: i64,
    pub memory_reservation: i64,
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub pids_limit: Option<i64>,
    pub ulimits: Option<Vec<Ulimit>>,
    pub cpu_count: i64,
    pub cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,
}

/// Where the log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// Name of the driver; empty is the default one.
    #[serde(rename = "Type")]
    pub driver: String,
    /// `max-size`, `max-file`, …
    pub config: BTreeMap<String, String>,
}

/// One host address and port, both as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// Empty: all addresses.
    #[serde(rename = "HostIp")]
    pub host_ip: String,
    /// `8080`, `8080-8090`, or empty: one is chosen.
    #[serde(rename = "HostPort")]
    pub host_port: String,
}

/// What to do when the container ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped`, `on-failure`, or empty.
    pub name: String,
    /// With `on-failure` only; 0 is no limit.
    pub maximum_retry_count: i64,
}

/// A host device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    pub path_on_host: String,
    pub path_in_container: String,
    pub cgroup_permissions: String,
}

/// A limit of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    pub name: String,
    pub hard: i64,
    pub soft: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_not_sent_are_null_and_sent_ones_stay() {
        let sent = r#"{"Binds": ["/a:/b"], "CapAdd": [], "PidsLimit": 5, "Memory": 7, "PortBindings": {"80/tcp": [{"HostPort": "1"}]}}"#;
        let config: HostConfig = serde_json::from_str(sent).unwrap();
        let value = serde_json::to_value(&config).unwrap();
        assert_eq!(value["Binds"], serde_json::json!(["/a:/b"]));
        assert_eq!(value["CapAdd"], serde_json::json!([]));
        assert_eq!(value["CapDrop"], serde_json::Value::Null);
        assert_eq!(value["PidsLimit"], 5);
        assert_eq!(value["Memory"], 7);
        assert_eq!(value["PortBindings"], serde_json::json!({"80/tcp": [{"HostIp": "", "HostPort": "1"}]}));
        assert!(value.get("Init").is_none());
        assert!(value.get("Mounts").is_none());
        assert_eq!(serde_json::from_value::<HostConfig>(value).unwrap(), config);
    }
}
