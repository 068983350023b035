//! Where our parent lies on a unified host, and what v2 asks of the groups above.
//!
//! Spec: kernel `cgroup-v2.rst`, "No Internal Process Constraint", "Controlling Controllers"; systemd
//! `CGROUP_DELEGATION.md`: below a unit with `Delegate=yes`, marked by the attribute `trusted.delegate` or
//! `user.delegate`, everything is the unit's own.

use rustix::fs::OFlags;

use super::CgroupError;
use super::layout::{Hierarchy, Layout, World};
use super::place::Place;

/// Controllers that our groups want on v2.
const WANTED: [&str; 6] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"];
/// The leaf into which processes of a delegated folder go, so that controllers can be enabled in it.
pub const HELPERS: &str = "sampan-helpers";

/// The folder beneath which our parent is made, relative to the root: the nearest delegated one around this process on
/// a unified host, else the root itself.
pub(super) fn base(layout: &Layout) -> Result<String, CgroupError> {
    if layout.world() != World::Unified {
        return Ok(String::new());
    }
    let Some(unified) = layout.unified() else { return Ok(String::new()) };
    let own = own_path(unified)?;
    let mut path = own.as_str();
    while !path.is_empty() {
        if is_delegated(&Place { hierarchy: unified, path }) {
            return Ok(path.to_owned());
        }
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
    Ok(String::new())
}

/// The group of this process, relative to what the mount shows.
fn own_path(unified: &Hierarchy) -> Result<String, CgroupError> {
    let file = std::path::Path::new("/proc/self/cgroup");
    let text = std::fs::read_to_string(file).map_err(|source| CgroupError::Read { file: file.into(), source })?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let inside = own.strip_prefix(unified.mounted_group.trim_end_matches('/')).unwrap_or(own);
    Ok(inside.trim_matches('/').to_owned())
}

fn is_delegated(place: &Place<'_>) -> bool {
    let Ok(folder) = place.open("", OFlags::RDONLY | OFlags::DIRECTORY) else { return false };
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0_u8; 8];
        let length = rustix::fs::fgetxattr(&folder, name, &mut value);
        length.is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// Moves the processes that stand in a delegated base into a leaf of it: with processes of its own it could hand no
/// controller down. The root of the hierarchy is free of this rule.
pub(super) fn make_room(layout: &Layout, base: &str) -> Result<(), CgroupError> {
    let Some(unified) = layout.unified().filter(|_| !base.is_empty()) else { return Ok(()) };
    let place = Place { hierarchy: unified, path: base };
    let leaf_path = format!("{base}/{HELPERS}");
    let leaf = Place { hierarchy: unified, path: &leaf_path };
    // Again until none is left: a process may fork while it is moved.
    for _ in 0..100 {
        let text = place.read("cgroup.procs")?;
        if text.trim().is_empty() {
            return Ok(());
        }
        match rustix::fs::mkdirat(unified.folder(), leaf.path, rustix::fs::Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(source) => return Err(CgroupError::Make { folder: leaf.shown(""), source: source.into() }),
        }
        for pid in text.lines() {
            match leaf.try_write("cgroup.procs", pid) {
                // It ended meanwhile.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(source) => {
                    let value = pid.to_owned();
                    return Err(CgroupError::Write { file: leaf.shown("cgroup.procs"), value, source: source.into() });
                }
            }
        }
    }
    Err(CgroupError::Impatient { path: base.to_owned(), state: "has processes of its own", waited_ms: 0 })
}

/// Hands all wanted controllers that `place` has down to its children.
///
/// One that the kernel does not hand down (as `cpu` while real-time processes run outside the root) does not keep the
/// others back: a limit that needs it is refused when it is asked for, by the missing file.
pub(super) fn enable_controllers(place: &Place<'_>) -> Result<(), CgroupError> {
    if place.hierarchy.controllers.is_empty() {
        return Ok(());
    }
    let has = place.read("cgroup.controllers")?;
    let enabled = place.read("cgroup.subtree_control")?;
    let missing: Vec<String> = has
        .split_whitespace()
        .filter(|name| WANTED.contains(name) && !enabled.split_whitespace().any(|other| other == *name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() || place.try_write("cgroup.subtree_control", &missing.join(" ")).is_ok() {
        return Ok(());
    }
    let refused = missing.iter().filter(|one| place.try_write("cgroup.subtree_control", one).is_err()).count();
    if refused == missing.len() {
        return place.write("cgroup.subtree_control", &missing.join(" "));
    }
    Ok(())
}
