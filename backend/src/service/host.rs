//! How busy this host is, for the overview.

use std::sync::Mutex;

use super::{Result, ServiceError};
use crate::app::App;
use crate::policy::action::View;
use crate::policy::{Granted, System};

/// The host at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Host {
    /// CPUs that are on.
    pub cpus: u32,
    /// Hundredths of all CPUs, since the last look (of anybody), at the first look since boot.
    pub cpu_percent: f64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Of it what cannot be had (total less MemAvailable, proc_meminfo(5)).
    pub memory_used_bytes: u64,
    /// Bytes of the file system under the data root.
    pub disk_bytes: u64,
    /// Of it what is used.
    pub disk_used_bytes: u64,
}

/// Jiffies of /proc/stat at the last look: busy, all.
static LAST: Mutex<(u64, u64)> = Mutex::new((0, 0));

/// How busy this host is.
pub fn look(app: &App, _target: &Granted<View, System>) -> Result<Host> {
    let (memory_bytes, memory_used_bytes) = memory()?;
    let (cpus, cpu_percent) = cpu()?;
    let disk = rustix::fs::statvfs(&app.config.data_root).map_err(|error| failed("statvfs", &error.into()))?;
    Ok(Host {
        cpus,
        cpu_percent,
        memory_bytes,
        memory_used_bytes,
        disk_bytes: disk.f_blocks * disk.f_frsize,
        disk_used_bytes: (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
    })
}

fn failed(what: &'static str, error: &std::io::Error) -> ServiceError {
    ServiceError::Host { what, message: error.to_string() }
}

fn memory() -> Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|error| failed("/proc/meminfo", &error))?;
    let value = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let total = value("MemTotal:") * 1024;
    Ok((total, total.saturating_sub(value("MemAvailable:") * 1024)))
}

fn cpu() -> Result<(u32, f64)> {
    let text = std::fs::read_to_string("/proc/stat").map_err(|error| failed("/proc/stat", &error))?;
    let now = jiffies(&text);
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (busy, all) = (now.0.saturating_sub(last.0), now.1.saturating_sub(last.1));
    // Two looks within one jiffy tell nothing: then the older one goes on counting.
    if all > 0 {
        *last = now;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share in per cent")]
    let percent = if all == 0 { 0.0 } else { busy as f64 / all as f64 * 100.0 };
    let cpus = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Ok((u32::try_from(cpus).unwrap_or(1).max(1), percent))
}

/// Busy and all jiffies of the line `cpu` (proc_stat(5)): idle and iowait are the fourth and fifth.
fn jiffies(text: &str) -> (u64, u64) {
    let line = text.lines().find(|line| line.starts_with("cpu ")).unwrap_or_default();
    let numbers: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|number| number.parse().ok()).collect();
    let all: u64 = numbers.iter().sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    (all - idle, all)
}

#[cfg(test)]
mod tests {
    use super::jiffies;

    #[test]
    fn waiting_for_a_disk_is_not_busy() {
        assert_eq!(jiffies("cpu  10 0 20 60 10 0 0 0 5 5\ncpu0 1 1 1 1 1\n"), (30, 100));
        assert_eq!(jiffies(""), (0, 0));
    }
}
