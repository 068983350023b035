//! What `info` and `version` tell of the host, read from /proc and /etc as any process may.

use std::fs;

/// Release of the kernel; empty when it cannot be read.
pub fn kernel() -> String {
    first_line("/proc/sys/kernel/osrelease")
}

/// The host's name.
pub fn hostname() -> String {
    first_line("/proc/sys/kernel/hostname")
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim_end().to_owned()).unwrap_or_default()
}

/// `PRETTY_NAME` of os-release(5), and `VERSION_ID`.
pub fn distribution() -> (String, String) {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    (value("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()), value("VERSION_ID").unwrap_or_default())
}

/// Bytes of memory; 0 when it cannot be read. Spec: proc_meminfo(5).
pub fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
    kib.unwrap_or(0) << 10
}

/// CPUs that are on.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `2` when the controllers are on the unified hierarchy, else `1`. Spec: kernel `cgroup-v2.rst`.
pub fn cgroup_version() -> &'static str {
    if fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false) { "2" } else { "1" }
}

/// How the kernel names this processor.
pub fn architecture() -> &'static str {
    std::env::consts::ARCH
}
