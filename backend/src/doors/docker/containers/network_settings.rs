//! `NetworkSettings` of `inspect`, the endpoints of `list`, and the names and ids of the default networks.

use std::collections::BTreeMap;

use sampan_engine::containers::Container;
use sampan_engine::containers::config::Network;
use sampan_engine::owner::Owner;
use serde_json::{Map, Value, json};
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
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `{"bridge": {…}}`.
pub fn networks(container: &Container) -> Value {
    let mut networks = Map::new();
    if let Some(name) = network_name(&container.config.network) {
        networks.insert(name.to_owned(), endpoint(container, name));
    }
    Value::Object(networks)
}

/// Docker's `EndpointSettings`.
fn endpoint(container: &Container, name: &str) -> Value {
    let alive = container.state.is_alive();
    let place = container.run.endpoint.as_ref().filter(|_| alive);
    let text = |value: Option<String>| value.unwrap_or_default();
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": null,
        "MacAddress": text(place.map(|place| place.mac.clone())),
        "DriverOpts": null,
        "GwPriority": 0,
        "NetworkID": if alive { network_id(&container.owner, name) } else { String::new() },
        "EndpointID": if alive { endpoint_id(container, name) } else { String::new() },
        "Gateway": text(place.map(|place| place.gateway.to_string())),
        "IPAddress": text(place.map(|place| place.address.to_string())),
        "IPPrefixLen": place.map_or(0, |place| place.prefix),
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": null,
    })
}

/// Docker's `NetworkSettings`.
pub fn settings(container: &Container) -> Value {
    let networks = networks(container);
    // The default bridge's endpoint stands here once more, for clients older than named networks.
    let bridge = networks.get("bridge");
    let of_bridge = |field: &str| bridge.and_then(|bridge| bridge.get(field)).cloned().unwrap_or_else(|| json!(""));
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
        "EndpointID": of_bridge("EndpointID"),
        "Gateway": of_bridge("Gateway"),
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": of_bridge("IPAddress"),
        "IPPrefixLen": bridge.map_or(json!(0), |bridge| bridge["IPPrefixLen"].clone()),
        "IPv6Gateway": "",
        "MacAddress": of_bridge("MacAddress"),
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
