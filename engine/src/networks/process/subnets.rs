//! IPv4 subnets: which one is free on this host.

use std::fmt;
use std::net::Ipv4Addr;

/// Length of a bridge's prefix: 1,021 addresses beside the gateway, just under a bridge's 1,023 ports.
pub(super) const BRIDGE_PREFIX: u8 = 22;

/// What subnets are cut from unless the configuration says otherwise: 64 bridges each.
pub(super) const DEFAULT_POOLS: [Subnet; 8] = [
    Subnet::new([172, 30, 0, 0], 16),
    Subnet::new([172, 31, 0, 0], 16),
    Subnet::new([172, 29, 0, 0], 16),
    Subnet::new([172, 28, 0, 0], 16),
    Subnet::new([10, 213, 0, 0], 16),
    Subnet::new([10, 214, 0, 0], 16),
    Subnet::new([10, 215, 0, 0], 16),
    Subnet::new([10, 216, 0, 0], 16),
];

/// A range of addresses with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    base: u32,
    prefix: u8,
}

impl Subnet {
    const fn new(octets: [u8; 4], prefix: u8) -> Self {
        Self { base: u32::from_be_bytes(octets), prefix }
    }

    /// The subnet of this prefix length that holds `address`.
    pub(super) fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: u32::from(address) & mask(prefix), prefix }
    }

    /// Reads `172.30.0.0/16`; a bridge must fit in and the address must be its first.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
        let subnet = Self::of(address, prefix);
        ((8..=BRIDGE_PREFIX).contains(&prefix) && subnet.base == u32::from(address)).then_some(subnet)
    }

    /// Whether they have an address in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.base & shorter == other.base & shorter
    }

    /// Length of the prefix.
    pub(super) fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How many addresses it has.
    pub(super) fn size(&self) -> u32 {
        !mask(self.prefix)
    }

    /// Its address number `place`; 0 names the subnet, 1 is the gateway.
    pub(super) fn address(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base.wrapping_add(place))
    }

    /// The number of `address` in it.
    pub(super) fn place(&self, address: Ipv4Addr) -> u32 {
        u32::from(address).wrapping_sub(self.base)
    }

    /// The first bridge's subnet of `pools` that has nothing in common with `taken`.
    pub(super) fn first_free(pools: &[Self], taken: &[Self]) -> Option<Self> {
        let step = 1_u32 << (32 - BRIDGE_PREFIX);
        pools.iter().find_map(|pool| {
            let count = 1_u32 << (BRIDGE_PREFIX - pool.prefix);
            (0..count)
                .map(|number| Self { base: pool.base + number * step, prefix: BRIDGE_PREFIX })
                .find(|subnet| !taken.iter().any(|other| other.overlaps(subnet)))
        })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_POOLS, Subnet};

    fn subnet(text: &str) -> Subnet {
        let (address, prefix) = text.split_once('/').expect("a slash");
        Subnet::of(address.parse().expect("an address"), prefix.parse().expect("a number"))
    }

    #[test]
    fn skips_what_the_host_uses() {
        let first = |taken: &[&str]| {
            let taken: Vec<_> = taken.iter().map(|text| subnet(text)).collect();
            Subnet::first_free(&DEFAULT_POOLS, &taken).map(|subnet| subnet.to_string())
        };
        assert_eq!(first(&[]).as_deref(), Some("172.30.0.0/22"));
        assert_eq!(first(&["172.30.0.0/22", "172.30.4.9/32"]).as_deref(), Some("172.30.8.0/22"));
        assert_eq!(first(&["172.16.0.0/12"]).as_deref(), Some("10.213.0.0/22"));
        assert_eq!(first(&["172.16.0.0/12", "10.0.0.0/8"]), None);
    }

    #[test]
    fn knows_its_addresses() {
        let subnet = subnet("172.30.4.0/22");
        assert_eq!(subnet.address(1).to_string(), "172.30.4.1");
        assert_eq!((subnet.size(), subnet.place(subnet.address(1023))), (1023, 1023));
        let holds = |place| subnet.overlaps(&Subnet::of(subnet.address(place), 32));
        assert!(holds(1023) && !holds(1024));
    }

    #[test]
    fn refuses_pools_that_hold_no_bridge_or_are_written_wrong() {
        assert!(Subnet::parse("172.30.0.0/16").is_some());
        for wrong in ["172.30.0.0", "172.30.0.0/24", "172.30.0.1/16", "0.0.0.0/0", "x/16", "1.2.3.4/99"] {
            assert_eq!(Subnet::parse(wrong), None, "{wrong}");
        }
    }
}
