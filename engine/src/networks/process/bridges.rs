//! A team's bridges and the free addresses on them.
//!
//! A bridge holds 1,023 ports and its subnet 1,021 containers; a team with more gets further bridges, between which its
//! own containers may talk.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use sampan_runtime::wire::RefusalKind;
use sampan_runtime::wire::spawner::Endpoint;

use super::host_lock::HostLock;
use super::networks::Networks;
use super::subnets::Subnet;
use crate::networks::NetworkError;
use crate::networks::netlink::{Batch, address, link, route};
use crate::networks::resolvers::Resolvers;

/// The kernel sees a carrier at once; this only bounds the wait.
const CARRIER_PATIENCE: Duration = Duration::from_millis(500);
/// Without a default route.
const USUAL_MTU: u32 = 1500;

/// One bridge.
#[derive(Debug)]
pub(super) struct Bridge {
    /// Its interface, `spn<instance><number>`.
    pub(super) name: String,
    /// Number of the interface.
    pub(super) index: u32,
    /// Key of its team.
    pub(super) team: String,
    /// Its subnet; the gateway is the first address.
    pub(super) subnet: Subnet,
    /// Largest packet.
    pub(super) mtu: u32,
    /// Which addresses are in use, by their number in the subnet.
    taken: Vec<bool>,
    /// Where the search goes on: an address is used again as late as possible, since neighbours remember it.
    next: u32,
}

impl Bridge {
    /// A bridge without endpoints.
    pub(super) fn new(name: String, index: u32, team: String, subnet: Subnet, mtu: u32) -> Self {
        let size = subnet.size();
        let mut taken = vec![false; size as usize + 1];
        for place in [0, 1, size] {
            taken[place as usize] = true;
        }
        Self { name, index, team, subnet, mtu, taken, next: 2 }
    }

    /// The host's address on it.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        self.subnet.address(1)
    }

    /// How many addresses are in use, gateway and ends not counted.
    pub(super) fn endpoints(&self) -> usize {
        self.taken.iter().filter(|taken| **taken).count() - 3
    }

    /// Takes a free address, if there is one and fewer than `most` are in use.
    pub(super) fn take(&mut self, most: usize) -> Option<Ipv4Addr> {
        if self.endpoints() >= most {
            return None;
        }
        let size = self.subnet.size();
        let place = (self.next..size).chain(2..self.next).find(|place| !self.taken[*place as usize])?;
        self.taken[place as usize] = true;
        self.next = place + 1;
        Some(self.subnet.address(place))
    }

    /// Marks an address as in use or free.
    pub(super) fn mark(&mut self, address: Ipv4Addr, taken: bool) {
        let place = self.subnet.place(address);
        if (2..self.subnet.size()).contains(&place) {
            self.taken[place as usize] = taken;
        }
    }

    /// What the wire says of an endpoint with this address, and with this hardware address if one was asked for.
    pub(super) fn describe(&self, address: Ipv4Addr, mac: Option<[u8; 6]>) -> Endpoint {
        let [a, b, c, d, e, f] = mac.unwrap_or_else(|| mac_of(address));
        Endpoint {
            address,
            prefix: self.subnet.prefix(),
            gateway: self.gateway(),
            mac: format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
        }
    }
}

/// A hardware address that goes with an IPv4 address, so that neighbours' tables stay right when it is used again.
pub(super) fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x53, a, b, c, d]
}

impl Networks {
    /// A free address on a bridge of the team, made if need be.
    pub(super) fn take_address(&mut self, team: &str) -> Result<(usize, Ipv4Addr), NetworkError> {
        if let Some(found) = self.take_on_bridges(team) {
            return Ok(found);
        }
        if self.bridges.iter().any(|bridge| bridge.team == team) {
            // Namespaces may have ended without a word.
            self.forget_ended()?;
            if let Some(found) = self.take_on_bridges(team) {
                return Ok(found);
            }
        }
        self.make_bridge(team)?;
        self.take_on_bridges(team)
            .ok_or_else(|| NetworkError::refused(RefusalKind::Internal, format!("the new bridge of {team} is full")))
    }

    fn take_on_bridges(&mut self, team: &str) -> Option<(usize, Ipv4Addr)> {
        let most = self.arguments.most_endpoints;
        let of_team = self.bridges.iter_mut().enumerate().filter(|(_, bridge)| bridge.team == team);
        of_team.into_iter().find_map(|(place, bridge)| Some((place, bridge.take(most)?)))
    }

    /// Gives an address back.
    pub(super) fn free_address(&mut self, bridge: &str, address: Ipv4Addr) {
        if let Some(bridge) = self.bridges.iter_mut().find(|candidate| candidate.name == bridge) {
            bridge.mark(address, false);
        }
    }

    /// Makes one more bridge for the team: link, address, kernel parameters, then its place in the table.
    fn make_bridge(&mut self, team: &str) -> Result<(), NetworkError> {
        let _lock = HostLock::take()?;
        let host = self.look_at_host()?;
        let subnet = Subnet::first_free(&self.arguments.pools, &host.taken).ok_or_else(|| {
            let message = "no subnet is free for another bridge; give more with --pools".to_owned();
            NetworkError::refused(RefusalKind::Exhausted, message)
        })?;
        let prefix = self.link_prefix();
        let name = (0..u32::MAX)
            .map(|number| format!("{prefix}{number}"))
            .find(|name| !host.links.iter().any(|link| link.name == *name))
            .unwrap_or_default();
        let made = self.set_up_bridge(&name, team, subnet, host.mtu);
        if made.is_err() {
            self.delete_bridge(&name)?;
        }
        made
    }

    fn set_up_bridge(&mut self, name: &str, team: &str, subnet: Subnet, mtu: u32) -> Result<(), NetworkError> {
        let failed = |what: &str| NetworkError::system(format!("{what} the bridge {name}"));
        let gateway = subnet.address(1);
        let mut batch = Batch::new();
        link::add_bridge(&mut batch, name, mac_of(gateway), mtu);
        link::set_alias(&mut batch, name, &alias(&self.arguments.instance, team));
        link::get(&mut batch, name);
        let mut index = 0;
        self.route
            .exchange(batch, |kind, payload| index = link::parse(kind, payload).map_or(index, |link| link.index))
            .map_err(failed("make"))?;
        super::forwarding::prepare_bridge(name)?;
        self.keep_carrier(name, index, mtu)?;
        let mut batch = Batch::new();
        address::add(&mut batch, address::Address { index, address: gateway, prefix: subnet.prefix() });
        link::bring_up(&mut batch, name);
        self.route.exchange(batch, |_, _| {}).map_err(failed("bring up"))?;
        self.bridges.push(Bridge::new(name.to_owned(), index, team.to_owned(), subnet, mtu));
        let opened = self.open_forwarding().and_then(|()| self.add_bridge_to_table());
        if opened.is_err() {
            self.bridges.pop();
        }
        opened
    }

    /// Gives a bridge two ports that stay. A bridge without a port has no carrier, and when it gets it back the kernel
    /// may take up to a second until it sends again (`linkwatch`): the first packets of a container would be lost.
    pub(super) fn keep_carrier(&mut self, name: &str, index: u32, mtu: u32) -> Result<(), NetworkError> {
        let failed = || NetworkError::system(format!("keep the carrier of the bridge {name}"));
        let [one, other] = keeping_pair(name, &self.link_prefix());
        let mut batch = Batch::new();
        link::add_keeping_pair(&mut batch, [&one, &other], index, mtu);
        self.route.exchange(batch, |_, _| {}).map_err(failed())?;
        // The bridge takes a port in when it is brought up itself, if the port carries by then.
        let deadline = Instant::now() + CARRIER_PATIENCE;
        for link in [one, other] {
            let mut operational = false;
            while !operational && Instant::now() < deadline {
                let mut batch = Batch::new();
                link::get(&mut batch, &link);
                self.route
                    .exchange(batch, |kind, payload| {
                        operational |= link::parse(kind, payload).is_some_and(|link| link.operational);
                    })
                    .map_err(failed())?;
                if !operational {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        Ok(())
    }

    /// Deletes a bridge and the ports that keep its carrier.
    pub(super) fn delete_bridge(&mut self, name: &str) -> Result<(), NetworkError> {
        let [one, _] = keeping_pair(name, &self.link_prefix());
        let pair = self.delete_link(&one);
        self.delete_link(name)?;
        pair
    }

    /// Removes the bridges of a team without endpoints.
    pub(super) fn remove_team(&mut self, team: &str) -> Result<(), NetworkError> {
        if self.endpoints.values().any(|endpoint| endpoint.team == team) {
            let message = format!("containers of team {team} are still on its network");
            return Err(NetworkError::refused(RefusalKind::Conflict, message));
        }
        let names: Vec<String> =
            self.bridges.iter().filter(|bridge| bridge.team == team).map(|bridge| bridge.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.leaving.retain(|leaving| leaving.endpoint.team != team);
        self.bridges.retain(|bridge| bridge.team != team);
        self.load_table()?;
        names.iter().try_for_each(|name| self.delete_bridge(name))
    }

    /// Deletes a link, if it is there.
    pub(super) fn delete_link(&mut self, name: &str) -> Result<(), NetworkError> {
        let mut batch = Batch::new();
        link::delete(&mut batch, name);
        match self.route.exchange(batch, |_, _| {}) {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                Err(NetworkError::system(format!("delete the link {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Links, subnets in use, and the packet size towards the outside.
    pub(super) fn look_at_host(&mut self) -> Result<Host, NetworkError> {
        let failed = NetworkError::system;
        let mut links = Vec::new();
        let mut batch = Batch::new();
        link::dump(&mut batch);
        self.route
            .exchange(batch, |kind, payload| links.extend(link::parse(kind, payload)))
            .map_err(failed("list links"))?;
        let mut addresses = Vec::new();
        let mut batch = Batch::new();
        address::dump(&mut batch);
        self.route
            .exchange(batch, |kind, payload| addresses.extend(address::parse(kind, payload)))
            .map_err(failed("list addresses"))?;
        let mut routes = Vec::new();
        let mut batch = Batch::new();
        route::dump(&mut batch);
        self.route
            .exchange(batch, |kind, payload| routes.extend(route::parse(kind, payload)))
            .map_err(failed("list routes"))?;

        let mut taken: Vec<Subnet> =
            addresses.iter().map(|address| Subnet::of(address.address, address.prefix)).collect();
        taken.extend(
            routes.iter().filter(|route| route.prefix > 0).map(|route| Subnet::of(route.destination, route.prefix)),
        );
        // A resolver behind the default route must stay reachable too.
        let resolvers = Resolvers::of_host().map_err(failed("read /etc/resolv.conf"))?;
        taken.extend(resolvers.servers.iter().map(|server| Subnet::of(*server, 32)));
        let outside = routes.iter().filter(|route| route.prefix == 0).min_by_key(|route| route.priority);
        let mtu = outside
            .and_then(|route| links.iter().find(|link| Some(link.index) == route.interface))
            .map_or(USUAL_MTU, |link| link.mtu.clamp(576, 65_535));
        Ok(Host { links, addresses, taken, mtu })
    }
}

/// The host as it is now.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) links: Vec<link::Link>,
    pub(super) addresses: Vec<address::Address>,
    /// Subnets that a bridge must not overlap.
    pub(super) taken: Vec<Subnet>,
    /// Of the link of the default route.
    pub(super) mtu: u32,
}

/// Names of the two ports that keep a bridge's carrier.
pub(super) fn keeping_pair(bridge: &str, prefix: &str) -> [String; 2] {
    let number = bridge.strip_prefix(prefix).unwrap_or_default();
    [format!("{prefix}k{number}"), format!("{prefix}l{number}")]
}

/// What a bridge's alias says.
pub(super) fn alias(instance: &str, team: &str) -> String {
    format!("sampan {instance} {team}")
}

#[cfg(test)]
mod tests {
    use super::super::subnets::Subnet;
    use super::Bridge;

    const MOST: usize = 1000;

    #[test]
    fn gives_out_an_address_again_as_late_as_possible() {
        let subnet = Subnet::of([10, 9, 0, 0].into(), 22);
        let mut bridge = Bridge::new("b0".into(), 1, "t".into(), subnet, 1500);
        let first = bridge.take(MOST).expect("an address");
        assert_eq!(first.to_string(), "10.9.0.2");
        bridge.mark(first, false);
        assert_eq!(bridge.take(MOST), Some(subnet.address(3)));
        let rest: Vec<_> = std::iter::from_fn(|| bridge.take(MOST)).collect();
        assert_eq!((rest.len(), bridge.endpoints()), (MOST - 1, MOST));
        bridge.mark(subnet.address(200), false);
        assert_eq!(bridge.take(MOST), Some(subnet.address(1003)), "not the one that was just given back");
    }

    #[test]
    fn describes_an_endpoint() {
        let bridge = Bridge::new("b0".into(), 1, "t".into(), Subnet::of([10, 9, 0, 0].into(), 22), 1500);
        let endpoint = bridge.describe([10, 9, 1, 200].into(), None);
        assert_eq!((endpoint.gateway.to_string().as_str(), endpoint.mac.as_str()), ("10.9.0.1", "02:53:0a:09:01:c8"));
    }
}
