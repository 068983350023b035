//! Number of processes and threads.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "PIDs"; kernel `cgroup-v1/pids.rst`.

use oci_spec::runtime::LinuxPids;

use super::limits::Setting;

/// 0 and less are "without limit", as runc and Docker have it.
pub(super) fn plan(pids: &LinuxPids) -> Vec<Setting> {
    let limit = pids.limit();
    let value = if limit > 0 { limit.to_string() } else { "max".to_owned() };
    vec![Setting::new("pids", "pids.max", value)]
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxPidsBuilder;

    use super::super::limits::shown;
    use super::*;

    #[test]
    fn nothing_and_less_are_without_limit() {
        for (limit, text) in [(5, "pids.max=5"), (0, "pids.max=max"), (-1, "pids.max=max")] {
            assert_eq!(shown(&plan(&LinuxPidsBuilder::default().limit(limit).build().expect("pids"))), [text]);
        }
    }
}
