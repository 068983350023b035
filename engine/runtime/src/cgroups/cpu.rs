//! CPU time: relative weight, and quota per period.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "CPU"; kernel `cgroup-v2.rst`, `cpu.*`, `sched-bwc.rst`.

use oci_spec::runtime::LinuxCpu;

use super::CgroupError;
use super::limits::{Host, Setting, check_range};

/// The kernel takes periods of 1 ms to 1 s, and quotas from 1 ms.
const PERIOD_US: (u64, u64) = (1_000, 1_000_000);
/// Ends of the range of v1's shares; the kernel clamps silently, we refuse.
const SHARES: (u64, u64) = (2, 262_144);

pub(super) fn plan(cpu: &LinuxCpu, host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    // A description's 0 means "not set" (runc, Docker).
    let shares = cpu.shares().filter(|shares| *shares != 0);
    let period = cpu.period().filter(|period| *period != 0);
    let quota = cpu.quota().filter(|quota| *quota != 0);
    if let Some(shares) = shares {
        check_range("cpu.shares", shares, SHARES.0, SHARES.1)?;
    }
    if let Some(period) = period {
        check_range("cpu.period", period, PERIOD_US.0, PERIOD_US.1)?;
    }
    if let Some(quota) = quota.filter(|quota| *quota > 0) {
        // The kernel's end of the range: max_cfs_runtime, 2^44 microseconds.
        check_range("cpu.quota", quota, 1_000, 1 << 44)?;
    }
    if let Some(idle) = cpu.idle() {
        check_range("cpu.idle", idle, 0, 1)?;
    }
    if host.is_unified("cpu") {
        unified(cpu, shares, quota, period, host)
    } else {
        Ok(legacy(cpu, shares, quota, period))
    }
}

fn legacy(cpu: &LinuxCpu, shares: Option<u64>, quota: Option<i64>, period: Option<u64>) -> Vec<Setting> {
    let set = |file, value: &dyn ToString| Setting::new("cpu", file, value.to_string());
    let mut settings = Vec::new();
    settings.extend(shares.map(|shares| set("cpu.shares", &shares)));
    if period.is_some() && quota.is_some() {
        // Old quota with new period, or the other way round, can exceed the group above and be refused: no quota never
        // is, for the few microseconds until the new one stands.
        settings.push(set("cpu.cfs_quota_us", &-1));
    }
    settings.extend(period.map(|period| set("cpu.cfs_period_us", &period)));
    settings.extend(quota.map(|quota| set("cpu.cfs_quota_us", &quota.max(-1))));
    settings.extend(cpu.burst().map(|burst| set("cpu.cfs_burst_us", &burst)));
    settings.extend(cpu.idle().map(|idle| set("cpu.idle", &idle)));
    settings.extend(cpu.realtime_period().filter(|period| *period != 0).map(|period| set("cpu.rt_period_us", &period)));
    settings.extend(cpu.realtime_runtime().filter(|run| *run != 0).map(|run| set("cpu.rt_runtime_us", &run)));
    settings
}

fn unified(
    cpu: &LinuxCpu,
    shares: Option<u64>,
    quota: Option<i64>,
    period: Option<u64>,
    host: &dyn Host,
) -> Result<Vec<Setting>, CgroupError> {
    if cpu.realtime_period().is_some_and(|period| period != 0) || cpu.realtime_runtime().is_some_and(|run| run != 0) {
        let what = "cpu.realtimePeriod and cpu.realtimeRuntime are not supported: cgroup v2 has no such limits";
        return Err(CgroupError::Unsupported { what: what.into() });
    }
    let mut settings = Vec::new();
    settings.extend(shares.map(|shares| Setting::new("cpu", "cpu.weight", weight(shares))));
    if quota.is_some() || period.is_some() {
        // One file for both: what is not given stays.
        let now = host.current("cpu", "cpu.max").unwrap_or_else(|| "max 100000".to_owned());
        let (now_quota, now_period) = now.split_once(' ').unwrap_or((now.as_str(), "100000"));
        let quota = match quota {
            Some(quota) if quota > 0 => quota.to_string(),
            Some(_) => "max".to_owned(),
            None => now_quota.to_owned(),
        };
        let period = period.map_or_else(|| now_period.to_owned(), |period| period.to_string());
        settings.push(Setting::new("cpu", "cpu.max", format!("{quota} {period}")));
    }
    settings.extend(cpu.burst().map(|burst| Setting::new("cpu", "cpu.max.burst", burst)));
    settings.extend(cpu.idle().map(|idle| Setting::new("cpu", "cpu.idle", idle)));
    Ok(settings)
}

/// v2's weight (1 to 10,000, default 100) for v1's shares (2 to 262,144, default 1,024).
///
/// The curve of runc 1.4 and crun 1.23, which goes through both ends and both defaults:
/// `10 ^ ((log2(shares)^2 + 125 log2(shares)) / 612 - 7 / 34)`, rounded up.
fn weight(shares: u64) -> u64 {
    if shares <= SHARES.0 {
        return 1;
    }
    if shares >= SHARES.1 {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10_f64.powf(exponent).ceil() as u64
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxCpuBuilder;

    use super::super::limits::{FakeHost, shown};
    use super::*;

    #[test]
    fn shares_and_weight_agree_at_the_ends_and_the_defaults() {
        assert_eq!([2, 3, 512, 1024, 2048, 262_144].map(weight), [1, 2, 59, 100, 174, 10_000]);
        assert!((2..262_144).step_by(7).all(|shares| weight(shares) <= weight(shares + 7)));
    }

    #[test]
    fn v1_clears_the_quota_before_the_period_changes() {
        let cpu = LinuxCpuBuilder::default().shares(512_u64).quota(50_000).period(200_000_u64).build().expect("cpu");
        let settings = plan(&cpu, &FakeHost::default()).expect("in range");
        assert_eq!(
            shown(&settings),
            ["cpu.shares=512", "cpu.cfs_quota_us=-1", "cpu.cfs_period_us=200000", "cpu.cfs_quota_us=50000"]
        );
    }

    #[test]
    fn v2_keeps_the_half_of_cpu_max_that_is_not_given() {
        let host = FakeHost::new(true, &[("cpu.max", "30000 60000")]);
        let quota = LinuxCpuBuilder::default().quota(-1).build().expect("cpu");
        assert_eq!(shown(&plan(&quota, &host).expect("in range")), ["cpu.max=max 60000"]);
        let period = LinuxCpuBuilder::default().period(80_000_u64).build().expect("cpu");
        assert_eq!(shown(&plan(&period, &host).expect("in range")), ["cpu.max=30000 80000"]);
    }

    #[test]
    fn what_the_kernel_does_not_take_is_refused_with_the_range() {
        let text = |cpu: &LinuxCpu| plan(cpu, &FakeHost::default()).expect_err("out of range").to_string();
        let build = LinuxCpuBuilder::default;
        assert_eq!(
            text(&build().period(999_u64).build().expect("cpu")),
            "cpu.period is 999, but it must be from 1000 to 1000000"
        );
        assert_eq!(
            text(&build().quota(500).build().expect("cpu")),
            "cpu.quota is 500, but it must be from 1000 to 17592186044416"
        );
        assert_eq!(
            text(&build().shares(1_u64).build().expect("cpu")),
            "cpu.shares is 1, but it must be from 2 to 262144"
        );
    }
}
