//! What goes into a container's /etc/resolv.conf.
//!
//! Spec: resolv.conf(5). A resolver on the host's loopback cannot be reached from a container. Where the host runs
//! systemd-resolved (127.0.0.53), its own list of upstream servers is taken; other loopback servers are left out.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Where systemd-resolved writes the servers it asks.
const SYSTEMD_UPSTREAMS: &str = "/run/systemd/resolve/resolv.conf";
/// The stub of systemd-resolved.
const SYSTEMD_STUB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
/// Used when the host names no server that a container could reach; the same as Docker's.
const FALLBACK: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(8, 8, 4, 4)];

/// Resolvers, search domains and options of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolvers {
    /// IPv4 servers, in order.
    pub servers: Vec<Ipv4Addr>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options, such as `ndots:1`.
    pub options: Vec<String>,
}

impl Resolvers {
    /// The host's resolvers as far as a container can reach them, else Docker's fallback.
    ///
    /// # Errors
    /// When /etc/resolv.conf is there and cannot be read.
    pub fn of_host() -> io::Result<Self> {
        Self::of_files(Path::new("/etc/resolv.conf"), Path::new(SYSTEMD_UPSTREAMS))
    }

    fn of_files(main: &Path, upstreams: &Path) -> io::Result<Self> {
        let text = read_if_there(main)?;
        let mut resolvers = Self::parse(&text);
        if names_stub(&text) {
            let upstream = Self::parse(&read_if_there(upstreams)?);
            resolvers.servers.extend(upstream.servers);
            if resolvers.search.is_empty() {
                resolvers.search = upstream.search;
            }
        }
        if resolvers.servers.is_empty() {
            resolvers.servers = FALLBACK.to_vec();
        }
        Ok(resolvers)
    }

    /// Reads resolv.conf's text, leaving out servers that a container cannot reach. The last `search` or `domain` line
    /// counts, options add up.
    pub fn parse(text: &str) -> Self {
        let mut resolvers = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    if let Some(Ok(IpAddr::V4(address))) = words.next().map(str::parse)
                        && !address.is_loopback()
                        && !address.is_unspecified()
                    {
                        resolvers.servers.push(address);
                    }
                }
                Some("search" | "domain") => {
                    resolvers.search = words.filter(|word| *word != ".").map(str::to_owned).collect();
                }
                Some("options") => resolvers.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        resolvers
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !self.search.is_empty() {
            text.push_str(&format!("search {}\n", self.search.join(" ")));
        }
        if !self.options.is_empty() {
            text.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        text
    }
}

fn names_stub(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("nameserver") && words.next().map(str::parse) == Some(Ok(SYSTEMD_STUB))
    })
}

fn read_if_there(path: &Path) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{FALLBACK, Resolvers};

    fn of(main: &str, upstreams: &str) -> Resolvers {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (folder.path().join("main"), folder.path().join("upstreams"));
        std::fs::write(&one, main).expect("a file");
        std::fs::write(&other, upstreams).expect("a file");
        Resolvers::of_files(&one, &other).expect("resolvers")
    }

    #[test]
    fn takes_the_hosts_servers_search_and_options() {
        let text = "# made by hand\nnameserver 192.0.2.1\nnameserver fd00::1\nsearch a.test b.test\noptions ndots:2\n";
        let resolvers = of(text, "");
        assert_eq!(resolvers.render(), "nameserver 192.0.2.1\nsearch a.test b.test\noptions ndots:2\n");
    }

    #[test]
    fn asks_systemds_upstreams_instead_of_its_stub() {
        let resolvers = of("nameserver 127.0.0.53\noptions edns0\n", "nameserver 198.51.100.7\nsearch lan\n");
        assert_eq!(resolvers.render(), "nameserver 198.51.100.7\nsearch lan\noptions edns0\n");
    }

    #[test]
    fn falls_back_when_only_loopback_servers_are_named() {
        assert_eq!(of("nameserver 127.0.0.1\nnameserver ::1\n", "nameserver 192.0.2.9\n").servers, FALLBACK);
        let missing = std::path::Path::new("/nonexistent/resolv.conf");
        assert_eq!(Resolvers::of_files(missing, missing).expect("resolvers").servers, FALLBACK);
    }
}
