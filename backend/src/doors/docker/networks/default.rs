//! The three networks that each team has: `bridge`, `host`, `none`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use sampan_engine::containers::Container;
use sampan_engine::owner::Owner;
use serde_json::{Map, Value, json};

use crate::doors::docker::containers::network_settings::{endpoint_id, network_id, network_name};
use crate::doors::docker::times;

/// Name and driver.
pub const DEFAULT: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

/// The one that a name, an id or the beginning of an id means.
pub fn find(owner: &Owner, reference: &str) -> Option<(&'static str, &'static str)> {
    let by_name = DEFAULT.into_iter().find(|(name, _)| *name == reference);
    by_name.or_else(|| {
        let mut by_id = DEFAULT.into_iter().filter(|(name, _)| network_id(owner, name).starts_with(reference));
        by_id.next().filter(|_| !reference.is_empty() && by_id.next().is_none())
    })
}

/// Docker's `Network`. `containers`: the team's that run; those in the network are listed when `whole`.
pub fn view(owner: &Owner, (name, driver): (&str, &str), containers: &[Arc<Container>], whole: bool) -> Value {
    let inside = || containers.iter().filter(|container| network_name(&container.config.network) == Some(name));
    let mut members = Map::new();
    for container in inside().filter(|_| whole) {
        let place = container.run.endpoint.as_ref();
        members.insert(
            container.id.clone(),
            json!({
                "Name": container.name,
                "EndpointID": endpoint_id(container, name),
                "MacAddress": place.map(|place| place.mac.clone()).unwrap_or_default(),
                "IPv4Address": place.map(|place| format!("{}/{}", place.address, place.prefix)).unwrap_or_default(),
                "IPv6Address": "",
            }),
        );
    }
    // A bridge takes its addresses when its first container starts; before that there are none to name.
    let subnet = inside().find_map(|container| container.run.endpoint.as_ref()).map(|place| {
        json!({ "Subnet": format!("{}/{}", network_of(place.address, place.prefix), place.prefix),
                "Gateway": place.gateway.to_string() })
    });
    let config = match (driver, subnet) {
        ("bridge", Some(subnet)) => json!([subnet]),
        ("bridge", None) => json!([]),
        _ => Value::Null,
    };
    json!({
        "Name": name,
        "Id": network_id(owner, name),
        // They are there from the beginning.
        "Created": times::NEVER,
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": config },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": members,
        "Options": {},
        "Labels": {},
    })
}

/// The first address of a network.
fn network_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { team_id: 1, key: "t1".into(), base_id: 1_879_048_192 }
    }

    #[test]
    fn networks_are_found_by_name_and_by_beginning_of_id() {
        let id = network_id(&owner(), "none");
        assert_eq!(find(&owner(), "none"), Some(("none", "null")));
        assert_eq!(find(&owner(), &id), Some(("none", "null")));
        assert_eq!(find(&owner(), &id[..12]), Some(("none", "null")));
        assert_eq!(find(&owner(), ""), None);
        assert_eq!(find(&owner(), "front"), None);
    }

    #[test]
    fn the_network_of_an_address_has_no_host_part() {
        assert_eq!(network_of(Ipv4Addr::new(172, 20, 3, 9), 16), Ipv4Addr::new(172, 20, 0, 0));
        assert_eq!(network_of(Ipv4Addr::new(10, 1, 2, 3), 0), Ipv4Addr::UNSPECIFIED);
        assert_eq!(network_of(Ipv4Addr::new(10, 1, 2, 3), 32), Ipv4Addr::new(10, 1, 2, 3));
    }
}
