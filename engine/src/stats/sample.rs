//! One reading of one container.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;

use crate::containers::ContainerError;
use crate::engine::Shared;
use crate::owner::Owner;

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
    /// The limit in effect: the container's, the team's or the host's memory.
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
    /// Per network interface: name, bytes and packets in, bytes and packets out.
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

/// Readings, one a second.
pub type SampleStream = Pin<Box<dyn Stream<Item = Arc<Sample>> + Send>>;

/// The statistics of one engine.
#[derive(Debug, Clone)]
pub struct Stats {
    pub(crate) shared: Arc<Shared>,
}

fn later() -> ContainerError {
    ContainerError::Unsupported { message: "statistics are not offered yet".into() }
}

impl Stats {
    /// One reading now.
    pub async fn sample(&self, owner: &Owner, reference: &str) -> Result<Arc<Sample>, ContainerError> {
        let _ = (owner, reference, &self.shared);
        Err(later())
    }

    /// A reading at once, then one a second until the container ends.
    pub fn stream(&self, owner: &Owner, reference: &str) -> Result<SampleStream, ContainerError> {
        let _ = (owner, reference);
        Err(later())
    }

    /// The last ten minutes in steps of ten seconds, oldest first; empty for one that does not run.
    pub fn history(&self, owner: &Owner, reference: &str) -> Result<Vec<Point>, ContainerError> {
        let _ = (owner, reference);
        Err(later())
    }
}
