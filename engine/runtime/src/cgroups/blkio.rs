//! Disk throughput: weight, and bytes and operations per second for each device.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "Block IO"; kernel `cgroup-v1/blkio-controller.rst`, `cgroup-v2.rst`, `io.*`.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::CgroupError;
use super::limits::{Host, Setting, check_range, out_of_range};

/// The description's range of weights.
const WEIGHT: (u16, u16) = (10, 1_000);

pub(super) fn plan(block_io: &LinuxBlockIo, host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    let devices = block_io.weight_device().as_deref().unwrap_or_default();
    let leaf = block_io.leaf_weight().is_some_and(|weight| weight != 0)
        || devices.iter().any(|device| device.leaf_weight().is_some_and(|weight| weight != 0));
    if leaf {
        let what = "blockIO.leafWeight is not supported: no kernel since 5.0 has it";
        return Err(CgroupError::Unsupported { what: what.into() });
    }
    let mut settings = Vec::new();
    // A description's 0 means "not set" (runc, Docker).
    if let Some(weight) = block_io.weight().filter(|weight| *weight != 0) {
        check_range("blockIO.weight", weight, WEIGHT.0, WEIGHT.1)?;
        settings.push(weight_setting(weight, None, host)?);
    }
    for device in devices {
        let Some(weight) = device.weight().filter(|weight| *weight != 0) else { continue };
        check_range("blockIO.weightDevice", weight, WEIGHT.0, WEIGHT.1)?;
        settings.push(weight_setting(weight, Some((device.major(), device.minor())), host)?);
    }
    let throttles = [
        ("blkio.throttle.read_bps_device", "rbps", block_io.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", "wbps", block_io.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", "riops", block_io.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", "wiops", block_io.throttle_write_iops_device()),
    ];
    for (file, key, list) in throttles {
        for device in list.as_deref().unwrap_or_default() {
            settings.push(throttle_setting(file, key, device, host)?);
        }
    }
    Ok(settings)
}

/// BFQ's own file where the kernel has it (same range in both worlds), else CFQ's of old v1 or iocost's of v2.
fn weight_setting(weight: u16, device: Option<(i64, i64)>, host: &dyn Host) -> Result<Setting, CgroupError> {
    let (major, minor) = device.unzip();
    let numbers = major.zip(minor).map(|(major, minor)| device_numbers(major, minor)).transpose()?;
    let unified = host.is_unified("io");
    let controller = if unified { "io" } else { "blkio" };
    let candidates: &[(&str, bool)] = match (unified, numbers.is_some()) {
        (true, _) => &[("io.bfq.weight", false), ("io.weight", true)],
        (false, false) => &[("blkio.bfq.weight", false), ("blkio.weight", false)],
        (false, true) => &[("blkio.bfq.weight_device", false), ("blkio.weight_device", false)],
    };
    let there = candidates.iter().find(|(file, _)| host.current(controller, file).is_some());
    let (file, scaled) = there.ok_or_else(|| CgroupError::Unsupported {
        what: "blockIO.weight is not supported: this kernel has neither BFQ nor another weighing scheduler".into(),
    })?;
    // 10-1000 onto 1-10000, as runc does.
    let weight = if *scaled { 1 + (u64::from(weight) - 10) * 9_999 / 990 } else { u64::from(weight) };
    let value = numbers.map_or_else(|| weight.to_string(), |numbers| format!("{numbers} {weight}"));
    Ok(Setting::new(controller, *file, value))
}

fn throttle_setting(
    file: &'static str,
    key: &'static str,
    device: &LinuxThrottleDevice,
    host: &dyn Host,
) -> Result<Setting, CgroupError> {
    let numbers = device_numbers(device.major(), device.minor())?;
    let rate = device.rate();
    Ok(if host.is_unified("io") {
        // 0 takes the limit away in v1; v2 says so in a word.
        let rate = if rate == 0 { "max".to_owned() } else { rate.to_string() };
        Setting::new("io", "io.max", format!("{numbers} {key}={rate}"))
    } else {
        Setting::new("blkio", file, format!("{numbers} {rate}"))
    })
}

fn device_numbers(major: i64, minor: i64) -> Result<String, CgroupError> {
    let fits = |number: i64, bits: u32| (0..1 << bits).contains(&number);
    // Linux: 12 bits of major number, 20 of minor.
    if !fits(major, 12) || !fits(minor, 20) {
        let allowed = "a device's numbers are from 0:0 to 4095:1048575";
        return Err(out_of_range("blockIO device", format!("{major}:{minor}"), allowed));
    }
    Ok(format!("{major}:{minor}"))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxBlockIoBuilder, LinuxThrottleDeviceBuilder};

    use super::super::limits::{FakeHost, shown};
    use super::*;

    fn block_io() -> LinuxBlockIo {
        let device =
            LinuxThrottleDeviceBuilder::default().major(8).minor(16).rate(1_048_576_u64).build().expect("device");
        LinuxBlockIoBuilder::default()
            .weight(500_u16)
            .throttle_read_bps_device(vec![device])
            .throttle_write_iops_device(vec![device])
            .build()
            .expect("block io")
    }

    #[test]
    fn each_world_has_its_own_files() {
        let v1 = FakeHost::new(false, &[("blkio.bfq.weight", "100")]);
        assert_eq!(
            shown(&plan(&block_io(), &v1).expect("in range")),
            [
                "blkio.bfq.weight=500",
                "blkio.throttle.read_bps_device=8:16 1048576",
                "blkio.throttle.write_iops_device=8:16 1048576"
            ]
        );
        let v2 = FakeHost::new(true, &[("io.weight", "default 100")]);
        assert_eq!(
            shown(&plan(&block_io(), &v2).expect("in range")),
            ["io.weight=4950", "io.max=8:16 rbps=1048576", "io.max=8:16 wiops=1048576"]
        );
    }

    #[test]
    fn a_weight_without_a_scheduler_that_weighs_is_refused() {
        let refused = plan(&block_io(), &FakeHost::default()).expect_err("no scheduler");
        assert_eq!(refused.kind(), crate::wire::RefusalKind::Unsupported);
    }
}
