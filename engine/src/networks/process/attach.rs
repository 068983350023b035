//! Puts a network namespace on its team's bridge.
//!
//! Two writes: one makes the veth pair with its far end inside the namespace, the other goes through the socket that
//! was opened in there. Nothing enters the namespace.

use std::os::fd::{AsFd, OwnedFd};

use sampan_runtime::wire::RefusalKind;
use sampan_runtime::wire::spawner::Endpoint;

use super::bridges::mac_of;
use super::files::EndpointFile;
use super::networks::Networks;
use crate::networks::NetworkError;
use crate::networks::netlink::{Batch, Socket, address, link, route};

/// Name of the interface inside.
const INSIDE: &str = "eth0";

impl Networks {
    /// Makes an endpoint for `id`; one that `id` had before goes.
    pub(super) fn attach(
        &mut self,
        id: &str,
        team: &str,
        mac: Option<[u8; 6]>,
        namespace: OwnedFd,
        socket: OwnedFd,
    ) -> Result<Endpoint, NetworkError> {
        if let Some(old) = self.endpoints.get(id).cloned() {
            self.leave(id)?;
            // It may be the same namespace: an earlier try whose answer was lost.
            self.delete_link(&old.link)?;
        }
        let (place, address) = self.take_address(team)?;
        let bridge = &self.bridges[place];
        let endpoint =
            EndpointFile { team: team.to_owned(), bridge: bridge.name.clone(), link: String::new(), address, mac };
        match self.set_up_endpoint(id, endpoint.clone(), &namespace, socket) {
            Ok(endpoint) => {
                let described = self.bridges[place].describe(address, mac);
                self.endpoints.insert(id.to_owned(), endpoint);
                match self.lead_ports_to(id, Some(address)) {
                    Ok(()) => Ok(described),
                    Err(error) => self.leave(id).and(Err(error)),
                }
            }
            Err(error) => {
                self.free_address(&endpoint.bridge, address);
                self.endpoint_files.remove(id)?;
                Err(error)
            }
        }
    }

    fn set_up_endpoint(
        &mut self,
        id: &str,
        mut endpoint: EndpointFile,
        namespace: &OwnedFd,
        socket: OwnedFd,
    ) -> Result<EndpointFile, NetworkError> {
        let bridge = self.bridges.iter().find(|bridge| bridge.name == endpoint.bridge);
        let bridge = bridge.ok_or_else(|| NetworkError::refused(RefusalKind::Internal, "the bridge is gone"))?;
        let (bridge_index, gateway, prefix, mtu) = (bridge.index, bridge.gateway(), bridge.subnet.prefix(), bridge.mtu);
        endpoint.link = self.next_link_name();
        self.endpoint_files.write(id, &endpoint)?;
        let mut batch = Batch::new();
        let pair = link::VethPair {
            name: &endpoint.link,
            bridge: bridge_index,
            peer: INSIDE,
            peer_mac: endpoint.mac.unwrap_or_else(|| mac_of(endpoint.address)),
            namespace: namespace.as_fd(),
            mtu,
        };
        link::add_veth(&mut batch, &pair);
        link::allow_hairpin(&mut batch, &endpoint.link);
        self.route
            .exchange(batch, |_, _| {})
            .map_err(NetworkError::system(format!("make the link {}", endpoint.link)))?;
        let inside = set_up_inside(socket, &endpoint, prefix, gateway).and_then(|()| self.see_carrier(&endpoint.link));
        if inside.is_err() {
            self.delete_link(&endpoint.link)?;
        }
        inside.map(|()| endpoint)
    }

    /// Has the kernel (6.6 and later) take notice now that the link carries, as it does whenever it is asked about it;
    /// else the bridge forwards only when its work queue came to it, and a quick container's first packet is lost.
    fn see_carrier(&mut self, link: &str) -> Result<(), NetworkError> {
        let mut batch = Batch::new();
        link::get(&mut batch, link);
        self.route.exchange(batch, |_, _| {}).map_err(NetworkError::system(format!("look at the link {link}")))
    }

    fn next_link_name(&mut self) -> String {
        let prefix = format!("{}v", self.link_prefix());
        let digits = 15 - prefix.len();
        let number = self.next_link;
        self.next_link = (number + 1) % 36_u64.pow(u32::try_from(digits).unwrap_or(1).min(8));
        format!("{prefix}{}", base36(number))
    }

    /// Gives the endpoint of `from` to `to`.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), NetworkError> {
        if from == to {
            return Ok(());
        }
        if !self.endpoints.contains_key(from) {
            // Repeated after an answer that was lost.
            if self.endpoints.contains_key(to) {
                return Ok(());
            }
            return Err(NetworkError::refused(RefusalKind::NotFound, format!("{from} has no address")));
        }
        if self.endpoints.contains_key(to) {
            self.leave(to)?;
        }
        self.endpoint_files.rename(from, to)?;
        if let Some(endpoint) = self.endpoints.remove(from) {
            let address = endpoint.address;
            self.endpoints.insert(to.to_owned(), endpoint);
            self.lead_ports_to(to, Some(address))?;
        }
        Ok(())
    }
}

/// Brings loopback up in the namespace where `socket` was opened.
pub(super) fn bring_loopback_up(socket: OwnedFd) -> Result<(), NetworkError> {
    let mut socket = inner(socket)?;
    let mut batch = Batch::new();
    link::bring_up(&mut batch, "lo");
    socket.exchange(batch, |_, _| {}).map_err(NetworkError::system("bring loopback up in a network namespace"))
}

fn set_up_inside(
    socket: OwnedFd,
    endpoint: &EndpointFile,
    prefix: u8,
    gateway: std::net::Ipv4Addr,
) -> Result<(), NetworkError> {
    let mut socket = inner(socket)?;
    let failed = || NetworkError::system(format!("set up {INSIDE} with {} in a network namespace", endpoint.address));
    let mut index = 0;
    let mut batch = Batch::new();
    link::bring_up(&mut batch, "lo");
    link::bring_up(&mut batch, INSIDE);
    link::get(&mut batch, INSIDE);
    socket
        .exchange(batch, |kind, payload| index = link::parse(kind, payload).map_or(index, |link| link.index))
        .map_err(failed())?;
    let mut batch = Batch::new();
    address::add(&mut batch, address::Address { index, address: endpoint.address, prefix });
    route::add_default(&mut batch, gateway, index);
    socket.exchange(batch, |_, _| {}).map_err(failed())
}

fn inner(socket: OwnedFd) -> Result<Socket, NetworkError> {
    Socket::from_descriptor(socket).map_err(NetworkError::system("use the socket of a network namespace"))
}

/// Digits and small letters.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// The number that [`base36`] wrote.
pub(super) fn parse_base36(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 36).ok()
}

#[cfg(test)]
mod tests {
    use super::{base36, parse_base36};

    #[test]
    fn numbers_links_with_few_letters() {
        for (number, text) in [(0, "0"), (35, "z"), (36, "10"), (1_679_615, "zzzz")] {
            assert_eq!((base36(number).as_str(), parse_base36(text)), (text, Some(number)));
        }
    }
}
