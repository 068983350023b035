//! What a rule consists of: expressions that load, compare, look up, translate and decide, in order.
//!
//! Registers are the kernel's: 16 bytes each at 1 to 4, or 4 bytes each from 8 on (8 to 11 overlap 1).

use crate::networks::netlink::Batch;

/// What `meta` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaKey {
    /// Name of the interface it came in by, 16 bytes.
    InName = 6,
    /// Name of the interface it goes out by, 16 bytes.
    OutName = 7,
    /// Protocol above IP, 1 byte.
    Protocol = 16,
}

/// What `payload` loads of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// IPv4 source address, so many of its first bytes.
    Source(u32),
    /// IPv4 destination address, so many of its first bytes.
    Destination(u32),
    /// Destination port of TCP or UDP.
    DestinationPort,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Dropped.
    Drop = 0,
    /// Goes on to the next base chain.
    Accept = 1,
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression<'a> {
    /// Loads a property of the packet.
    Meta { key: MetaKey, register: u32 },
    /// Loads bytes of the packet.
    Payload { field: Field, register: u32 },
    /// Goes on only if the register begins with the value.
    Equal { register: u32, value: &'a [u8] },
    /// Goes on only if the register's 4 bytes, masked, are (not) zero.
    Masked { register: u32, mask: u32, zero: bool },
    /// Keeps only the bits of the mask in the register's 4 bytes, as they lie in memory.
    Mask { register: u32, mask: [u8; 4] },
    /// Goes on only if the set has (not) what begins at the register.
    InSet { set: &'a str, register: u32, inverted: bool },
    /// Goes on only if the map has the key; loads its value.
    Map { map: &'a str, register: u32, into: u32 },
    /// Loads the kind of the destination address (2: one of this host's own).
    DestinationKind { register: u32 },
    /// Loads the interface by which the source would be reached, 0 if not by the one it came in by.
    SourceInterface { register: u32 },
    /// Loads the connection's state bits.
    State { register: u32 },
    /// Loads the connection's status bits.
    Status { register: u32 },
    /// Leads the connection to another address and port.
    Redirect { address: u32, port: u32 },
    /// Gives the connection the address of the outgoing interface.
    Masquerade,
    /// Decides.
    Verdict(Verdict),
}

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const COMPARE_EQUAL: u32 = 0;
const COMPARE_NOT_EQUAL: u32 = 1;
const FIB_INTERFACE: u32 = 1;
const FIB_KIND: u32 = 3;
const FIB_BY_SOURCE: u32 = 1;
const FIB_BY_DESTINATION: u32 = 2;
const FIB_BY_INTERFACE: u32 = 8;
const CONNECTION_STATE: u32 = 0;
const CONNECTION_STATUS: u32 = 2;
const DESTINATION_TRANSLATION: u32 = 1;
const IPV4: u32 = 2;

impl Expression<'_> {
    /// Adds it to a rule's list.
    pub(super) fn encode(&self, list: &mut Batch) {
        match self {
            Self::Meta { key, register } => element(list, "meta", |data| {
                data.number_be(1, *register).number_be(2, *key as u32);
            }),
            Self::Payload { field, register } => {
                let (base, offset, length) = match field {
                    Field::Source(length) => (NETWORK_HEADER, 12, *length),
                    Field::Destination(length) => (NETWORK_HEADER, 16, *length),
                    Field::DestinationPort => (TRANSPORT_HEADER, 2, 2),
                };
                element(list, "payload", |data| {
                    data.number_be(1, *register).number_be(2, base).number_be(3, offset).number_be(4, length);
                });
            }
            Self::Equal { register, value } => compare(list, *register, COMPARE_EQUAL, value),
            Self::Mask { register, mask } => bitwise_and(list, *register, mask),
            Self::Masked { register, mask, zero } => {
                bitwise_and(list, *register, &mask.to_ne_bytes());
                compare(list, *register, if *zero { COMPARE_EQUAL } else { COMPARE_NOT_EQUAL }, &[0; 4]);
            }
            Self::InSet { set, register, inverted } => element(list, "lookup", |data| {
                data.text(1, set).number_be(2, *register);
                if *inverted {
                    data.number_be(5, 1);
                }
            }),
            Self::Map { map, register, into } => element(list, "lookup", |data| {
                data.text(1, map).number_be(2, *register).number_be(3, *into);
            }),
            Self::DestinationKind { register } => fib(list, *register, FIB_KIND, FIB_BY_DESTINATION),
            Self::SourceInterface { register } => fib(list, *register, FIB_INTERFACE, FIB_BY_SOURCE | FIB_BY_INTERFACE),
            Self::State { register } => connection(list, *register, CONNECTION_STATE),
            Self::Status { register } => connection(list, *register, CONNECTION_STATUS),
            Self::Redirect { address, port } => element(list, "nat", |data| {
                data.number_be(1, DESTINATION_TRANSLATION).number_be(2, IPV4).number_be(3, *address);
                data.number_be(5, *port);
            }),
            Self::Masquerade => element(list, "masq", |_| {}),
            Self::Verdict(verdict) => element(list, "immediate", |data| {
                data.number_be(1, 0).nest(2, |value| {
                    value.nest(VERDICT, |value| {
                        value.number_be(VERDICT_CODE, *verdict as u32);
                    });
                });
            }),
        }
    }
}

fn element(list: &mut Batch, name: &str, data: impl FnOnce(&mut Batch)) {
    list.nest(LIST_ELEMENT, |expression| {
        expression.text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data);
    });
}

fn compare(list: &mut Batch, register: u32, operation: u32, value: &[u8]) {
    element(list, "cmp", |data| {
        data.number_be(1, register).number_be(2, operation).nest(3, |wrapped| {
            wrapped.attribute(VALUE, value);
        });
    });
}

fn bitwise_and(list: &mut Batch, register: u32, mask: &[u8; 4]) {
    element(list, "bitwise", |data| {
        data.number_be(1, register).number_be(2, register).number_be(3, 4);
        data.nest(4, |value| {
            value.attribute(VALUE, mask);
        });
        data.nest(5, |value| {
            value.attribute(VALUE, &[0; 4]);
        });
    });
}

fn fib(list: &mut Batch, register: u32, result: u32, flags: u32) {
    element(list, "fib", |data| {
        data.number_be(1, register).number_be(2, result).number_be(3, flags);
    });
}

fn connection(list: &mut Batch, register: u32, key: u32) {
    element(list, "ct", |data| {
        data.number_be(1, register).number_be(2, key);
    });
}
