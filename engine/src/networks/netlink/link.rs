//! Interfaces: bridges, veth pairs, and what is there. Spec: rtnetlink(7), `if_link.h`, `veth.h`.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{ACK, Attributes, Batch, CREATE, DUMP, EXCLUSIVE, native_u32};
use super::{attribute_text, attribute_u32};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
/// Bytes of `struct ifinfomsg`.
const HEADER: usize = 16;

const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const ALIAS: u16 = 20;
const NAMESPACE_FD: u16 = 28;
const EXTENDED_MASK: u16 = 29;
const TX_QUEUES: u16 = 31;
const RX_QUEUES: u16 = 32;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const PORT_HAIRPIN: u16 = 4;
const PORT_LEARNING: u16 = 8;
const PORT_UNICAST_FLOOD: u16 = 9;
const PORT_MULTICAST_FLOOD: u16 = 27;
const PORT_BROADCAST_FLOOD: u16 = 30;
const OPERATIONAL_STATE: u16 = 16;
/// RFC 2863's word for an interface that carries packets.
const OPERATIONAL: u8 = 6;
const VETH_PEER: u16 = 1;
const BRIDGE_MULTICAST_SNOOPING: u16 = 23;
/// Leaves counters out of answers.
const SKIP_STATISTICS: u32 = 1 << 3;
const UP: u32 = 1;

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Largest packet.
    pub mtu: u32,
    /// Free text of whoever made it.
    pub alias: String,
    /// `bridge`, `veth`, …; empty for hardware.
    pub kind: String,
    /// It carries packets.
    pub operational: bool,
}

/// What a veth pair is made of: the host's end, up, on a bridge unless that is 0; the other one inside a namespace,
/// down, for the kernel refuses to bring it up before the pair is complete (ENOTCONN).
#[derive(Debug)]
pub struct VethPair<'a> {
    /// Name of the host's end.
    pub name: &'a str,
    /// Number of the bridge.
    pub bridge: u32,
    /// Name of the other end.
    pub peer: &'a str,
    /// Hardware address of the other end.
    pub peer_mac: [u8; 6],
    /// Namespace of the other end.
    pub namespace: BorrowedFd<'a>,
    /// Largest packet, both ends.
    pub mtu: u32,
}

/// Makes a bridge, down. Snooping is off: containers' multicast is small, its timers are not.
pub fn add_bridge(batch: &mut Batch, name: &str, mac: [u8; 6], mtu: u32) {
    batch.message(NEW_LINK, ACK | CREATE | EXCLUSIVE, &header(0, 0, 0));
    batch.text(NAME, name).attribute(ADDRESS, &mac).number(MTU, mtu).nest(LINK_INFO, |info| {
        info.text(INFO_KIND, "bridge").nest(INFO_DATA, |data| {
            data.attribute(BRIDGE_MULTICAST_SNOOPING, &[0]);
        });
    });
}

/// Makes a veth pair. One queue each: by default the kernel makes one for every processor.
pub fn add_veth(batch: &mut Batch, pair: &VethPair<'_>) {
    batch.message(NEW_LINK, ACK | CREATE | EXCLUSIVE, &header(0, UP, UP));
    batch.text(NAME, pair.name).number(MTU, pair.mtu).number(TX_QUEUES, 1).number(RX_QUEUES, 1);
    if pair.bridge != 0 {
        batch.number(MASTER, pair.bridge);
    }
    batch.nest(LINK_INFO, |info| {
        info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
            data.nest(VETH_PEER, |peer| {
                peer.raw(&header(0, 0, 0)).text(NAME, pair.peer).number(MTU, pair.mtu);
                peer.attribute(ADDRESS, &pair.peer_mac).number(TX_QUEUES, 1).number(RX_QUEUES, 1);
                peer.number(NAMESPACE_FD, pair.namespace.as_raw_fd().cast_unsigned());
            });
        });
    });
}

/// Lets a bridge send a packet back by the port it came in by. With br_netfilter a container's packet to its own
/// published port is translated while it is bridged, and would be dropped otherwise.
pub fn allow_hairpin(batch: &mut Batch, name: &str) {
    set_port(batch, name, &[(PORT_HAIRPIN, 1)]);
}

/// Makes a pair of ports of one bridge, connected with each other, on which nothing is ever sent: they keep the bridge's
/// carrier.
pub fn add_keeping_pair(batch: &mut Batch, names: [&str; 2], bridge: u32, mtu: u32) {
    batch.message(NEW_LINK, ACK | CREATE | EXCLUSIVE, &header(0, 0, 0));
    batch.text(NAME, names[0]).number(MTU, mtu).number(TX_QUEUES, 1).number(RX_QUEUES, 1).nest(LINK_INFO, |info| {
        info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
            data.nest(VETH_PEER, |peer| {
                peer.raw(&header(0, 0, 0)).text(NAME, names[1]).number(MTU, mtu);
                peer.number(TX_QUEUES, 1).number(RX_QUEUES, 1);
            });
        });
    });
    let silent = [PORT_LEARNING, PORT_UNICAST_FLOOD, PORT_MULTICAST_FLOOD, PORT_BROADCAST_FLOOD].map(|flag| (flag, 0));
    for name in names {
        batch.message(NEW_LINK, ACK, &header(0, 0, 0)).text(NAME, name).number(MASTER, bridge);
        set_port(batch, name, &silent);
    }
    for name in names {
        bring_up(batch, name);
    }
}

fn set_port(batch: &mut Batch, name: &str, flags: &[(u16, u8)]) {
    batch.message(NEW_LINK, ACK, &header(0, 0, 0)).text(NAME, name).nest(LINK_INFO, |info| {
        info.text(INFO_SLAVE_KIND, "bridge").nest(INFO_SLAVE_DATA, |data| {
            for (flag, value) in flags {
                data.attribute(*flag, &[*value]);
            }
        });
    });
}

/// Sets the free text.
pub fn set_alias(batch: &mut Batch, name: &str, alias: &str) {
    batch.message(NEW_LINK, ACK, &header(0, 0, 0)).text(NAME, name).attribute(ALIAS, alias.as_bytes());
}

/// Brings an interface up by its name.
pub fn bring_up(batch: &mut Batch, name: &str) {
    batch.message(NEW_LINK, ACK, &header(0, UP, UP)).text(NAME, name);
}

/// Removes an interface.
pub fn delete(batch: &mut Batch, name: &str) {
    batch.message(DELETE_LINK, ACK, &header(0, 0, 0)).text(NAME, name);
}

/// Asks for one interface.
pub fn get(batch: &mut Batch, name: &str) {
    batch.message(GET_LINK, ACK, &header(0, 0, 0)).text(NAME, name).number(EXTENDED_MASK, SKIP_STATISTICS);
}

/// Asks for all interfaces.
pub fn dump(batch: &mut Batch) {
    batch.message(GET_LINK, DUMP, &header(0, 0, 0)).number(EXTENDED_MASK, SKIP_STATISTICS);
}

/// Reads one interface out of an answer.
pub fn parse(kind: u16, payload: &[u8]) -> Option<Link> {
    if kind != NEW_LINK {
        return None;
    }
    let mut link = Link { index: native_u32(payload, 4)?, ..Link::default() };
    for (kind, value) in Attributes::after(payload, HEADER) {
        match kind {
            NAME => link.name = attribute_text(value),
            MTU => link.mtu = attribute_u32(value)?,
            OPERATIONAL_STATE => link.operational = value == [OPERATIONAL],
            ALIAS => link.alias = attribute_text(value),
            LINK_INFO => link.kind = Attributes::new(value).find(INFO_KIND).map(attribute_text).unwrap_or_default(),
            _ => {}
        }
    }
    Some(link)
}

/// `struct ifinfomsg`.
fn header(index: u32, flags: u32, change: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}
