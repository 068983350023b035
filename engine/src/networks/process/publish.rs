//! Publishes ports: all or none.
//!
//! First everything is reserved, then the file is written, then the table changes in one transaction. What fails on the
//! way undoes what came before it.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use sampan_runtime::wire::RefusalKind;
use sampan_runtime::wire::net::{Port, Protocol};

use super::files::PortsFile;
use super::networks::{Networks, Published};
use super::reservations::{collide, refusal, reserve};
use crate::networks::NetworkError;
use crate::networks::netlink::conntrack;

/// First port that is chosen where none is asked for; up to the last one.
pub(super) const FIRST_CHOSEN: u16 = 49_153;
/// Ports of one container: each costs a descriptor here and in keeper.
const MOST_PORTS: usize = 2_000;

impl Networks {
    /// Publishes `ports` for `id` instead of what was published before; answers them with host ports.
    pub(super) fn publish(&mut self, id: &str, address: Ipv4Addr, ports: &[Port]) -> Result<Vec<Port>, NetworkError> {
        let address = self.check_publish(id, address, ports)?;
        if ports.is_empty() {
            self.unpublish(id)?;
            return Ok(Vec::new());
        }
        let (ports, sockets) = self.reserve_all(id, ports)?;
        let old = self.published.remove(id);
        let new = Published { ports, sockets, address };
        let changed = self
            .port_files
            .write(id, &PortsFile { ports: new.ports.clone() })
            .and_then(|()| self.change_ports(old.as_ref(), Some(&new)));
        if let Err(error) = changed {
            match old {
                Some(old) => {
                    self.port_files.write(id, &PortsFile { ports: old.ports.clone() })?;
                    self.published.insert(id.to_owned(), old);
                }
                None => self.port_files.remove(id)?,
            }
            return Err(error);
        }
        let ports = new.ports.clone();
        self.forget_flows(old.as_ref())?;
        self.forget_flows(Some(&new))?;
        self.published.insert(id.to_owned(), new);
        self.keep_reservations(id);
        Ok(ports)
    }

    /// Takes back what is published for `id`.
    pub(super) fn unpublish(&mut self, id: &str) -> Result<(), NetworkError> {
        let Some(old) = self.published.remove(id) else { return Ok(()) };
        if let Err(error) = self.change_ports(Some(&old), None) {
            self.published.insert(id.to_owned(), old);
            return Err(error);
        }
        self.port_files.remove(id)?;
        if let Some(keeper) = &self.keeper
            && let Err(error) = keeper.forget(id)
        {
            eprintln!("net: keeper still holds the ports of {id}: {error}");
        }
        self.forget_flows(Some(&old))
    }

    /// Leads the published ports of `id` to its new address, or nowhere.
    pub(super) fn lead_ports_to(&mut self, id: &str, address: Option<Ipv4Addr>) -> Result<(), NetworkError> {
        let Some(mut published) = self.published.remove(id) else { return Ok(()) };
        let before = Published { ports: published.ports.clone(), sockets: Vec::new(), address: published.address };
        published.address = address;
        let changed = self.change_ports(Some(&before), Some(&published));
        if changed.is_err() {
            published.address = before.address;
        }
        self.published.insert(id.to_owned(), published);
        changed?;
        self.forget_flows(Some(&before))
    }

    /// Checks all that can be checked before anything changes; answers where the ports lead.
    fn check_publish(&self, id: &str, address: Ipv4Addr, ports: &[Port]) -> Result<Option<Ipv4Addr>, NetworkError> {
        let own = self.endpoints.get(id).map(|endpoint| endpoint.address);
        if !address.is_unspecified() && own != Some(address) {
            let message = format!("{address} is not the address of container {id}");
            return Err(NetworkError::refused(RefusalKind::Invalid, message));
        }
        if ports.len() > MOST_PORTS {
            let message = format!("a container can publish {MOST_PORTS} ports, {} are asked for", ports.len());
            return Err(NetworkError::refused(RefusalKind::Invalid, message));
        }
        if ports.iter().any(|port| port.container_port == 0) {
            return Err(NetworkError::refused(RefusalKind::Invalid, "port 0 of a container cannot be published"));
        }
        let others = || self.published.iter().filter(|(other, _)| *other != id).flat_map(|(_, other)| &other.ports);
        for (place, port) in ports.iter().enumerate().filter(|(_, port)| port.host_port != 0) {
            let what = format!("port {} on {}", port.host_port, port.host_address);
            if others().any(|other| collide(port, other)) {
                let message = format!("{what} is taken by another container");
                return Err(NetworkError::refused(RefusalKind::Conflict, message));
            }
            if ports[..place].iter().any(|other| collide(port, other)) {
                let message = format!("{what} is asked for twice");
                return Err(NetworkError::refused(RefusalKind::Conflict, message));
            }
        }
        Ok(own)
    }

    /// Takes every port; those that `id` holds already are held on.
    fn reserve_all(&mut self, id: &str, asked: &[Port]) -> Result<(Vec<Port>, Vec<Option<OwnedFd>>), NetworkError> {
        let mut ports: Vec<Port> = Vec::with_capacity(asked.len());
        let mut sockets = Vec::with_capacity(asked.len());
        for port in asked {
            if port.host_port == 0 {
                let (port, socket) = self.choose(id, port, &ports)?;
                ports.push(port);
                sockets.push(Some(socket));
                continue;
            }
            let socket = match self.held(id, port) {
                Some(socket) => socket.try_clone(),
                None => reserve(port),
            };
            sockets.push(Some(socket.map_err(|error| refusal(port, error))?));
            ports.push(*port);
        }
        Ok((ports, sockets))
    }

    /// The socket by which `id` holds exactly this port.
    fn held(&self, id: &str, port: &Port) -> Option<&OwnedFd> {
        let published = self.published.get(id)?;
        let same = |held: &Port| {
            (held.host_address, held.host_port, held.protocol) == (port.host_address, port.host_port, port.protocol)
        };
        let place = published.ports.iter().position(same)?;
        published.sockets.get(place)?.as_ref()
    }

    /// A free host port for one that was asked without a number.
    fn choose(&mut self, id: &str, asked: &Port, chosen: &[Port]) -> Result<(Port, OwnedFd), NetworkError> {
        let span = u16::MAX - FIRST_CHOSEN + 1;
        for _ in 0..span {
            let port = Port { host_port: self.next_port, ..*asked };
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_CHOSEN);
            let mut taken = self.published.iter().filter(|(other, _)| *other != id).flat_map(|(_, other)| &other.ports);
            if taken.any(|other| collide(&port, other)) || chosen.iter().any(|other| collide(&port, other)) {
                continue;
            }
            match reserve(&port) {
                Ok(socket) => return Ok((port, socket)),
                Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {}
                Err(error) => return Err(refusal(&port, error)),
            }
        }
        let message = format!("no port from {FIRST_CHOSEN} up is free on {}", asked.host_address);
        Err(NetworkError::refused(RefusalKind::Exhausted, message))
    }

    /// Gives keeper the sockets of `id`, for the time when we are away.
    pub(super) fn keep_reservations(&self, id: &str) {
        let (Some(keeper), Some(published)) = (&self.keeper, self.published.get(id)) else { return };
        let sockets: std::io::Result<Vec<OwnedFd>> =
            published.sockets.iter().flatten().map(OwnedFd::try_clone).collect();
        if let Err(error) = sockets.and_then(|sockets| keeper.keep(id, &sockets)) {
            eprintln!("net: keeper does not hold the ports of {id}: {error}");
        }
    }

    /// Forgets tracked UDP flows to these ports.
    fn forget_flows(&mut self, published: Option<&Published>) -> Result<(), NetworkError> {
        let Some(published) = published else { return Ok(()) };
        let mut own = Vec::new();
        for port in published.ports.iter().filter(|port| port.protocol == Protocol::Udp) {
            if own.is_empty() {
                own.extend(self.look_at_host()?.addresses.iter().map(|address| address.address));
            }
            let is_own = |address: Ipv4Addr| {
                let meant = port.host_address.is_unspecified() || address == port.host_address;
                meant && (address.is_loopback() || own.contains(&address))
            };
            conntrack::forget_udp(&mut self.filter, port.host_port, is_own, published.address)
                .map_err(NetworkError::system(format!("forget UDP flows to port {}", port.host_port)))?;
        }
        Ok(())
    }
}
