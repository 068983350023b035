//! The start: what the kernel and the files say, compared; and the end of it all.

use std::collections::HashMap;
use std::time::Instant;

use super::arguments::Arguments;
use super::attach::parse_base36;
use super::bridges::{Bridge, Host, alias, keeping_pair};
use super::files::{EndpointFile, Folder, PortsFile};
use super::keeper::Keeper;
use super::networks::{Networks, Published};
use super::publish::FIRST_CHOSEN;
use super::reservations::reserve;
use super::subnets::Subnet;
use crate::networks::NetworkError;
use crate::networks::netlink::Socket;
use crate::networks::netlink::link::Link;

impl Networks {
    /// Takes over what an earlier `net` left, or begins with nothing.
    pub(super) fn adopt(arguments: Arguments) -> Result<Self, NetworkError> {
        let root = arguments.state_root.join("net");
        let keeper =
            Keeper::join(arguments.keeper, &arguments.state_root).map_err(NetworkError::system("join keeper"))?;
        let mut networks = Self {
            route: Socket::route().map_err(NetworkError::system("open a netlink socket"))?,
            filter: Socket::netfilter(0).map_err(NetworkError::system("open a netfilter socket"))?,
            endpoint_files: Folder::open(&root, "endpoints")?,
            port_files: Folder::open(&root, "ports")?,
            host_files: Folder::open(&root, "host")?,
            keeper,
            bridges: Vec::new(),
            endpoints: Default::default(),
            leaving: Vec::new(),
            published: Default::default(),
            closed: Vec::new(),
            next_link: 0,
            next_port: FIRST_CHOSEN,
            next_check: Instant::now(),
            arguments,
        };
        networks.recall_forwarding()?;
        let host = networks.look_at_host()?;
        networks.adopt_bridges(&host)?;
        networks.adopt_endpoints(&host)?;
        networks.adopt_ports()?;
        networks.load_table()?;
        if !networks.bridges.is_empty() {
            networks.open_forwarding()?;
        }
        networks.open_foreign_chains()?;
        Ok(networks)
    }

    /// A bridge counts when it has our alias and an address; one that was left half made goes.
    fn adopt_bridges(&mut self, host: &Host) -> Result<(), NetworkError> {
        let prefix = self.link_prefix();
        let ours = |name: &str| {
            name.strip_prefix(&prefix)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        for link in host.links.iter().filter(|link| link.kind == "bridge" && ours(&link.name)) {
            let team = link.alias.strip_prefix(&alias(&self.arguments.instance, "")).unwrap_or_default();
            let address = host.addresses.iter().find(|address| address.index == link.index);
            match address.filter(|_| !team.is_empty()) {
                Some(address) => {
                    let subnet = Subnet::of(address.address, address.prefix);
                    super::forwarding::prepare_bridge(&link.name)?;
                    let [pair, _] = keeping_pair(&link.name, &prefix);
                    if !host.links.iter().any(|link| link.name == pair) {
                        self.keep_carrier(&link.name, link.index, link.mtu)?;
                    }
                    self.bridges.push(Bridge::new(link.name.clone(), link.index, team.to_owned(), subnet, link.mtu));
                }
                None => self.delete_bridge(&link.name)?,
            }
        }
        Ok(())
    }

    /// An endpoint counts when it has a file, a link and a bridge; the others go.
    fn adopt_endpoints(&mut self, host: &Host) -> Result<(), NetworkError> {
        let prefix = format!("{}v", self.link_prefix());
        let mut links: HashMap<&str, bool> = host
            .links
            .iter()
            .filter(|link| link.name.starts_with(&prefix))
            .map(|link| (link.name.as_str(), false))
            .collect();
        self.next_link =
            links.keys().filter_map(|name| parse_base36(&name[prefix.len()..])).max().map_or(0, |last| last + 1);
        for (id, endpoint) in self.endpoint_files.read::<EndpointFile>()? {
            let bridge = self.bridges.iter_mut().find(|bridge| bridge.name == endpoint.bridge);
            match (bridge, links.get_mut(endpoint.link.as_str())) {
                (Some(bridge), Some(used)) => {
                    *used = true;
                    bridge.mark(endpoint.address, true);
                    self.endpoints.insert(id, endpoint);
                }
                _ => self.endpoint_files.remove(&id)?,
            }
        }
        let unused: Vec<String> =
            links.iter().filter(|(_, used)| !**used).map(|(name, _)| (*name).to_owned()).collect();
        unused.iter().try_for_each(|name| self.delete_link(name))
    }

    /// Published ports hold on; their sockets come from keeper, else they are made anew.
    fn adopt_ports(&mut self) -> Result<(), NetworkError> {
        for (id, file) in self.port_files.read::<PortsFile>()? {
            let kept = match &self.keeper {
                Some(keeper) => keeper.kept(&id).map_err(NetworkError::system("ask keeper for reserved ports"))?,
                None => Vec::new(),
            };
            let complete = kept.len() == file.ports.len();
            let sockets = if complete {
                kept.into_iter().map(Some).collect()
            } else {
                let again = |port| match reserve(port) {
                    Ok(socket) => Some(socket),
                    Err(error) => {
                        eprintln!("net: port {} is no longer reserved: {error}", port.host_port);
                        None
                    }
                };
                drop(kept);
                if let Some(keeper) = &self.keeper {
                    keeper.forget(&id).map_err(NetworkError::system("ask keeper for reserved ports"))?;
                }
                file.ports.iter().map(again).collect()
            };
            let address = self.endpoints.get(&id).map(|endpoint| endpoint.address);
            self.published.insert(id.clone(), Published { ports: file.ports, sockets, address });
            if !complete {
                self.keep_reservations(&id);
            }
        }
        Ok(())
    }

    /// Removes everything of this instance; goes on after an error and answers the first one.
    pub(super) fn purge(&mut self) -> Result<(), NetworkError> {
        let published: Vec<String> = self.published.keys().cloned().collect();
        let mut results: Vec<Result<(), NetworkError>> = published.iter().map(|id| self.unpublish(id)).collect();
        let prefix = self.link_prefix();
        let alias = alias(&self.arguments.instance, "");
        match self.look_at_host() {
            Ok(host) => {
                let ours = |link: &&Link| link.kind == "veth" && link.name.starts_with(&format!("{prefix}v"));
                results.extend(host.links.iter().filter(ours).map(|link| self.delete_link(&link.name)));
                let ours = |link: &&Link| link.alias.starts_with(&alias);
                results.extend(host.links.iter().filter(ours).map(|link| self.delete_bridge(&link.name)));
            }
            Err(error) => results.push(Err(error)),
        }
        self.bridges.clear();
        self.leaving.clear();
        self.endpoints.clear();
        results.push(self.close_foreign_chains());
        results.push(self.close_forwarding());
        results.push(self.remove_table());
        for folder in [&self.endpoint_files, &self.port_files, &self.host_files] {
            results.push(folder.empty());
        }
        results.into_iter().collect()
    }
}
