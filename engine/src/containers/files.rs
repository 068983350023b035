//! The small files that a sandbox brings along, and where a container's own files lie.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use sampan_runtime::sandbox::SandboxFile;
use sampan_runtime::wire::spawner::Endpoint;

use super::config::{ContainerConfig, Network};
use super::describe::Placed;
use super::{ContainerError, Resolved};
use crate::engine::Shared;
use crate::networks::Resolvers;

/// Replaced by the container's own address at start.
const ADDRESS: &str = "{address}";
/// Replaced by its bridge's address at start.
const GATEWAY: &str = "{gateway}";

impl Shared {
    /// `containers/<id>`.
    pub(crate) fn container_folder(&self, id: &str) -> PathBuf {
        self.settings.data_root.join("containers").join(id)
    }
}

/// /etc/hosts, /etc/hostname and /etc/resolv.conf, but for those that a mount stands for.
pub(super) fn files(
    config: &ContainerConfig,
    resolved: &Resolved,
    placed: &[Placed],
) -> Result<Vec<SandboxFile>, ContainerError> {
    let mut files = vec![
        SandboxFile { path: "/etc/hosts".into(), content: hosts(config, resolved)? },
        SandboxFile { path: "/etc/hostname".into(), content: format!("{}\n", resolved.hostname) },
        SandboxFile { path: "/etc/resolv.conf".into(), content: resolv_conf(config)? },
    ];
    files.retain(|file| !placed.iter().any(|placed| placed.mount.destination == file.path));
    Ok(files)
}

fn hosts(config: &ContainerConfig, resolved: &Resolved) -> Result<String, ContainerError> {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    if config.network == Network::Host {
        text = std::fs::read_to_string("/etc/hosts").unwrap_or(text);
    }
    for line in &config.extra_hosts {
        let wrong =
            || ContainerError::Invalid { message: format!("invalid extra host {line:?}: it must be NAME:ADDRESS") };
        let (name, address) = line.split_once([':', '=']).ok_or_else(wrong)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let address = match address {
            "host-gateway" => match config.network {
                Network::Bridge => GATEWAY.to_owned(),
                // Its loopback is the host's.
                Network::Host => Ipv4Addr::LOCALHOST.to_string(),
                Network::None | Network::Container { .. } => return Err(no_gateway()),
            },
            address => {
                let bare = address.trim_start_matches('[').trim_end_matches(']');
                bare.parse::<std::net::IpAddr>().map_err(|_| wrong())?.to_string()
            }
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    if config.network == Network::Bridge {
        let full = match config.domainname.as_deref().filter(|domain| !domain.is_empty()) {
            Some(domain) => format!("{}.{domain} {}", resolved.hostname, resolved.hostname),
            None => resolved.hostname.clone(),
        };
        text.push_str(&format!("{ADDRESS}\t{full}\n"));
    }
    Ok(text)
}

/// In dockerd's words.
fn no_gateway() -> ContainerError {
    ContainerError::Invalid {
        message: "unable to derive the IP value for host-gateway: the container has no bridge".into(),
    }
}

fn resolv_conf(config: &ContainerConfig) -> Result<String, ContainerError> {
    let path = PathBuf::from("/etc/resolv.conf");
    let mut resolvers = match config.network {
        // The host's loopback is the container's: its file fits as it is.
        Network::Host if config.dns.is_empty() && config.dns_search.is_empty() && config.dns_options.is_empty() => {
            return Ok(std::fs::read_to_string(&path).unwrap_or_default());
        }
        _ => Resolvers::of_host().map_err(|source| ContainerError::File { path, source })?,
    };
    if !config.dns.is_empty() {
        resolvers.servers.clone_from(&config.dns);
    }
    match config.dns_search.as_slice() {
        [] => {}
        [one] if one == "." => resolvers.search.clear(),
        search => resolvers.search = search.to_vec(),
    }
    if !config.dns_options.is_empty() {
        resolvers.options.clone_from(&config.dns_options);
    }
    Ok(resolvers.render())
}

/// Puts another container's addresses where that container's own file has them.
pub(super) fn shared(mut files: Vec<SandboxFile>, endpoint: Option<&Endpoint>) -> Vec<SandboxFile> {
    for file in &mut files {
        match endpoint {
            Some(Endpoint { address, gateway, .. }) => {
                let content = file.content.replace(ADDRESS, &address.to_string());
                file.content = content.replace(GATEWAY, &gateway.to_string());
            }
            None => {
                file.content = file
                    .content
                    .lines()
                    .filter(|line| !line.contains(ADDRESS) && !line.contains(GATEWAY))
                    .fold(String::new(), |text, line| text + line + "\n")
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_the_container_and_the_extra_ones() {
        let config = ContainerConfig {
            extra_hosts: vec!["db:10.0.0.7".into(), "six=[fd00::1]".into()],
            ..ContainerConfig::default()
        };
        let resolved = Resolved { hostname: "web".into(), ..Resolved::default() };
        let text = hosts(&config, &resolved).expect("right");
        assert!(text.ends_with("10.0.0.7\tdb\nfd00::1\tsix\n{address}\tweb\n"), "{text}");
        for wrong in ["db", ":1.2.3.4", "db:nowhere", "a b:1.2.3.4"] {
            let config = ContainerConfig { extra_hosts: vec![wrong.into()], ..ContainerConfig::default() };
            assert!(hosts(&config, &resolved).is_err(), "{wrong}");
        }
        let file = || vec![SandboxFile { path: "/etc/hosts".into(), content: "{gateway}\tup\n".to_owned() + &text }];
        let (address, gateway) = ([10, 0, 0, 2].into(), [10, 0, 0, 1].into());
        let endpoint = Endpoint { address, gateway, prefix: 24, mac: String::new() };
        let joined = shared(file(), Some(&endpoint));
        assert!(joined[0].content.ends_with("10.0.0.2\tweb\n"));
        assert!(joined[0].content.starts_with("10.0.0.1\tup\n"));
        assert!(!shared(file(), None)[0].content.contains('{'));
    }

    #[test]
    fn the_hosts_gateway_is_where_the_host_is_reached() {
        let text = |network| {
            let extra_hosts = vec!["up:host-gateway".into()];
            let config = ContainerConfig { extra_hosts, network, ..ContainerConfig::default() };
            hosts(&config, &Resolved::default())
        };
        assert!(text(Network::Bridge).expect("a gateway").contains("{gateway}\tup\n"));
        assert!(text(Network::Host).expect("a gateway").contains("127.0.0.1\tup\n"));
        assert!(text(Network::None).is_err());
    }
}
