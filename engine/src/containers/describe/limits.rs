//! Limits, checked as Docker checks them.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxPids, LinuxResources};

use sampan_runtime::wire::spawner::Features;

use super::invalid;
use crate::containers::ContainerError;
use crate::containers::config::Limits;

/// Docker's least memory.
const LEAST_MEMORY: u64 = 6 << 20;
/// Processes and threads when nothing is said: a fork bomb ends in its own container.
const PIDS: i64 = 4096;
/// Microseconds; Docker's for `--cpus`.
const PERIOD: u64 = 100_000;

/// Checks values against each other and the kernel's ranges.
pub(in crate::containers) fn check(limits: &Limits) -> Result<(), ContainerError> {
    if let Some(memory) = limits.memory_bytes
        && memory != 0
        && memory < LEAST_MEMORY
    {
        return Err(invalid("Minimum memory limit allowed is 6MB"));
    }
    if let Some(swap) = limits.memory_swap_bytes
        && swap > 0
    {
        match limits.memory_bytes {
            None | Some(0) => {
                return Err(invalid("You should always set the Memory limit when using Memoryswap limit"));
            }
            Some(memory) if u64::try_from(swap).is_ok_and(|swap| swap < memory) => {
                return Err(invalid("Minimum memoryswap limit should be larger than memory limit"));
            }
            Some(_) => {}
        }
    }
    if let (Some(memory), Some(reservation)) = (limits.memory_bytes, limits.memory_reservation_bytes)
        && memory > 0
        && memory < reservation
    {
        return Err(invalid("Minimum memory limit can not be less than memory reservation limit"));
    }
    if limits.swappiness.is_some_and(|value| value > 100) {
        return Err(invalid("Invalid value of swappiness, valid range is 0-100"));
    }
    if limits.nano_cpus.is_some_and(|value| value > 0)
        && (limits.cpu_period.is_some_and(|value| value > 0) || limits.cpu_quota.is_some_and(|value| value > 0))
    {
        return Err(invalid("Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set"));
    }
    if limits.cpu_period.is_some_and(|period| period != 0 && !(1_000..=1_000_000).contains(&period)) {
        return Err(invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"));
    }
    if limits.cpu_quota.is_some_and(|quota| quota > 0 && quota < 1_000) {
        return Err(invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    check_cpus(limits)?;
    if limits.block_io_weight.is_some_and(|weight| weight != 0 && !(10..=1000).contains(&weight)) {
        return Err(invalid("Range of blkio weight is from 10 to 1000"));
    }
    Ok(())
}

/// Takes away what this host cannot hold; a sentence for each, in dockerd's words. Source: moby
/// `daemon/daemon_unix.go`, `verifyPlatformContainerResources`.
pub(in crate::containers) fn discard(limits: &mut Limits, host: &Features) -> Vec<String> {
    let mut said = Vec::new();
    if limits.memory_bytes.is_some_and(|bytes| bytes > 0) && limits.memory_swap_bytes != Some(-1) && !host.swap_limit {
        limits.memory_swap_bytes = Some(-1);
        said.push(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
        );
    }
    if limits.swappiness.is_some() && host.cgroup_v2 {
        limits.swappiness = None;
        said.push(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
        );
    }
    if limits.oom_kill_disable && host.cgroup_v2 {
        limits.oom_kill_disable = false;
        said.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    }
    if limits.oom_kill_disable && limits.memory_bytes.is_none_or(|bytes| bytes == 0) {
        said.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
        );
    }
    said.into_iter().map(str::to_owned).collect()
}

fn check_cpus(limits: &Limits) -> Result<(), ContainerError> {
    if let Some(nano) = limits.nano_cpus {
        let count = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        if nano > count * 1_000_000_000 {
            return Err(invalid(format!(
                "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
            )));
        }
    }
    for (name, set) in [("cpus", &limits.cpuset_cpus), ("mems", &limits.cpuset_mems)] {
        let right = set.as_deref().is_none_or(|set| {
            set.split(',').all(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                matches!((first.trim().parse::<u32>(), last.trim().parse::<u32>()), (Ok(first), Ok(last)) if first <= last)
            }) || set.is_empty()
        });
        if !right {
            return Err(invalid(format!("Invalid value {} for cpuset {name}", set.as_deref().unwrap_or_default())));
        }
    }
    Ok(())
}

/// All limits of a new container.
pub(in crate::containers) fn resources(
    limits: &Limits,
    devices: Vec<LinuxDeviceCgroup>,
) -> Result<LinuxResources, ContainerError> {
    let mut resources = changed(limits)?;
    if resources.pids().is_none() {
        resources.set_pids(Some(pids(PIDS)));
    }
    resources.set_devices(Some(devices));
    Ok(resources)
}

/// Only the limits that are set.
pub(in crate::containers) fn changed(limits: &Limits) -> Result<LinuxResources, ContainerError> {
    check(limits)?;
    let mut resources = LinuxResources::default();
    resources
        .set_devices(None)
        .set_memory(memory(limits))
        .set_cpu(cpu(limits))
        .set_pids(limits.pids.map(|limit| pids(if limit <= 0 { -1 } else { limit })));
    if let Some(weight) = limits.block_io_weight.filter(|weight| *weight > 0) {
        let mut block = LinuxBlockIo::default();
        block.set_weight(Some(weight));
        resources.set_block_io(Some(block));
    }
    Ok(resources)
}

fn pids(limit: i64) -> LinuxPids {
    let mut pids = LinuxPids::default();
    pids.set_limit(limit);
    pids
}

fn memory(limits: &Limits) -> Option<LinuxMemory> {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let limit = limits.memory_bytes.filter(|bytes| *bytes > 0).map(number);
    let swap = match limits.memory_swap_bytes {
        Some(swap) if swap != 0 => Some(swap),
        _ => limit.map(|limit| limit.saturating_mul(2)),
    };
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(limit)
        .set_swap(swap)
        .set_reservation(limits.memory_reservation_bytes.filter(|bytes| *bytes > 0).map(number))
        .set_swappiness(limits.swappiness)
        .set_disable_oom_killer(limits.oom_kill_disable.then_some(true));
    (memory != LinuxMemory::default()).then_some(memory)
}

fn cpu(limits: &Limits) -> Option<LinuxCpu> {
    let mut cpu = LinuxCpu::default();
    match limits.nano_cpus.filter(|nano| *nano > 0) {
        Some(nano) => {
            let quota = nano.saturating_mul(PERIOD) / 1_000_000_000;
            cpu.set_period(Some(PERIOD)).set_quota(i64::try_from(quota).ok());
        }
        None => {
            cpu.set_period(limits.cpu_period.filter(|period| *period > 0))
                .set_quota(limits.cpu_quota.filter(|quota| *quota != 0));
        }
    }
    cpu.set_shares(limits.cpu_shares.filter(|shares| *shares > 0).map(|shares| shares.max(2)))
        .set_cpus(limits.cpuset_cpus.clone().filter(|set| !set.is_empty()))
        .set_mems(limits.cpuset_mems.clone().filter(|set| !set.is_empty()));
    (cpu != LinuxCpu::default()).then_some(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_twice_the_memory_and_processes_are_bounded() {
        let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        let resources = resources(&limits, Vec::new()).expect("right");
        let memory = resources.memory().expect("memory");
        assert_eq!((memory.limit(), memory.swap()), (Some(64 << 20), Some(128 << 20)));
        assert_eq!(resources.pids().expect("pids").limit(), 4096);
        assert_eq!(resources.cpu(), &None);
    }

    #[test]
    fn half_a_cpu_is_half_of_a_period() {
        let limits = Limits { nano_cpus: Some(500_000_000), ..Limits::default() };
        let cpu = changed(&limits).expect("right").cpu().clone().expect("cpu");
        assert_eq!((cpu.period(), cpu.quota()), (Some(100_000), Some(50_000)));
    }

    #[test]
    fn what_the_host_cannot_hold_is_taken_away_and_told() {
        let asked =
            Limits { memory_bytes: Some(64 << 20), swappiness: Some(10), oom_kill_disable: true, ..Limits::default() };
        let mut limits = asked.clone();
        let v1 = Features { swap_limit: true, ..Features::default() };
        assert_eq!((discard(&mut limits, &v1), &limits), (Vec::new(), &asked));
        let v2 = Features { cgroup_v2: true, ..Features::default() };
        let said = discard(&mut limits, &v2);
        assert_eq!((limits.swappiness, limits.oom_kill_disable, limits.memory_swap_bytes), (None, false, Some(-1)));
        assert!(said.len() == 3 && said[1].ends_with("Memory swappiness discarded."), "{said:?}");
        let mut unlimited = Limits { oom_kill_disable: true, ..Limits::default() };
        assert!(discard(&mut unlimited, &v1)[0].contains("no memory limit is set"));
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            Limits { memory_bytes: Some(1 << 20), ..Limits::default() },
            Limits { memory_swap_bytes: Some(1 << 30), ..Limits::default() },
            Limits { memory_bytes: Some(64 << 20), memory_swap_bytes: Some(1 << 20), ..Limits::default() },
            Limits { swappiness: Some(101), ..Limits::default() },
            Limits { nano_cpus: Some(u64::MAX / 2), ..Limits::default() },
            Limits { nano_cpus: Some(1), cpu_quota: Some(5_000), ..Limits::default() },
            Limits { cpuset_cpus: Some("3-1".into()), ..Limits::default() },
            Limits { cpuset_mems: Some("x".into()), ..Limits::default() },
            Limits { cpu_period: Some(5), ..Limits::default() },
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
        assert!(check(&Limits { cpuset_cpus: Some("0-1,3".into()), ..Limits::default() }).is_ok());
    }
}
