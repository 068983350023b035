//! Which addresses the server connects to on somebody's behalf: a name of an image, a redirect or a token's realm must
//! not make it knock at doors inside this host's networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How far a connection may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// The internet.
    Public,
    /// This host as well: an administrator's own registry on localhost.
    Loopback,
    /// Private networks too: the administrator allowed this registry.
    Private,
}

/// What an address is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Public,
    Loopback,
    Private,
    /// For nobody: link-local addresses (clouds keep their metadata there), multicast, reserved ranges.
    Never(&'static str),
}

/// An address that is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {address}, {reason}")]
pub struct Refused {
    /// The name, or the address itself.
    pub host: String,
    /// Where it leads.
    pub address: IpAddr,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Reach {
    /// Whether an address is within reach.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let reason = match place(address) {
            Place::Public => return Ok(()),
            Place::Loopback if self >= Self::Loopback => return Ok(()),
            Place::Private if self >= Self::Private => return Ok(()),
            Place::Loopback => "an address of this host: an administrator may allow that registry",
            Place::Private => "a private address: an administrator may allow that registry",
            Place::Never(reason) => reason,
        };
        Err(Refused { host: host.to_owned(), address, reason })
    }
}

fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => place_v6(address),
    }
}

/// Source: IANA IPv4 Special-Purpose Address Registry.
fn place_v4(address: Ipv4Addr) -> Place {
    match address.octets() {
        [127, ..] => Place::Loopback,
        [10, ..] | [192, 168, ..] => Place::Private,
        [172, second, ..] if second & 0xf0 == 16 => Place::Private,
        // Shared by carriers, benchmarks: nobody's on the internet.
        [100, second, ..] if second & 0xc0 == 64 => Place::Private,
        [198, 18 | 19, ..] => Place::Private,
        [169, 254, ..] => Place::Never("a link-local address, which is never reached"),
        [0, ..] => Place::Never("no address of a host"),
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Place::Never("a reserved address"),
        [224..=255, ..] => Place::Never("a multicast or reserved address"),
        _ => Place::Public,
    }
}

/// Source: IANA IPv6 Special-Purpose Address Registry. Addresses that carry an IPv4 address are judged by it.
fn place_v6(address: Ipv6Addr) -> Place {
    let words = address.segments();
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        place_v4(Ipv4Addr::new(a, b, c, d))
    };
    match words {
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Loopback,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => carried(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => carried(high, low),
        [0x64, 0xff9b, ..] => Place::Private,
        [first, ..] if first & 0xfe00 == 0xfc00 => Place::Private,
        [first, ..] if first & 0xffc0 == 0xfec0 => Place::Private,
        [first, ..] if first & 0xffc0 == 0xfe80 => Place::Never("a link-local address, which is never reached"),
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] | [0x100, 0, 0, 0, ..] => Place::Never("a reserved address"),
        [first, ..] if first & 0xe000 == 0x2000 => Place::Public,
        _ => Place::Never("a multicast or reserved address"),
    }
}

/// Resolves names and leaves out what is beyond reach: what is connected to is what was looked at.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub reach: Reach,
    /// Hosts of the proxies in the configuration, which the administrator chose.
    pub proxies: Vec<String>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            if guard.proxies.iter().any(|proxy| proxy == host) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let mut refused = None;
            let mut within = Vec::new();
            for address in found {
                match guard.reach.check(host, address.ip()) {
                    Ok(()) => within.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(refused) if within.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(within.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_reached_only_where_that_is_allowed() {
        use Reach::{Loopback, Private, Public};
        for (address, least) in [
            ("1.1.1.1", Some(Public)),
            ("2606:4700::1111", Some(Public)),
            ("127.0.0.1", Some(Loopback)),
            ("127.8.9.1", Some(Loopback)),
            ("::1", Some(Loopback)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("10.1.2.3", Some(Private)),
            ("172.16.0.1", Some(Private)),
            ("172.31.255.1", Some(Private)),
            ("172.32.0.1", Some(Public)),
            ("192.168.1.1", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("fd00::1", Some(Private)),
            ("64:ff9b::10.0.0.1", Some(Private)),
            ("2002:0a00:0001::", Some(Private)),
            ("::10.0.0.1", Some(Private)),
            ("169.254.169.254", None),
            ("::ffff:169.254.169.254", None),
            ("64:ff9b::169.254.169.254", None),
            ("fe80::1", None),
            ("0.0.0.0", None),
            ("::", None),
            ("224.0.0.1", None),
            ("255.255.255.255", None),
            ("ff02::1", None),
        ] {
            for reach in [Public, Loopback, Private] {
                let allowed = least.is_some_and(|least| reach >= least);
                assert_eq!(reach.check("h", address.parse().unwrap()).is_ok(), allowed, "{address} {reach:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved() {
        let guard = |reach| Guard { reach, proxies: Vec::new() };
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(guard(Reach::Public).resolve(name()).await.is_err());
        assert!(guard(Reach::Loopback).resolve(name()).await.unwrap().next().is_some());
        let proxy = Guard { reach: Reach::Public, proxies: vec!["localhost".to_owned()] };
        assert!(proxy.resolve(name()).await.unwrap().next().is_some());
    }
}
