//! IP forwarding, and the kernel parameters of our bridges.
//!
//! Spec: `ip-sysctl.rst`. A process with CAP_NET_ADMIN over the network namespace's user namespace may write
//! /proc/sys/net (`net_ctl_permissions` in net/sysctl_net.c), so no root is needed.
//!
//! A host that did not forward must not become a router for its neighbours because a container was started: whoever
//! switches forwarding on closes it between the interfaces that were there before (Docker sets a `policy drop` for the
//! same reason, which also hits what other programs forward later; this does not).

use std::io;
use std::path::Path;

use super::files::ForwardingFile;
use super::networks::Networks;
use crate::networks::NetworkError;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Name of the file that remembers the closed interfaces.
const FILE: &str = "forwarding";

/// Lets 127.0.0.1 reach containers by published ports, and keeps IPv6 off the bridge: nothing of ours speaks it yet,
/// and a link-local address would be a way around the table.
pub(super) fn prepare_bridge(name: &str) -> Result<(), NetworkError> {
    write(&format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"), "1")?;
    let ipv6 = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    if Path::new(&ipv6).exists() { write(&ipv6, "1") } else { Ok(()) }
}

impl Networks {
    /// Switches forwarding on, if it is off.
    pub(super) fn open_forwarding(&mut self) -> Result<(), NetworkError> {
        if read(FORWARDING)? == "1" {
            return Ok(());
        }
        let host = self.look_at_host()?;
        let ours = self.link_prefix();
        let foreign = host.links.into_iter().map(|link| link.name);
        self.closed = foreign.filter(|name| name != "lo" && !name.starts_with(&ours)).collect();
        self.host_files.write(FILE, &ForwardingFile { closed: self.closed.clone() })?;
        self.load_table()?;
        write(FORWARDING, "1")
    }

    /// Remembers what an earlier `net` closed.
    pub(super) fn recall_forwarding(&mut self) -> Result<(), NetworkError> {
        let files = self.host_files.read::<ForwardingFile>()?;
        self.closed = files.into_iter().find(|(name, _)| name == FILE).map(|(_, file)| file.closed).unwrap_or_default();
        Ok(())
    }

    /// Switches forwarding off again if this instance switched it on and no interface came since, for whose sake
    /// someone else may count on it.
    pub(super) fn close_forwarding(&mut self) -> Result<(), NetworkError> {
        if self.closed.is_empty() {
            return Ok(());
        }
        let links = self.look_at_host()?.links;
        if links.iter().all(|link| link.name == "lo" || self.closed.contains(&link.name)) {
            write(FORWARDING, "0")?;
        }
        self.closed.clear();
        self.host_files.remove(FILE)
    }
}

fn read(path: &str) -> Result<String, NetworkError> {
    let text = std::fs::read_to_string(path).map_err(NetworkError::system(format!("read {path}")))?;
    Ok(text.trim().to_owned())
}

fn write(path: &str, value: &str) -> Result<(), NetworkError> {
    match std::fs::write(path, value) {
        // A read-only /proc/sys is fine as long as it says what is needed.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && read(path)? == value => Ok(()),
        other => other.map_err(NetworkError::system(format!("write {value} to {path}"))),
    }
}
