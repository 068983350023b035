//! `NetworkSettings` of `inspect`, the endpoints of `list`, and the names and ids of the default networks.

use std::collections::BTreeMap;

use sampan_engine::containers::Container;
use sampan_engine::containers::config::Network;
use sampan_engine::owner::Owner;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ports::protocol_name;

/// Name of the network a container is in; `None` in another container's.
pub fn network_name(network: &Network) -> Option<&'static str> {
    match network {
        Network::Bridge => Some("bridge"),
        Network::None => Some("none"),
        Network::Host => Some("host"),
        Network::Container { .. } => None,
    }
}

/// Docker's `NetworkMode`.
pub fn network_mode(network: &Network) -> String {
    match network {
        Network::Container { container } => format!("container:{container}"),
        named => network_name(named).unwrap_or_default().to_owned(),
    }
}

/// Id of a team's network: 64 hexadecimal digits that follow from its name and the team.
pub fn network_id(owner: &Owner, name: &str) -> String {
    hex_digest(&["network", &owner.key, name])
}

/// Id of a container's place in its network.
pub fn endpoint_id(container: &Container, name: &str) -> String {
    hex_digest(&["endpoint", &container.id, name])
}

fn hex_digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

/// `{"bridge": {…}}`; typed, since a list may have thousands of them.
#[derive(Debug)]
pub struct Networks(Option<(&'static str, Endpoint)>);

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, endpoint)| (name, endpoint)))
    }
}

/// Docker's `EndpointSettings`; a unit is `null`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam_config: (),
    links: (),
    aliases: (),
    mac_address: String,
    driver_opts: (),
    gw_priority: u8,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    dns_names: (),
}

/// The networks a container is in.
pub fn networks(container: &Container) -> Networks {
    Networks(network_name(&container.config.network).map(|name| (name, endpoint(container, name))))
}

fn endpoint(container: &Container, name: &str) -> Endpoint {
    let alive = container.state.is_alive();
    let place = container.run.endpoint.as_ref().filter(|_| alive);
    let text = |value: Option<String>| value.unwrap_or_default();
    Endpoint {
        ipam_config: (),
        links: (),
        aliases: (),
        mac_address: text(place.map(|place| place.mac.clone())),
        driver_opts: (),
        gw_priority: 0,
        network_id: if alive { network_id(&container.owner, name) } else { String::new() },
        endpoint_id: if alive { endpoint_id(container, name) } else { String::new() },
        gateway: text(place.map(|place| place.gateway.to_string())),
        ip_address: text(place.map(|place| place.address.to_string())),
        ip_prefix_len: place.map_or(0, |place| place.prefix),
        ipv6_gateway: "",
        global_ipv6_address: "",
        global_ipv6_prefix_len: 0,
        dns_names: (),
    }
}

/// Docker's `NetworkSettings`.
pub fn settings(container: &Container) -> Value {
    let networks = networks(container);
    // The default bridge's endpoint stands here once more, for clients older than named networks.
    let bridge = networks.0.as_ref().filter(|(name, _)| *name == "bridge").map(|(_, endpoint)| endpoint);
    let of_bridge = |field: fn(&Endpoint) -> &String| bridge.map(|bridge| field(bridge).as_str()).unwrap_or_default();
    let alive = container.state.is_alive();
    json!({
        "Bridge": "",
        "SandboxID": if alive { hex_digest(&["sandbox", &container.id]) } else { String::new() },
        "SandboxKey": container.run.pid.filter(|_| alive).map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default(),
        "Ports": port_map(container),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": of_bridge(|bridge| &bridge.endpoint_id),
        "Gateway": of_bridge(|bridge| &bridge.gateway),
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": of_bridge(|bridge| &bridge.ip_address),
        "IPPrefixLen": bridge.map_or(0, |bridge| bridge.ip_prefix_len),
        "IPv6Gateway": "",
        "MacAddress": of_bridge(|bridge| &bridge.mac_address),
        "Networks": networks,
    })
}

/// `{"80/tcp": [{"HostIp": …, "HostPort": …}], "443/tcp": null}`; empty for one that does not run.
fn port_map(container: &Container) -> BTreeMap<String, Value> {
    let mut map: BTreeMap<String, Value> = BTreeMap::new();
    if !container.state.is_alive() {
        return map;
    }
    for exposed in &container.resolved.exposed_ports {
        map.insert(format!("{}/{}", exposed.port, protocol_name(exposed.protocol)), Value::Null);
    }
    for port in &container.run.ports {
        let binding = json!({ "HostIp": port.host_address.to_string(), "HostPort": port.host_port.to_string() });
        let entry =
            map.entry(format!("{}/{}", port.container_port, protocol_name(port.protocol))).or_insert(Value::Null);
        match entry {
            Value::Array(bindings) => bindings.push(binding),
            other => *other = Value::Array(vec![binding]),
        }
    }
    map
}

/// `list`'s flat form: `[{"IP": …, "PrivatePort": …, "PublicPort": …, "Type": …}]`.
pub fn port_list(container: &Container) -> Vec<Value> {
    let mut ports: Vec<Value> = Vec::new();
    if !container.state.is_alive() {
        return ports;
    }
    for port in &container.run.ports {
        ports.push(json!({
            "IP": port.host_address.to_string(),
            "PrivatePort": port.container_port,
            "PublicPort": port.host_port,
            "Type": protocol_name(port.protocol),
        }));
    }
    for exposed in &container.resolved.exposed_ports {
        let published = container
            .run
            .ports
            .iter()
            .any(|port| port.container_port == exposed.port && port.protocol == exposed.protocol);
        if !published {
            ports.push(json!({ "PrivatePort": exposed.port, "Type": protocol_name(exposed.protocol) }));
        }
    }
    ports
}
