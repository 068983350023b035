//! Where systemd runs: a scope of the instance's own for keeper and all below, so that a restart of the server's unit
//! does not touch them, and in which the kernel's controllers are ours to hand down.
//!
//! Spec: systemd `CGROUP_DELEGATION.md`. The spawner then finds the delegated folder around itself.

use std::path::Path;

use cgroups_rs::CgroupPid;
use cgroups_rs::systemd::SystemdClient;
use cgroups_rs::systemd::props::PropertiesBuilder;

use super::HostError;

/// Puts this process into `sampan-INSTANCE.scope`, where systemd manages the host; else does nothing. Makes threads, so
/// it is called by a process that executes another program next.
///
/// # Errors
/// [`HostError::Cgroup`].
pub fn parent(instance: &str) -> Result<(), HostError> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    let unit = format!("sampan-{instance}.scope");
    let failed = |error: &dyn std::fmt::Display| HostError::Cgroup { name: unit.clone(), reason: error.to_string() };
    let properties = PropertiesBuilder::default_cgroup("system.slice", &unit)
        .delegate(true)
        .description(format!("Sampan {instance}: keeper, helpers and containers"))
        .build();
    let mut client = SystemdClient::new(&unit, properties).map_err(|error| failed(&error))?;
    client.set_pid_prop(CgroupPid::from(u64::from(std::process::id()))).map_err(|error| failed(&error))?;
    client.start().map_err(|error| failed(&error))
}
