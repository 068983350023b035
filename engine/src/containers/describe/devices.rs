//! Device nodes and what may be done with them.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

use super::invalid;
use crate::containers::ContainerError;
use crate::containers::config::ContainerConfig;

/// What every container may use: null, zero, full, random, urandom, tty, console, ptmx, pts. Docker's list.
const ALWAYS: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];
/// Folders of /dev that a privileged container has of its own.
const OWN: [&str; 4] = ["pts", "shm", "mqueue", "fd"];

/// A node of the host.
struct Node {
    path: PathBuf,
    kind: LinuxDeviceType,
    number: (i64, i64),
    mode: u32,
    permissions: String,
}

/// The filter of devices: nothing but the usual ones, making of nodes, and what was asked for.
pub(super) fn rules(config: &ContainerConfig) -> Result<Vec<LinuxDeviceCgroup>, ContainerError> {
    if config.security.privileged {
        return Ok(vec![rule(true, LinuxDeviceType::A, None, None, "rwm")]);
    }
    let mut rules = vec![
        rule(false, LinuxDeviceType::A, None, None, "rwm"),
        rule(true, LinuxDeviceType::C, None, None, "m"),
        rule(true, LinuxDeviceType::B, None, None, "m"),
    ];
    rules.extend(ALWAYS.iter().map(|&(major, minor)| rule(true, LinuxDeviceType::C, Some(major), minor, "rwm")));
    for node in typed(config)? {
        rules.push(rule(true, node.kind, Some(node.number.0), Some(node.number.1), &node.permissions));
    }
    Ok(rules)
}

/// Nodes beside the usual ones.
pub(super) fn nodes(config: &ContainerConfig) -> Result<Vec<LinuxDevice>, ContainerError> {
    let mut nodes = typed(config)?;
    if config.security.privileged {
        walk(Path::new("/dev"), &mut nodes, 0);
    }
    Ok(nodes.iter().map(device).collect())
}

fn typed(config: &ContainerConfig) -> Result<Vec<Node>, ContainerError> {
    config
        .devices
        .iter()
        .map(|device| {
            let path = device.host_path.display();
            let metadata = std::fs::metadata(&device.host_path).map_err(|error| {
                invalid(format!("error gathering device information while adding custom device \"{path}\": {error}"))
            })?;
            let permissions = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
            if permissions.bytes().any(|letter| !b"rwm".contains(&letter)) {
                return Err(invalid(format!("invalid device permissions {permissions} for {path}")));
            }
            let target = if device.container_path.as_os_str().is_empty() {
                device.host_path.clone()
            } else {
                device.container_path.clone()
            };
            node(target, &metadata, permissions).ok_or_else(|| invalid(format!("{path} is not a device")))
        })
        .collect()
}

fn node(path: PathBuf, metadata: &std::fs::Metadata, permissions: &str) -> Option<Node> {
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        _ => return None,
    };
    let number = metadata.rdev();
    let number = (i64::from(rustix::fs::major(number)), i64::from(rustix::fs::minor(number)));
    Some(Node { path, kind, number, mode: metadata.mode() & 0o7777, permissions: permissions.to_owned() })
}

/// All nodes of the host, for a privileged container; what cannot be looked at is left out, as Docker does.
fn walk(folder: &Path, nodes: &mut Vec<Node>, depth: u32) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            if depth < 8 && !(depth == 0 && OWN.iter().any(|own| entry.file_name() == *own)) {
                walk(&entry.path(), nodes, depth + 1);
            }
        } else if entry.path() != Path::new("/dev/console")
            && let Some(node) = node(entry.path(), &metadata, "rwm")
        {
            nodes.push(node);
        }
    }
}

fn device(node: &Node) -> LinuxDevice {
    LinuxDeviceBuilder::default()
        .path(node.path.clone())
        .typ(node.kind)
        .major(node.number.0)
        .minor(node.number.1)
        .file_mode(node.mode)
        .uid(0_u32)
        .gid(0_u32)
        .build()
        .unwrap_or_default()
}

fn rule(allow: bool, kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule =
        LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access).build().unwrap_or_default();
    rule.set_major(major).set_minor(minor);
    rule
}
