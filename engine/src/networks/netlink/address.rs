//! IPv4 addresses of interfaces. Spec: rtnetlink(7), `if_addr.h`.

use std::net::Ipv4Addr;

use super::message::{ACK, Attributes, Batch, CREATE, DUMP, EXCLUSIVE, native_u32};

const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
/// Bytes of `struct ifaddrmsg`.
const HEADER: usize = 8;
const IPV4: u8 = 2;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Number of the interface.
    pub index: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its subnet's prefix.
    pub prefix: u8,
}

/// Adds an address.
pub fn add(batch: &mut Batch, address: Address) {
    let mut header = [IPV4, address.prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&address.index.to_ne_bytes());
    let octets = address.address.octets();
    batch.message(NEW_ADDRESS, ACK | CREATE | EXCLUSIVE, &header);
    batch.attribute(LOCAL, &octets).attribute(ADDRESS, &octets);
}

/// Asks for all IPv4 addresses.
pub fn dump(batch: &mut Batch) {
    batch.message(GET_ADDRESS, DUMP, &[IPV4, 0, 0, 0, 0, 0, 0, 0]);
}

/// Reads one address out of an answer.
pub fn parse(kind: u16, payload: &[u8]) -> Option<Address> {
    if kind != NEW_ADDRESS || payload.first() != Some(&IPV4) {
        return None;
    }
    let attributes = Attributes::after(payload, HEADER);
    let octets: [u8; 4] = attributes.find(LOCAL).or_else(|| attributes.find(ADDRESS))?.try_into().ok()?;
    Some(Address { index: native_u32(payload, 4)?, address: octets.into(), prefix: *payload.get(1)? })
}
