//! By which names this host, and this instance, are reached.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::Config;

impl Config {
    /// Names and addresses by which clients may reach this host: what a certificate is for.
    pub fn own_names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        names.insert(host_name());
        match self.https.map(|address| address.ip()) {
            Some(ip) if ip.is_unspecified() => names.extend(addresses().iter().map(ToString::to_string)),
            Some(ip) => drop(names.insert(ip.to_string())),
            None => {}
        }
        let public = self.public_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
        names.extend(public.and_then(|url| url.host().map(|host| host.trim_matches(['[', ']']).to_owned())));
        names
    }

    /// Whether a registry, as names of images say it (`host[:port]`), is this instance itself.
    pub fn is_own_registry(&self, registry: &str) -> bool {
        let public = self.public_url.as_deref().and_then(|url| url.split_once("://"));
        let doors = [Some((self.http, 80)), self.https.map(|https| (https, 443))];
        public.is_some_and(|(_, own)| own.eq_ignore_ascii_case(registry))
            || doors.into_iter().flatten().any(|(door, usual)| leads_to(registry, door, usual))
    }
}

/// Whether `name[:port]` leads to a listener of this host. Names of other machines' making are not asked for.
fn leads_to(registry: &str, door: SocketAddr, usual_port: u16) -> bool {
    let (name, port) = match registry.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (registry, Some(usual_port)),
    };
    if port != Some(door.port()) {
        return false;
    }
    let (everywhere, name) = (door.ip().is_unspecified(), name.trim_matches(['[', ']']));
    match name.parse::<IpAddr>() {
        Ok(ip) => ip == door.ip() || (everywhere && (ip.is_loopback() || addresses().contains(&ip))),
        Err(_) if name.eq_ignore_ascii_case("localhost") => everywhere || door.ip().is_loopback(),
        // On loopback alone nobody is reached by the host's name.
        Err(_) => !door.ip().is_loopback() && name.eq_ignore_ascii_case(&host_name()),
    }
}

/// This host's name.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !name.is_empty() && name.bytes().all(plain) { name } else { "localhost".to_owned() }
}

/// This host's own IPv4 addresses as the kernel's table of routes has them (`/proc/net/fib_trie`: a leaf, and beneath it
/// `/32 host LOCAL`), and its IPv6 ones that are not of one link only (`/proc/net/if_inet6`).
fn addresses() -> BTreeSet<IpAddr> {
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut found = v4_addresses(&v4);
    found.extend(v6_addresses(&v6));
    found
}

fn v4_addresses(table: &str) -> BTreeSet<IpAddr> {
    let (mut found, mut leaf) = (BTreeSet::new(), None::<IpAddr>);
    for line in table.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf);
        }
    }
    found
}

fn v6_addresses(table: &str) -> BTreeSet<IpAddr> {
    let global = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let scope = words.get(3).is_some_and(|scope| *scope == "00");
        let bits = u128::from_str_radix(words.first().filter(|_| scope)?, 16).ok()?;
        Some(IpAddr::V6(bits.into()))
    };
    table.lines().filter_map(global).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    #[test]
    fn own_addresses_are_found_in_the_kernels_tables() {
        let table = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 192.0.2.7\n        \
            /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(v4_addresses(table), ["192.0.2.7".parse().unwrap()].into());
        let table =
            "fe800000000000000000000000000001 02 40 20 80 eth0\n20010db8000000000000000000000001 02 40 00 80 eth0\n";
        assert_eq!(v6_addresses(table), ["2001:db8::1".parse().unwrap()].into());
    }

    #[test]
    fn a_registry_is_this_instance_only_by_its_own_addresses() {
        let mut config = Config::resolve(&Raw::default()).unwrap();
        config.http = "127.0.0.1:7070".parse().unwrap();
        config.https = Some("0.0.0.0:443".parse().unwrap());
        config.public_url = Some("https://hub.example.org".to_owned());
        for own in ["127.0.0.1:7070", "localhost:7070", "hub.example.org", "127.0.0.1", "localhost:443", &host_name()] {
            assert!(config.is_own_registry(own), "{own}");
        }
        for other in
            ["docker.io", "localhost:7071", "127.0.0.2:7070", "203.0.113.9", "hub.example.org:8443", "evil.test:443"]
        {
            assert!(!config.is_own_registry(other), "{other}");
        }
        // A listener on one address is reached by that, and by the host's name.
        config.https = Some("192.0.2.7:443".parse().unwrap());
        for (name, own) in [("192.0.2.7", true), (&*host_name(), true), ("192.0.2.8", false), ("localhost", false)] {
            assert_eq!(config.is_own_registry(name), own, "{name}");
        }
    }
}
