//! Docker's `Resources`, read into the engine's limits.
//!
//! Bounds and sentences: moby `daemon/daemon_unix.go`, `verifyPlatformContainerResources`.

use sampan_engine::containers::config::{Device, Limits, Ulimit};

use super::host_config::Resources;
use crate::doors::docker::error::DockerError;

const MIB: i64 = 1 << 20;
/// Less memory does not start a container.
const LEAST_MEMORY_BYTES: i64 = 6 * MIB;

impl Resources {
    /// The limits of a container to be; `oom_score_adjust` is not of these.
    ///
    /// # Errors
    /// 400 for a value out of range, 501 naming a field that is not there.
    pub fn limits(&self) -> Result<Limits, DockerError> {
        if self.memory == 0 && self.memory_swap > 0 {
            let why = "You should always set the Memory limit when using Memoryswap limit, see usage";
            return Err(DockerError::invalid(why));
        }
        self.changed_limits()
    }

    /// The limits that `update` changes: what is not given stays, so that only given values are seen together.
    ///
    /// # Errors
    /// As [`Self::limits`].
    pub fn changed_limits(&self) -> Result<Limits, DockerError> {
        self.refuse()?;
        self.check_memory()?;
        self.check_cpu()?;
        Ok(Limits {
            memory_bytes: positive(self.memory),
            memory_swap_bytes: Some(self.memory_swap).filter(|bytes| *bytes != 0),
            memory_reservation_bytes: positive(self.memory_reservation),
            swappiness: self.memory_swappiness.and_then(|swappiness| u64::try_from(swappiness).ok()),
            oom_kill_disable: self.oom_kill_disable.unwrap_or(false),
            oom_score_adjust: None,
            cpu_shares: positive(self.cpu_shares),
            nano_cpus: positive(self.nano_cpus),
            cpu_period: positive(self.cpu_period),
            cpu_quota: Some(self.cpu_quota).filter(|quota| *quota != 0),
            cpuset_cpus: Some(self.cpuset_cpus.clone()).filter(|set| !set.is_empty()),
            cpuset_mems: Some(self.cpuset_mems.clone()).filter(|set| !set.is_empty()),
            pids: self.pids_limit,
            block_io_weight: Some(self.blkio_weight).filter(|weight| *weight > 0),
            ulimits: self
                .ulimits
                .iter()
                .flatten()
                .map(|limit| Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard })
                .collect(),
        })
    }

    /// The host devices.
    ///
    /// # Errors
    /// 400 for permissions other than of `rwm`.
    pub fn devices(&self) -> Result<Vec<Device>, DockerError> {
        let read = |device: &super::host_config::DeviceMapping| {
            let permissions = Some(device.cgroup_permissions.as_str()).filter(|text| !text.is_empty()).unwrap_or("rwm");
            if !permissions.bytes().all(|byte| b"rwm".contains(&byte)) {
                return Err(DockerError::invalid(format!("invalid device mode: {permissions}")));
            }
            let inside =
                Some(&device.path_in_container).filter(|path| !path.is_empty()).unwrap_or(&device.path_on_host);
            if !device.path_on_host.starts_with('/') || !inside.starts_with('/') {
                return Err(DockerError::invalid(format!("bad format for path: {}", device.path_on_host)));
            }
            Ok(Device {
                host_path: device.path_on_host.clone().into(),
                container_path: inside.clone().into(),
                permissions: permissions.to_owned(),
            })
        };
        self.devices.iter().flatten().map(read).collect()
    }

    /// What is Docker's and is not here: whole or refused.
    fn refuse(&self) -> Result<(), DockerError> {
        let lists = [
            ("BlkioWeightDevice", &self.blkio_weight_device),
            ("BlkioDeviceReadBps", &self.blkio_device_read_bps),
            ("BlkioDeviceWriteBps", &self.blkio_device_write_bps),
            ("BlkioDeviceReadIOps", &self.blkio_device_read_iops),
            ("BlkioDeviceWriteIOps", &self.blkio_device_write_iops),
            ("DeviceRequests", &self.device_requests),
        ];
        let list =
            lists.iter().find(|(_, list)| list.as_ref().is_some_and(|list| !list.is_empty())).map(|(name, _)| *name);
        let fields = [
            ("CgroupParent", !self.cgroup_parent.is_empty()),
            ("DeviceCgroupRules", self.device_cgroup_rules.as_ref().is_some_and(|rules| !rules.is_empty())),
            ("CpuRealtimePeriod", self.cpu_realtime_period != 0),
            ("CpuRealtimeRuntime", self.cpu_realtime_runtime != 0),
            ("KernelMemoryTCP", self.kernel_memory_tcp != 0),
        ];
        let field = fields.iter().find(|(_, set)| *set).map(|(name, _)| *name);
        if let Some(name) = list.or(field) {
            return Err(DockerError::unsupported(format!("HostConfig.{name} is not there yet")));
        }
        let windows = [
            ("CpuCount", self.cpu_count != 0),
            ("CpuPercent", self.cpu_percent != 0),
            ("IOMaximumIOps", self.io_maximum_iops != 0),
            ("IOMaximumBandwidth", self.io_maximum_bandwidth != 0),
        ];
        match windows.iter().find(|(_, set)| *set) {
            Some((name, _)) => Err(DockerError::invalid(format!("HostConfig.{name} is for Windows only"))),
            None => Ok(()),
        }
    }

    fn check_memory(&self) -> Result<(), DockerError> {
        let refuse = |is: bool, why: &str| if is { Err(DockerError::invalid(why)) } else { Ok(()) };
        let (memory, swap, soft) = (self.memory, self.memory_swap, self.memory_reservation);
        refuse(memory < 0, "Minimum memory limit allowed is 6MB")?;
        refuse(memory > 0 && memory < LEAST_MEMORY_BYTES, "Minimum memory limit allowed is 6MB")?;
        refuse(swap < -1, "Minimum memoryswap limit should be larger than memory limit, see usage")?;
        refuse(
            memory > 0 && swap > 0 && swap < memory,
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        )?;
        if let Some(swappiness) = self.memory_swappiness.filter(|value| !(-1..=100).contains(value)) {
            let why = format!("Invalid value: {swappiness}, valid memory swappiness range is 0-100");
            return Err(DockerError::invalid(why));
        }
        refuse(soft < 0 || (soft > 0 && soft < LEAST_MEMORY_BYTES), "Minimum memory reservation allowed is 6MB")?;
        refuse(
            memory > 0 && soft > 0 && memory < soft,
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        )?;
        refuse(
            self.blkio_weight > 0 && !(10..=1000).contains(&self.blkio_weight),
            "Range of blkio weight is from 10 to 1000",
        )
    }

    fn check_cpu(&self) -> Result<(), DockerError> {
        let refuse = |is: bool, why: &str| if is { Err(DockerError::invalid(why)) } else { Ok(()) };
        if self.cpu_shares < 0 {
            return Err(DockerError::invalid(format!(
                "invalid CPU shares ({}): value must be a positive integer",
                self.cpu_shares
            )));
        }
        refuse(
            self.nano_cpus != 0 && self.cpu_period != 0,
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        )?;
        refuse(
            self.nano_cpus != 0 && self.cpu_quota != 0,
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        )?;
        if self.nano_cpus != 0 {
            let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let most = i64::try_from(available).unwrap_or(1).saturating_mul(1_000_000_000);
            if self.nano_cpus < 0 || self.nano_cpus > most {
                return Err(DockerError::invalid(format!(
                    "range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available"
                )));
            }
        }
        refuse(
            self.cpu_period != 0 && !(1000..=1_000_000).contains(&self.cpu_period),
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        )?;
        refuse(self.cpu_quota > 0 && self.cpu_quota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)")
    }
}

/// Zero is "not given".
fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Limits, DockerError> {
        serde_json::from_value::<Resources>(json).unwrap().limits()
    }

    #[test]
    fn nothing_asked_is_nothing_limited() {
        assert_eq!(read(serde_json::json!({})).unwrap(), Limits::default());
    }

    #[test]
    fn limits_are_read() {
        let limits = read(serde_json::json!({
            "Memory": 64 * MIB, "MemorySwap": -1, "NanoCpus": 500_000_000, "PidsLimit": -1, "CpuShares": 7,
            "Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 6}], "MemorySwappiness": -1,
        }))
        .unwrap();
        assert_eq!(limits.memory_bytes, Some(64 << 20));
        assert_eq!(limits.memory_swap_bytes, Some(-1));
        assert_eq!(limits.nano_cpus, Some(500_000_000));
        assert_eq!(limits.pids, Some(-1));
        assert_eq!(limits.cpu_shares, Some(7));
        assert_eq!(limits.swappiness, None);
        assert_eq!(limits.ulimits, [Ulimit { name: "nofile".into(), soft: 5, hard: 6 }]);
    }

    #[test]
    fn values_out_of_range_are_refused_in_dockers_words() {
        let cases = [
            (serde_json::json!({"Memory": 5 * MIB}), "Minimum memory limit allowed is 6MB"),
            (
                serde_json::json!({"Memory": 64 * MIB, "MemorySwap": 32 * MIB}),
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            ),
            (
                serde_json::json!({"NanoCpus": 1, "CpuQuota": 1000}),
                "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
            ),
            (serde_json::json!({"CpuShares": -1}), "invalid CPU shares (-1): value must be a positive integer"),
            (serde_json::json!({"CpuCount": 1}), "HostConfig.CpuCount is for Windows only"),
        ];
        for (json, sentence) in cases {
            assert_eq!(read(json).unwrap_err(), DockerError::invalid(sentence));
        }
    }

    #[test]
    fn what_is_not_there_is_refused_by_its_name() {
        for (json, name) in [
            (serde_json::json!({"CgroupParent": "x"}), "CgroupParent"),
            (serde_json::json!({"DeviceRequests": [{}]}), "DeviceRequests"),
            (serde_json::json!({"BlkioDeviceReadIOps": [{}]}), "BlkioDeviceReadIOps"),
            (serde_json::json!({"DeviceCgroupRules": ["a *:* rwm"]}), "DeviceCgroupRules"),
        ] {
            let sentence = format!("HostConfig.{name} is not there yet");
            assert_eq!(read(json).unwrap_err(), DockerError::unsupported(sentence));
        }
    }
}
