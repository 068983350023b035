//! Words with `net`: bridges, addresses, published ports.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::Refusal;
use super::spawner::Endpoint;

/// Requests to net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// First message of every connection. Answer: `welcome`.
    Hello {
        /// [`super::VERSION`] of the caller.
        version: u32,
    },
    /// From spawner: puts a new network namespace on the team's bridge (made if need be): veth, address, route,
    /// loopback up. Descriptors: the network namespace, a NETLINK_ROUTE socket opened inside it.
    /// Answer: `attached`.
    Attach {
        /// Container (or cradle) id: the address is kept under it.
        id: String,
        /// Key of the team.
        team: String,
        /// Its hardware address; none: one that follows from the address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<[u8; 6]>,
    },
    /// From spawner: brings loopback up in a namespace without a bridge (same descriptors).
    Loopback,
    /// Gives a cradle's address to the container that took the cradle.
    Rename {
        /// Old id.
        from: String,
        /// New id.
        to: String,
    },
    /// Lets go of address, veth (already gone with its namespace, or deleted in the background) and ports.
    Detach {
        /// Container id.
        id: String,
    },
    /// Publishes ports: all or none. Answer: `published`. Replaces what was published for this id, and what both sets
    /// have in common stays reserved in between. May come before the container has an address: the ports are then
    /// taken at once and lead to it as soon as `attach` or `rename` gave this id its address.
    Publish {
        /// Container id.
        id: String,
        /// Its address as `attach` answered, checked again; 0.0.0.0: the one it has or gets.
        address: Ipv4Addr,
        /// What to publish.
        ports: Vec<Port>,
    },
    /// Takes the container's ports back.
    Unpublish {
        /// Container id.
        id: String,
    },
    /// What is known, for adoption and leak checks, in pages sorted by id. Answer: `state`.
    State {
        /// The last id of the page before; empty for the first page.
        #[serde(default)]
        after: String,
    },
    /// Removes the bridges of a team, which must have no endpoint (conflict).
    RemoveTeam {
        /// Key of the team.
        team: String,
    },
    /// Removes bridges, table and rules of this instance.
    Purge,
}

/// One published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Port {
    /// Host address; 0.0.0.0 is all.
    pub host_address: Ipv4Addr,
    /// Host port; 0 in a request lets net choose from 49153 up.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// Protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Answers of net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// To `hello`.
    Welcome {
        /// [`super::VERSION`] of net.
        version: u32,
    },
    /// Done.
    Done,
    /// To `attach`.
    Attached(Endpoint),
    /// To `publish`, host ports filled in, in the order asked.
    Published {
        /// The ports.
        ports: Vec<Port>,
    },
    /// To `state`.
    State {
        /// Endpoints by id.
        endpoints: Vec<(String, Endpoint)>,
        /// Ports by id.
        ports: Vec<(String, Vec<Port>)>,
        /// Bridges by team: key, interface, gateway, prefix. On the first page only.
        bridges: Vec<(String, String, Ipv4Addr, u8)>,
        /// The last id of this page when another one follows.
        #[serde(default)]
        next: Option<String>,
    },
    /// Not done.
    Refused(Refusal),
}
