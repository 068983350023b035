//! IPv4 routes. Spec: rtnetlink(7), `rtnetlink.h`.

use std::net::Ipv4Addr;

use super::attribute_u32;
use super::message::{ACK, Attributes, Batch, CREATE, DUMP, EXCLUSIVE};

const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
/// Bytes of `struct rtmsg`.
const HEADER: usize = 12;
const IPV4: u8 = 2;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_STATIC: u8 = 4;
const TYPE_UNICAST: u8 = 1;
const DESTINATION: u16 = 1;
const OUT_INTERFACE: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to; 0.0.0.0 with prefix 0 is the default route.
    pub destination: Ipv4Addr,
    /// Length of the destination's prefix.
    pub prefix: u8,
    /// Number of the interface, when it has one.
    pub interface: Option<u32>,
    /// Smaller is preferred.
    pub priority: u32,
}

/// Adds a default route by `gateway`, which must be on the link.
pub fn add_default(batch: &mut Batch, gateway: Ipv4Addr, interface: u32) {
    let header = [IPV4, 0, 0, 0, TABLE_MAIN, PROTOCOL_STATIC, 0, TYPE_UNICAST, 0, 0, 0, 0];
    batch.message(NEW_ROUTE, ACK | CREATE | EXCLUSIVE, &header);
    batch.attribute(GATEWAY, &gateway.octets()).number(OUT_INTERFACE, interface);
}

/// Asks for all IPv4 routes of all tables.
pub fn dump(batch: &mut Batch) {
    batch.message(GET_ROUTE, DUMP, &[IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Reads one route out of an answer.
pub fn parse(kind: u16, payload: &[u8]) -> Option<Route> {
    if kind != NEW_ROUTE || payload.first() != Some(&IPV4) {
        return None;
    }
    let attributes = Attributes::after(payload, HEADER);
    let octets: [u8; 4] = attributes.find(DESTINATION).map_or(Some([0; 4]), |value| value.try_into().ok())?;
    Some(Route {
        destination: octets.into(),
        prefix: *payload.get(1)?,
        interface: attributes.find(OUT_INTERFACE).and_then(attribute_u32),
        priority: attributes.find(PRIORITY).and_then(attribute_u32).unwrap_or(0),
    })
}
