//! Our table: `ip sampan-<instance>`, one per instance.
//!
//! ```text
//! set bridges   { in or out interface name }            our bridges
//! set pairs     { in name . out name }                  bridges of one team, each with itself and with the others
//! set homes     { bridge name . subnet }                who lives where
//! set doors     { port }                                Sampan's own
//! set closed    { name }                                see forwarding.rs
//! map ports     { host address . protocol . port : container address . port }
//! map ports_any { protocol . port : container address . port }
//!
//! raw (prerouting -300)     from a bridge: to 127.0.0.0/8, or from a source that does not live behind this bridge: drop
//! dnat, dnat_output (-100)  to an address of this host: translated by ports, then ports_any
//! input (0)                 from a bridge to one of our doors: drop
//! forward (0)               closed to closed: drop; established: accept; pairs: accept; to a bridge: accept what was
//!                           translated, drop the rest
//! masquerade (100)          translated and back to where it came from (homes), or from 127.0.0.0/8 to a bridge:
//!                           masquerade, so that the answer comes back through here; within pairs: as it is; from a
//!                           bridge: masquerade
//! ```
//!
//! With br_netfilter a packet that is translated back into its own bridge is bridged, not routed, and has no incoming
//! interface in `masquerade`: hence `homes`.
//!
//! It is loaded whole in one transaction, at the start and when bridges change; ports come and go as single elements.

use super::bridges::Bridge;
use super::networks::{Networks, Published};
use super::subnets::BRIDGE_PREFIX;
use crate::networks::NetworkError;
use crate::networks::nftables::{Chain, Expression as E, Family, Field, Hook, MetaKey, Set, Transaction, Verdict};
use sampan_runtime::wire::net::{Port, Protocol};

const FAMILY: Family = Family::Ipv4;
/// nft(8)'s numbers of types.
const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_SERVICE: u32 = 13;
const TYPE_NAME: u32 = 41;
/// A type in a concatenation takes 6 bits.
const fn with(first: u32, second: u32) -> u32 {
    first << 6 | second
}
/// Bytes of an interface's name in a register.
const NAME_BYTES: usize = 16;

const BRIDGES: Set = Set { name: "bridges", key: (TYPE_NAME, 16), value: None };
const PAIRS: Set = Set { name: "pairs", key: (with(TYPE_NAME, TYPE_NAME), 32), value: None };
const HOMES: Set = Set { name: "homes", key: (with(TYPE_NAME, TYPE_ADDRESS), 20), value: None };
const DOORS: Set = Set { name: "doors", key: (TYPE_SERVICE, 2), value: None };
const CLOSED: Set = Set { name: "closed", key: (TYPE_NAME, 16), value: None };
const TARGET: Option<(u32, u32)> = Some((with(TYPE_ADDRESS, TYPE_SERVICE), 8));
const PORTS: Set =
    Set { name: "ports", key: (with(with(TYPE_ADDRESS, TYPE_PROTOCOL), TYPE_SERVICE), 12), value: TARGET };
const PORTS_ANY: Set = Set { name: "ports_any", key: (with(TYPE_PROTOCOL, TYPE_SERVICE), 8), value: TARGET };
const SETS: [Set; 7] = [BRIDGES, PAIRS, HOMES, DOORS, CLOSED, PORTS, PORTS_ANY];

const fn chain(name: &'static str, kind: &'static str, number: u32, priority: i32) -> Chain {
    Chain { name, hook: Hook { number, priority, kind } }
}
const RAW: Chain = chain("raw", "filter", 0, -300);
const DNAT: Chain = chain("dnat", "nat", 0, -100);
const DNAT_OUTPUT: Chain = chain("dnat_output", "nat", 3, -100);
const INPUT: Chain = chain("input", "filter", 1, 0);
const FORWARD: Chain = chain("forward", "filter", 2, 0);
const MASQUERADE: Chain = chain("masquerade", "nat", 4, 100);
const CHAINS: [Chain; 6] = [RAW, DNAT, DNAT_OUTPUT, INPUT, FORWARD, MASQUERADE];

/// First registers of 16 bytes, and of 4 bytes.
const WIDE: u32 = 1;
const WIDE_2: u32 = 2;
const R0: u32 = 8;
const R1: u32 = 9;
const R2: u32 = 10;
/// The 4 bytes right behind the first wide one.
const R4: u32 = 12;
/// What bridges' subnets have in common.
const SUBNET_MASK: [u8; 4] = (u32::MAX << (32 - BRIDGE_PREFIX)).to_be_bytes();
/// Connection states: established, related.
const ESTABLISHED: u32 = 2 | 4;
/// Connection status: the destination was translated.
const TRANSLATED: u32 = 32;
/// Kind of an address: one of this host's own.
const LOCAL: [u8; 4] = 2_u32.to_ne_bytes();
const TCP: u8 = 6;
const UDP: u8 = 17;
const LOOPBACK_NET: &[u8] = &[127];

const IN_NAME: E<'_> = E::Meta { key: MetaKey::InName, register: WIDE };
const OUT_NAME: E<'_> = E::Meta { key: MetaKey::OutName, register: WIDE };
const OUT_NAME_2: E<'_> = E::Meta { key: MetaKey::OutName, register: WIDE_2 };
const DROP: E<'_> = E::Verdict(Verdict::Drop);
const ACCEPT: E<'_> = E::Verdict(Verdict::Accept);

const fn in_set(set: &Set) -> E<'static> {
    E::InSet { set: set.name, register: WIDE, inverted: false }
}

impl Networks {
    /// Loads the whole table anew: nothing of it is missing at any instant.
    pub(super) fn load_table(&mut self) -> Result<(), NetworkError> {
        let table = self.table();
        let mut transaction = Transaction::new();
        transaction.table(FAMILY, &table);
        for (set, id) in SETS.iter().zip(1..) {
            transaction.empty_set(FAMILY, &table, set, id);
        }
        for chain in &CHAINS {
            transaction.empty_chain(FAMILY, &table, chain);
        }
        self.add_elements(&mut transaction, &table);
        for (chain, comment, rule) in rules() {
            transaction.rule(FAMILY, &table, chain.name, comment, &rule);
        }
        transaction.commit(&mut self.filter).map_err(NetworkError::system(format!("load the nftables table {table}")))
    }

    fn add_elements(&self, transaction: &mut Transaction, table: &str) {
        let names = |names: Vec<&str>| names.into_iter().map(|name| (padded(name), None)).collect::<Vec<_>>();
        let bridges = names(self.bridges.iter().map(|bridge| bridge.name.as_str()).collect());
        transaction.add(FAMILY, table, BRIDGES.name, &bridges);
        transaction.add(FAMILY, table, CLOSED.name, &names(self.closed.iter().map(String::as_str).collect()));
        let home = |bridge: &Bridge| [&padded(&bridge.name)[..], &bridge.subnet.address(0).octets()].concat();
        let homes: Vec<_> = self.bridges.iter().map(|bridge| (home(bridge), None)).collect();
        transaction.add(FAMILY, table, HOMES.name, &homes);
        let mut pairs = Vec::new();
        for one in &self.bridges {
            for other in self.bridges.iter().filter(|other| other.team == one.team) {
                pairs.push(([padded(&one.name), padded(&other.name)].concat(), None));
            }
        }
        transaction.add(FAMILY, table, PAIRS.name, &pairs);
        let mut doors: Vec<_> = self.arguments.doors.iter().map(std::net::SocketAddr::port).collect();
        doors.sort_unstable();
        doors.dedup();
        let doors: Vec<_> = doors.into_iter().map(|port| (port.to_be_bytes().to_vec(), None)).collect();
        transaction.add(FAMILY, table, DOORS.name, &doors);
        for published in self.published.values() {
            add_ports(transaction, table, published);
        }
    }

    /// A new bridge takes its place.
    pub(super) fn add_bridge_to_table(&mut self) -> Result<(), NetworkError> {
        self.load_table()?;
        self.open_foreign_chains()
    }

    /// Changes ports from one set to another in one transaction.
    pub(super) fn change_ports(
        &mut self,
        old: Option<&Published>,
        new: Option<&Published>,
    ) -> Result<(), NetworkError> {
        let table = self.table();
        let mut transaction = Transaction::new();
        if let Some(old) = old.filter(|old| old.address.is_some()) {
            for set in [&PORTS, &PORTS_ANY] {
                let keys: Vec<_> = old.ports.iter().filter(|port| map_of(port) == set.name).map(key_of).collect();
                transaction.remove(FAMILY, &table, set.name, keys);
            }
        }
        if let Some(new) = new {
            add_ports(&mut transaction, &table, new);
        }
        transaction.commit(&mut self.filter).map_err(NetworkError::system(format!("change published ports in {table}")))
    }
}

fn add_ports(transaction: &mut Transaction, table: &str, published: &Published) {
    let Some(address) = published.address else { return };
    for set in [&PORTS, &PORTS_ANY] {
        let of_set = published.ports.iter().filter(|port| map_of(port) == set.name);
        let elements: Vec<_> = of_set
            .map(|port| {
                let [high, low] = port.container_port.to_be_bytes();
                (key_of(port), Some([&address.octets()[..], &[high, low, 0, 0]].concat()))
            })
            .collect();
        transaction.add(FAMILY, table, set.name, &elements);
    }
}

fn map_of(port: &Port) -> &'static str {
    if port.host_address.is_unspecified() { PORTS_ANY.name } else { PORTS.name }
}

/// Each part of a concatenation is padded to 4 bytes.
fn key_of(port: &Port) -> Vec<u8> {
    let mut key = Vec::new();
    if !port.host_address.is_unspecified() {
        key.extend_from_slice(&port.host_address.octets());
    }
    let protocol = match port.protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    };
    let [high, low] = port.host_port.to_be_bytes();
    key.extend_from_slice(&[protocol, 0, 0, 0, high, low, 0, 0]);
    key
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_BYTES, 0);
    bytes
}

/// All rules, in order.
fn rules() -> Vec<(&'static Chain, &'static str, Vec<E<'static>>)> {
    let mut rules = raw_rules();
    for chain in [&DNAT, &DNAT_OUTPUT] {
        rules.extend(dnat_rules(chain));
    }
    rules.extend(input_rules());
    rules.extend(forward_rules());
    rules.extend(masquerade_rules());
    rules
}

fn raw_rules() -> Vec<(&'static Chain, &'static str, Vec<E<'static>>)> {
    let to_loopback = vec![
        IN_NAME,
        in_set(&BRIDGES),
        E::Payload { field: Field::Destination(1), register: R0 },
        E::Equal { register: R0, value: LOOPBACK_NET },
        DROP,
    ];
    let spoofed = vec![
        IN_NAME,
        in_set(&BRIDGES),
        E::SourceInterface { register: R0 },
        E::Equal { register: R0, value: &[0; 4] },
        DROP,
    ];
    vec![
        (&RAW, "containers do not reach the host's loopback", to_loopback),
        (&RAW, "nor do they speak for anyone beyond their bridge", spoofed),
    ]
}

fn dnat_rules(chain: &'static Chain) -> Vec<(&'static Chain, &'static str, Vec<E<'static>>)> {
    let to_host = [E::DestinationKind { register: R0 }, E::Equal { register: R0, value: &LOCAL }];
    let by_map = |map: &Set, key: &[E<'static>]| {
        let target = [E::Map { map: map.name, register: R0, into: R0 }, E::Redirect { address: R0, port: R1 }];
        [&to_host[..], key, &target].concat()
    };
    let of_address = by_map(
        &PORTS,
        &[
            E::Payload { field: Field::Destination(4), register: R0 },
            E::Meta { key: MetaKey::Protocol, register: R1 },
            E::Payload { field: Field::DestinationPort, register: R2 },
        ],
    );
    let of_any = by_map(
        &PORTS_ANY,
        &[E::Meta { key: MetaKey::Protocol, register: R0 }, E::Payload { field: Field::DestinationPort, register: R1 }],
    );
    vec![(chain, "published on one address", of_address), (chain, "published on all addresses", of_any)]
}

fn input_rules() -> Vec<(&'static Chain, &'static str, Vec<E<'static>>)> {
    let doors = vec![
        IN_NAME,
        in_set(&BRIDGES),
        E::Meta { key: MetaKey::Protocol, register: R0 },
        E::Equal { register: R0, value: &[TCP] },
        E::Payload { field: Field::DestinationPort, register: R0 },
        E::InSet { set: DOORS.name, register: R0, inverted: false },
        DROP,
    ];
    vec![(&INPUT, "containers do not reach Sampan's doors", doors)]
}

fn forward_rules() -> Vec<(&'static Chain, &'static str, Vec<E<'static>>)> {
    let to_bridge = [OUT_NAME, in_set(&BRIDGES)];
    let closed = vec![IN_NAME, in_set(&CLOSED), OUT_NAME, in_set(&CLOSED), DROP];
    let established =
        vec![E::State { register: R0 }, E::Masked { register: R0, mask: ESTABLISHED, zero: false }, ACCEPT];
    let pairs = vec![IN_NAME, OUT_NAME_2, in_set(&PAIRS), ACCEPT];
    let published = [
        &to_bridge[..],
        &[E::Status { register: R0 }, E::Masked { register: R0, mask: TRANSLATED, zero: false }, ACCEPT],
    ]
    .concat();
    vec![
        (&FORWARD, "the host is no router for others", closed),
        (&FORWARD, "what began may go on", established),
        (&FORWARD, "within a team", pairs),
        (&FORWARD, "to published ports", published),
        (&FORWARD, "nothing else enters", [&to_bridge[..], &[DROP]].concat()),
    ]
}

fn masquerade_rules() -> Vec<(&'static Chain, &'static str, Vec<E<'static>>)> {
    let back_home = vec![
        E::Status { register: R0 },
        E::Masked { register: R0, mask: TRANSLATED, zero: false },
        OUT_NAME,
        E::Payload { field: Field::Source(4), register: R4 },
        E::Mask { register: R4, mask: SUBNET_MASK },
        in_set(&HOMES),
        E::Masquerade,
    ];
    let from_loopback = vec![
        OUT_NAME,
        in_set(&BRIDGES),
        E::Payload { field: Field::Source(1), register: R0 },
        E::Equal { register: R0, value: LOOPBACK_NET },
        E::Masquerade,
    ];
    vec![
        (&MASQUERADE, "by a published port back into its own bridge", back_home),
        (&MASQUERADE, "from the host's loopback", from_loopback),
        (&MASQUERADE, "within a team, as it is", vec![IN_NAME, OUT_NAME_2, in_set(&PAIRS), ACCEPT]),
        (&MASQUERADE, "what leaves a bridge", vec![IN_NAME, in_set(&BRIDGES), E::Masquerade]),
    ]
}
