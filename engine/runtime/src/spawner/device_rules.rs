//! The filter of devices of an unprivileged container, which must never be missing.
//!
//! A device node of an image cannot be opened because the root is mounted `nodev`; but a container that was given
//! CAP_SYS_ADMIN can take that option off its own mounts (tried). What holds then is the filter of its cgroup.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxResources};

use crate::failure::refusal;
use crate::wire::{Refusal, RefusalKind};

/// Devices of every container: kind, major, minor (`None`: all), access. Docker's defaults.
const ALLOWED: [(LinuxDeviceType, Option<i64>, Option<i64>, &str); 11] = [
    (LinuxDeviceType::C, None, None, "m"),
    (LinuxDeviceType::B, None, None, "m"),
    (LinuxDeviceType::C, Some(1), Some(3), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(5), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(7), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(8), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(9), "rwm"),
    (LinuxDeviceType::C, Some(5), Some(0), "rwm"),
    (LinuxDeviceType::C, Some(5), Some(1), "rwm"),
    (LinuxDeviceType::C, Some(5), Some(2), "rwm"),
    (LinuxDeviceType::C, Some(136), None, "rwm"),
];

/// Puts the default filter in where there is none; refuses one that does not begin by denying everything.
pub(super) fn check(resources: &mut LinuxResources) -> Result<(), Refusal> {
    match resources.devices().as_deref() {
        None | Some([]) => {
            let built: Result<Vec<_>, _> = std::iter::once(rule(false, LinuxDeviceType::A, None, None, "rwm"))
                .chain(ALLOWED.map(|(kind, major, minor, access)| rule(true, kind, major, minor, access)))
                .collect();
            resources.set_devices(Some(built.map_err(|error| refusal(RefusalKind::Internal, error.to_string()))?));
            Ok(())
        }
        Some([first, ..]) if denies_all(first) => Ok(()),
        Some(_) => {
            let message = "the filter of devices of an unprivileged container must begin by denying all of them";
            Err(refusal(RefusalKind::Invalid, message))
        }
    }
}

fn denies_all(rule: &LinuxDeviceCgroup) -> bool {
    let whole = |number: Option<i64>| number.is_none_or(|number| number == -1);
    let kind = rule.typ().is_none_or(|kind| kind == LinuxDeviceType::A);
    let access = rule.access().as_deref().is_none_or(|access| "rwm".chars().all(|one| access.contains(one)));
    !rule.allow() && kind && access && whole(rule.major()) && whole(rule.minor())
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> Result<LinuxDeviceCgroup, oci_spec::OciSpecError> {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build()
}
