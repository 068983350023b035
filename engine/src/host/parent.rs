//! What keeper does not take over from the server's unit: its cgroup and its score for the out-of-memory killer.
//!
//! Where systemd runs, keeper and all below live in a scope of the instance's own: a restart of the server's unit does
//! not touch them, and the kernel's controllers in it are ours to hand down. Spec: systemd `CGROUP_DELEGATION.md`,
//! org.freedesktop.systemd1(5), systemd.scope(5). The spawner then finds the delegated folder around itself.

use std::path::Path;
use std::time::{Duration, Instant};

use sampan_runtime::cgroups::HELPERS;
use zbus::blocking::Connection;
use zbus::zvariant::Value;

use super::HostError;

/// How long systemd may take. An emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// At shutdown all processes of the scope get SIGTERM, and so long after it SIGKILL. As `docker stop`, and a little more
/// for the many that end at once.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Makes this process fit to be the parent of all: with a plain score for the out-of-memory killer, and, where systemd
/// manages the host, in `sampan-INSTANCE.scope`. Makes threads, so it is called by a process that executes another program
/// next.
///
/// # Errors
/// [`HostError::Cgroup`], [`HostError::Io`].
pub fn parent(instance: &str) -> Result<(), HostError> {
    plain_oom_score()?;
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    let unit = format!("sampan-{instance}.scope");
    let failed = |reason: String| HostError::Cgroup { name: unit.clone(), reason };
    let systemd = Connection::system()
        .map_err(|error| failed(format!("systemd runs here, but its bus cannot be reached (package dbus): {error}")))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = ask(&systemd, &unit);
        // The answer says that it was asked for; a moment later it is done.
        let soon = Instant::now() + Duration::from_secs(2);
        while asked.is_ok() && Instant::now() < soon {
            if is_inside(&unit) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if Instant::now() > deadline {
            let reason = asked.map_or_else(|error| error.to_string(), |()| "systemd does not move us there".to_owned());
            return Err(failed(reason));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Takes back what a unit's `OOMScoreAdjust=` gave to the server: a container must not be spared for being below it.
/// Written with CAP_SYS_RESOURCE, it also becomes the lowest that they can choose (proc_pid_oom_score_adj(5)).
fn plain_oom_score() -> Result<(), HostError> {
    let file = "/proc/self/oom_score_adj";
    std::fs::write(file, "0").map_err(HostError::io("write", file))
}

/// Asks for the scope with us in it; when containers of a keeper that was killed still live in it, asks to be put beside.
fn ask(systemd: &Connection, unit: &str) -> zbus::Result<()> {
    let pid = std::process::id();
    let microseconds = u64::try_from(STOP_PATIENCE.as_micros()).unwrap_or(u64::MAX);
    let properties = [
        ("Description", Value::from("Sampan: keeper, helpers and containers")),
        ("Slice", Value::from("system.slice")),
        ("PIDs", Value::from(vec![pid])),
        ("Delegate", Value::from(true)),
        ("TasksMax", Value::from(u64::MAX)),
        ("TimeoutStopUSec", Value::from(microseconds)),
        // Its name must be free again after a failure.
        ("CollectMode", Value::from("inactive-or-failed")),
    ];
    let others: [(&str, Vec<(&str, Value<'_>)>); 0] = [];
    match call(systemd, "StartTransientUnit", &(unit, "fail", properties.as_slice(), others.as_slice())) {
        Err(zbus::Error::MethodError(name, ..)) if name.as_str() == "org.freedesktop.systemd1.UnitExists" => {}
        answer => return answer,
    }
    // With controllers handed down, only its leaves may have processes.
    let attach = |below: &str| call(systemd, "AttachProcessesToUnit", &(unit, below, [pid].as_slice()));
    attach(&format!("/{HELPERS}")).or_else(|_| attach(""))
}

fn call<B>(systemd: &Connection, method: &str, body: &B) -> zbus::Result<()>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let (name, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    systemd.call_method(Some(name), path, Some("org.freedesktop.systemd1.Manager"), method, body).map(drop)
}

/// Whether any hierarchy has us in the unit's folder.
fn is_inside(unit: &str) -> bool {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().any(|line| line.split('/').any(|part| part == unit))
}
