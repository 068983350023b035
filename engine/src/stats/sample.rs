//! One reading of one container.

use std::sync::Arc;
use std::time::Duration;

use sampan_runtime::cgroups::{Cgroup, Layout, Readings};

use crate::clock::now_ns;
use crate::containers::{Container, ContainerError};
use crate::kind::Kind;

/// Clock ticks per second in /proc/stat (time(7)).
const TICKS: u64 = 100;

/// One reading of one container. Counters count since its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// CPU time, nanoseconds.
    pub cpu_ns: u64,
    /// Of it in user mode.
    pub cpu_user_ns: u64,
    /// Of it in the kernel.
    pub cpu_system_ns: u64,
    /// CPU time of the whole host, nanoseconds: the other half of Docker's percentage.
    pub host_cpu_ns: u64,
    /// CPUs that are on.
    pub online_cpus: u32,
    /// Times it was throttled.
    pub throttled_periods: u64,
    /// Nanoseconds it was throttled.
    pub throttled_ns: u64,
    /// Bytes of memory, page cache included.
    pub memory_bytes: u64,
    /// Of it inactive page cache, which `docker stats` takes off.
    pub memory_inactive_file_bytes: u64,
    /// The limit in effect: the container's, else the host's memory.
    pub memory_limit_bytes: u64,
    /// The most it had.
    pub memory_peak_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Their limit; 0 without one.
    pub pids_limit: u64,
    /// Bytes read from block devices.
    pub block_read_bytes: u64,
    /// Bytes written to block devices.
    pub block_write_bytes: u64,
    /// Per network interface; empty for the host's network.
    pub networks: Vec<NetworkCounters>,
}

/// Counters of one interface, seen from the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    /// Name in the container: `eth0`.
    pub name: String,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets received and dropped.
    pub received_dropped: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets dropped instead of sent.
    pub sent_dropped: u64,
}

/// One point of a chart: rates over the ten seconds before it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// Hundredths of one CPU.
    pub cpu_percent: f64,
    /// Bytes, without inactive page cache.
    pub memory_bytes: u64,
    /// Bytes per second.
    pub received_per_second: f64,
    /// Bytes per second.
    pub sent_per_second: f64,
    /// Processes and threads.
    pub pids: u64,
}

/// The open files of one running container.
#[derive(Debug)]
pub(super) struct Source {
    readings: Readings,
    /// Whose /proc tells of the network; `None`: the host's network.
    pid: Option<i32>,
}

impl Source {
    /// Opens the files of a container that runs.
    pub(super) fn open(
        layout: &Arc<Layout>,
        cgroup_parent: &str,
        container: &Container,
    ) -> Result<Self, ContainerError> {
        let failed = |error: sampan_runtime::cgroups::CgroupError| ContainerError::Refused {
            kind: Kind::from(error.kind()),
            message: format!("the statistics of container {} cannot be read: {error}", container.name),
        };
        let path = format!("{cgroup_parent}/{}/{}", container.owner.key, container.id);
        let group = Cgroup::open(layout, &path).map_err(failed)?.ok_or_else(|| ContainerError::WrongState {
            name: container.name.clone(),
            state: container.state.word(),
            wanted: "it has no statistics while it does not run",
        })?;
        let own_network = container.config.network != crate::containers::config::Network::Host;
        Ok(Self { readings: group.readings().map_err(failed)?, pid: container.run.pid.filter(|_| own_network) })
    }

    /// One reading; `None` when the container ended meanwhile.
    pub(super) fn read(&self) -> Option<Sample> {
        let reading = self.readings.read().ok()?;
        let host = Host::read();
        let (read, written) = reading
            .disks
            .iter()
            .fold((0, 0), |(read, written), disk| (read + disk.read_bytes, written + disk.written_bytes));
        Some(Sample {
            at_ns: now_ns(),
            cpu_ns: reading.cpu.usage_ns,
            cpu_user_ns: reading.cpu.user_ns,
            cpu_system_ns: reading.cpu.system_ns,
            host_cpu_ns: host.cpu_ns,
            online_cpus: host.online_cpus,
            throttled_periods: reading.cpu.throttled_periods,
            throttled_ns: reading.cpu.throttled_ns,
            memory_bytes: reading.memory.usage_bytes,
            memory_inactive_file_bytes: reading.memory.inactive_file_bytes,
            memory_limit_bytes: reading.memory.limit_bytes.map_or(host.memory_bytes, |own| own.min(host.memory_bytes)),
            memory_peak_bytes: reading.memory.most_bytes.unwrap_or(0),
            pids: reading.pids,
            pids_limit: reading.pids_limit.unwrap_or(0),
            block_read_bytes: read,
            block_write_bytes: written,
            networks: self.pid.map(|pid| networks(pid).unwrap_or_default()).unwrap_or_default(),
        })
    }
}

/// What is the host's. Spec: proc_stat(5), proc_meminfo(5).
#[derive(Debug, Default, PartialEq, Eq)]
struct Host {
    cpu_ns: u64,
    online_cpus: u32,
    memory_bytes: u64,
}

impl Host {
    fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self::parse(&stat, &memory)
    }

    /// Guest time is part of user time, so the first eight columns are all there is.
    fn parse(stat: &str, memory: &str) -> Self {
        let all = stat.lines().find(|line| line.starts_with("cpu ")).unwrap_or_default();
        let ticks: u64 = all.split_whitespace().skip(1).take(8).filter_map(|text| text.parse::<u64>().ok()).sum();
        let is_cpu = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
        Self {
            cpu_ns: ticks.saturating_mul(Duration::from_secs(1).as_nanos() as u64 / TICKS),
            online_cpus: u32::try_from(stat.lines().filter(is_cpu).count()).unwrap_or(1),
            memory_bytes: total.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 1024,
        }
    }
}

/// Counters in the network namespace of a process. /proc/PID/net is open to everybody.
fn networks(pid: i32) -> Option<Vec<NetworkCounters>> {
    Some(parse_networks(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?))
}

/// Spec: proc_pid_net(5), `dev`.
fn parse_networks(text: &str) -> Vec<NetworkCounters> {
    text.lines()
        .skip(2)
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let numbers: Vec<u64> = rest.split_whitespace().map(|text| text.parse().unwrap_or(0)).collect();
            let number = |place: usize| numbers.get(place).copied().unwrap_or(0);
            let name = name.trim().to_owned();
            (name != "lo").then(|| NetworkCounters {
                name,
                received_bytes: number(0),
                received_packets: number(1),
                received_dropped: number(3),
                sent_bytes: number(8),
                sent_packets: number(9),
                sent_dropped: number(11),
            })
        })
        .collect()
}

impl Point {
    /// What happened between two readings.
    pub(super) fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = (now.at_ns - before.at_ns).max(1) as f64 / 1e9;
        let sum = |sample: &Sample, of: fn(&NetworkCounters) -> u64| sample.networks.iter().map(of).sum::<u64>();
        let rate = |of| sum(now, of).saturating_sub(sum(before, of)) as f64 / seconds;
        Self {
            at_ns: now.at_ns,
            cpu_percent: now.cpu_ns.saturating_sub(before.cpu_ns) as f64 / 1e9 / seconds * 100.0,
            memory_bytes: now.memory_bytes.saturating_sub(now.memory_inactive_file_bytes),
            received_per_second: rate(|network| network.received_bytes),
            sent_per_second: rate(|network| network.sent_bytes),
            pids: now.pids,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_files_are_understood() {
        let stat = "cpu  10 20 30 40 0 0 0 0 5 0\ncpu0 5 10 15 20 0 0 0 0 0 0\ncpu1 5 10 15 20 0 0 0 0 0 0\nintr 1\n";
        let host = Host::parse(stat, "MemTotal:       1024 kB\n");
        assert_eq!(host, Host { cpu_ns: 1_000_000_000, online_cpus: 2, memory_bytes: 1 << 20 });

        let dev = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 100 2 0 1 0 0 0 0 200 3 0 4 0 0 0 0\n";
        let counters = parse_networks(dev);
        assert_eq!(counters.len(), 1);
        assert_eq!((counters[0].received_bytes, counters[0].received_dropped), (100, 1));
        assert_eq!((counters[0].sent_bytes, counters[0].sent_packets, counters[0].sent_dropped), (200, 3, 4));
    }

    #[test]
    fn a_point_is_the_rate_between_two_readings() {
        let network = |received_bytes| NetworkCounters { received_bytes, ..NetworkCounters::default() };
        let before = Sample { at_ns: 0, cpu_ns: 0, networks: vec![network(0)], ..Sample::default() };
        let now = Sample {
            at_ns: 10_000_000_000,
            cpu_ns: 5_000_000_000,
            memory_bytes: 30,
            memory_inactive_file_bytes: 10,
            networks: vec![network(1000)],
            pids: 3,
            ..Sample::default()
        };
        let point = Point::between(&before, &now);
        assert_eq!((point.cpu_percent, point.memory_bytes, point.received_per_second), (50.0, 20, 100.0));
    }
}
