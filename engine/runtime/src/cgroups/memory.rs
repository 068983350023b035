//! Memory and swap.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "Memory"; kernel `cgroup-v1/memory.rst`, `cgroup-v2.rst`, `memory.*`.
//! The description's `swap` is v1's: memory and swap together. v2 counts swap alone.

use oci_spec::runtime::LinuxMemory;

use super::CgroupError;
use super::limits::{Host, Setting, check_range, out_of_range};

/// Without limit, in a description.
const UNLIMITED: i64 = -1;

pub(super) fn plan(memory: &LinuxMemory, host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    // A description's 0 means "not set" (runc, Docker).
    let given = |field, value: Option<i64>| match value.filter(|value| *value != 0) {
        Some(value) if value < UNLIMITED => Err(out_of_range(field, value, "it must be -1 or more")),
        value => Ok(value),
    };
    let limit = given("memory.limit", memory.limit())?;
    let swap = given("memory.swap", memory.swap())?;
    let reservation = given("memory.reservation", memory.reservation())?;
    if let Some(swappiness) = memory.swappiness() {
        check_range("memory.swappiness", swappiness, 0, 100)?;
    }
    let kernel = [("memory.kernel", memory.kernel()), ("memory.kernelTCP", memory.kernel_tcp())];
    if let Some((field, value)) = kernel.into_iter().find_map(|(field, value)| Some((field, value.filter(|v| *v > 0)?)))
    {
        let what =
            format!("{field} is {value}, but limits of kernel memory alone are not supported (Linux 5.4 and later)");
        return Err(CgroupError::Unsupported { what });
    }
    check_pair(limit, swap)?;
    if swap.is_some_and(|swap| swap > 0) && host.current("memory", swap_file(host)).is_none() {
        // Where swap cannot be counted, swap = limit (no swap at all) cannot be promised either.
        let what = "memory.swap is set, but this kernel does not count swap (boot it with swapaccount=1)";
        return Err(CgroupError::Unsupported { what: what.into() });
    }
    if host.is_unified("memory") {
        unified(memory, limit, swap, reservation, host)
    } else {
        Ok(legacy(memory, limit, swap, reservation, host))
    }
}

fn swap_file(host: &dyn Host) -> &'static str {
    if host.is_unified("memory") { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" }
}

fn check_pair(limit: Option<i64>, swap: Option<i64>) -> Result<(), CgroupError> {
    match (limit, swap) {
        (None | Some(UNLIMITED), Some(swap)) if swap > 0 => Err(out_of_range(
            "memory.swap",
            swap,
            "it counts memory and swap together and needs memory.limit beside it",
        )),
        (Some(limit), Some(swap)) if swap > 0 && swap < limit => Err(out_of_range(
            "memory.swap",
            swap,
            format!("it counts memory and swap together and must be at least memory.limit ({limit})"),
        )),
        _ => Ok(()),
    }
}

fn legacy(
    memory: &LinuxMemory,
    limit: Option<i64>,
    swap: Option<i64>,
    reservation: Option<i64>,
    host: &dyn Host,
) -> Vec<Setting> {
    let counts_swap = host.current("memory", swap_file(host));
    // Without limit means without limit for both; else the old sum would bound it still.
    let swap = match (limit, swap) {
        (Some(UNLIMITED), None) => counts_swap.is_some().then_some(UNLIMITED),
        (_, swap) => swap.filter(|_| counts_swap.is_some()),
    };
    let limit = limit.map(|value| Setting::new("memory", "memory.limit_in_bytes", value));
    let sum = swap.map(|value| Setting::new("memory", "memory.memsw.limit_in_bytes", value));
    // The sum must never be below the limit, not even between two writes: when the sum grows beyond the present limit
    // it goes first.
    let now = host.current("memory", "memory.limit_in_bytes").and_then(|text| text.parse::<u64>().ok());
    let sum_first = swap == Some(UNLIMITED) || now.zip(swap).is_some_and(|(now, swap)| now < swap.unsigned_abs());
    let mut settings = Vec::new();
    if sum_first {
        settings.extend(sum);
        settings.extend(limit);
    } else {
        settings.extend(limit);
        settings.extend(sum);
    }
    settings.extend(reservation.map(|value| Setting::new("memory", "memory.soft_limit_in_bytes", value)));
    settings.extend(memory.swappiness().map(|value| Setting::new("memory", "memory.swappiness", value)));
    settings.extend(memory.disable_oom_killer().map(|off| Setting::new("memory", "memory.oom_control", u8::from(off))));
    settings
}

fn unified(
    memory: &LinuxMemory,
    limit: Option<i64>,
    swap: Option<i64>,
    reservation: Option<i64>,
    host: &dyn Host,
) -> Result<Vec<Setting>, CgroupError> {
    let missing = [
        ("memory.swappiness", memory.swappiness().is_some()),
        ("memory.disableOOMKiller", memory.disable_oom_killer() == Some(true)),
    ];
    if let Some((field, _)) = missing.into_iter().find(|(_, asked)| *asked) {
        return Err(CgroupError::Unsupported {
            what: format!("{field} is not supported: cgroup v2 has no such setting"),
        });
    }
    if let Some(limit) = limit.filter(|limit| *limit > 0 && memory.check_before_update() == Some(true)) {
        let used = host.current("memory", "memory.current").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        if used > limit {
            return Err(out_of_range("memory.limit", limit, format!("{used} bytes are in use")));
        }
    }
    let shown = |value: i64| if value == UNLIMITED { "max".to_owned() } else { value.to_string() };
    let counts_swap = host.current("memory", swap_file(host)).is_some();
    let swap_alone = match (limit, swap) {
        (_, Some(UNLIMITED)) | (Some(UNLIMITED), None) => Some(UNLIMITED),
        (Some(limit), Some(swap)) => Some(swap - limit),
        (_, None) => None,
        (None, Some(_)) => None,
    };
    let mut settings = Vec::new();
    settings.extend(
        swap_alone.filter(|_| counts_swap).map(|value| Setting::new("memory", "memory.swap.max", shown(value))),
    );
    settings.extend(limit.map(|value| Setting::new("memory", "memory.max", shown(value))));
    settings.extend(reservation.map(|value| Setting::new("memory", "memory.low", shown(value))));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxMemoryBuilder;

    use super::super::limits::{FakeHost, shown};
    use super::*;

    const V1: [(&str, &str); 2] = [("memory.memsw.limit_in_bytes", "1000"), ("memory.limit_in_bytes", "500")];

    fn memory(limit: i64, swap: i64) -> LinuxMemory {
        LinuxMemoryBuilder::default().limit(limit).swap(swap).build().expect("memory")
    }

    #[test]
    fn v1_raises_the_sum_before_the_limit_and_lowers_it_after() {
        let host = FakeHost::new(false, &V1);
        assert_eq!(
            shown(&plan(&memory(2000, 3000), &host).expect("in range")),
            ["memory.memsw.limit_in_bytes=3000", "memory.limit_in_bytes=2000"]
        );
        assert_eq!(
            shown(&plan(&memory(200, 300), &host).expect("in range")),
            ["memory.limit_in_bytes=200", "memory.memsw.limit_in_bytes=300"]
        );
    }

    #[test]
    fn without_limit_the_sum_has_none_either() {
        let host = FakeHost::new(false, &V1);
        assert_eq!(
            shown(&plan(&memory(-1, 0), &host).expect("in range")),
            ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1"]
        );
    }

    #[test]
    fn v2_counts_swap_alone() {
        let host = FakeHost::new(true, &[("memory.swap.max", "max")]);
        assert_eq!(
            shown(&plan(&memory(1000, 1500), &host).expect("in range")),
            ["memory.swap.max=500", "memory.max=1000"]
        );
        assert_eq!(
            shown(&plan(&memory(1000, 1000), &host).expect("in range")),
            ["memory.swap.max=0", "memory.max=1000"]
        );
        assert_eq!(
            shown(&plan(&memory(1000, -1), &host).expect("in range")),
            ["memory.swap.max=max", "memory.max=1000"]
        );
    }

    #[test]
    fn a_sum_below_the_limit_or_without_it_is_refused() {
        let host = FakeHost::new(false, &V1);
        let text = |limit, swap| plan(&memory(limit, swap), &host).expect_err("out of range").to_string();
        assert!(text(1000, 999).ends_with("must be at least memory.limit (1000)"));
        assert!(text(0, 999).ends_with("needs memory.limit beside it"));
        assert_eq!(text(-2, 0), "memory.limit is -2, but it must be -1 or more");
    }

    #[test]
    fn what_v2_does_not_have_is_refused_not_dropped() {
        let host = FakeHost::new(true, &[("memory.swap.max", "max")]);
        let asked = LinuxMemoryBuilder::default().swappiness(10_u64).build().expect("memory");
        assert_eq!(plan(&asked, &host).expect_err("missing").kind(), crate::wire::RefusalKind::Unsupported);
        let no_swap = FakeHost::new(true, &[]);
        let refused = plan(&memory(1000, 2000), &no_swap).expect_err("missing");
        assert!(refused.to_string().contains("swapaccount=1"), "{refused}");
    }
}
