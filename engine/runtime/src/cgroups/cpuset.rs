//! Which CPUs and memory nodes may be used.
//!
//! Spec: OCI runtime-spec `config-linux.md`, "CPU"; kernel `cgroup-v1/cpusets.rst`, `cgroup-v2.rst`, `cpuset.*`.

use std::collections::BTreeSet;

use oci_spec::runtime::LinuxCpu;

use super::CgroupError;
use super::limits::{Host, Setting, out_of_range};
use super::place::Place;

/// More CPUs and nodes than any kernel is built for.
const MOST: u32 = 1 << 16;

pub(super) fn plan(cpu: &LinuxCpu, host: &dyn Host) -> Result<Vec<Setting>, CgroupError> {
    let effective = |kind: &str| {
        if host.is_unified("cpuset") { format!("cpuset.{kind}.effective") } else { format!("cpuset.effective_{kind}") }
    };
    let mut settings = Vec::new();
    let wanted = [("cpu.cpus", "cpus", cpu.cpus()), ("cpu.mems", "mems", cpu.mems())];
    for (field, kind, list) in wanted {
        let Some(list) = list.as_deref().map(str::trim).filter(|list| !list.is_empty()) else { continue };
        let asked = parse(list).ok_or_else(|| out_of_range(field, list, "it must be a list like 0-2,4"))?;
        let there = host.root("cpuset", &effective(kind)).unwrap_or_default();
        // An unreadable root leaves the decision to the kernel.
        if let Some(available) = parse(&there).filter(|available| !available.is_empty())
            && !asked.is_subset(&available)
        {
            return Err(out_of_range(field, list, format!("this host has {there}")));
        }
        settings.push(Setting::new("cpuset", format!("cpuset.{kind}"), list));
    }
    Ok(settings)
}

/// `0-2,4` as numbers.
fn parse(list: &str) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for part in list.split(',').map(str::trim).filter(|_| !list.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// Fills a new v1 group from the one above: while either list is empty no process can enter.
pub(super) fn inherit(above: &Place<'_>, below: &Place<'_>) -> Result<(), CgroupError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if below.read(file)?.trim().is_empty() {
            below.write(file, above.read(file)?.trim())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxCpuBuilder;

    use super::super::limits::{FakeHost, shown};
    use super::*;

    #[test]
    fn lists_of_cpus_are_read_as_the_kernel_reads_them() {
        assert_eq!(parse("0-2,4"), Some(BTreeSet::from([0, 1, 2, 4])));
        for wrong in ["2-1", "a", "1,", "-1", "0-70000"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused_before_the_kernel_is_asked() {
        let cpu = LinuxCpuBuilder::default().cpus("0-7".to_owned()).build().expect("cpu");
        let host = FakeHost::new(true, &[("cpuset.cpus.effective", "0-1")]);
        assert_eq!(plan(&cpu, &host).expect_err("not there").to_string(), "cpu.cpus is 0-7, but this host has 0-1");
        let host = FakeHost::new(false, &[("cpuset.effective_cpus", "0-15")]);
        assert_eq!(shown(&plan(&cpu, &host).expect("there")), ["cpuset.cpus=0-7"]);
    }
}
