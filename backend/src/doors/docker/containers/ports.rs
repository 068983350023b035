//! Docker's port maps, read into requests of the engine.
//!
//! Source: docker/go-connections `nat`; Docker Engine API, `PortMap`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use sampan_engine::containers::config::{ExposedPort, PortRequest, Protocol};

use super::host_config::PortBinding;
use crate::doors::docker::error::DockerError;

/// `80`, `80/tcp`, `53/udp`, or a range `8000-8010/tcp`.
///
/// # Errors
/// 400 in dockerd's words; 501 for SCTP.
pub fn read_exposed(text: &str) -> Result<Vec<ExposedPort>, DockerError> {
    let refused = || DockerError::invalid(format!("invalid port specification: {text:?}"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => return Err(DockerError::unsupported(format!("port {text}: SCTP is not there yet"))),
        _ => return Err(DockerError::invalid(format!("invalid proto: {protocol}"))),
    };
    let (first, last) = range(ports).ok_or_else(refused)?;
    if first == 0 {
        return Err(refused());
    }
    Ok((first..=last).map(|port| ExposedPort { port, protocol }).collect())
}

/// `80` or `80-90`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// The ports to publish.
///
/// # Errors
/// 400 in dockerd's words; 501 for IPv6 addresses of the host.
pub fn read_bindings(bindings: &BTreeMap<String, Option<Vec<PortBinding>>>) -> Result<Vec<PortRequest>, DockerError> {
    let mut requests = Vec::new();
    for (text, bindings) in bindings {
        for exposed in read_exposed(text)? {
            for binding in bindings.iter().flatten() {
                let host_ports = match binding.host_port.as_str() {
                    "" | "0" => None,
                    typed => Some(
                        range(typed)
                            .ok_or_else(|| DockerError::invalid(format!("invalid port specification: {typed:?}")))?,
                    ),
                };
                requests.push(PortRequest {
                    host_address: read_address(&binding.host_ip)?,
                    host_ports,
                    container_port: exposed.port,
                    protocol: exposed.protocol,
                });
            }
        }
    }
    Ok(requests)
}

/// Empty and `0.0.0.0` are all addresses.
fn read_address(text: &str) -> Result<Option<Ipv4Addr>, DockerError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ok(None),
        Ok(IpAddr::V4(address)) => Ok(Some(address)),
        Ok(IpAddr::V6(_)) => {
            Err(DockerError::unsupported(format!("HostIp {text}: publishing on IPv6 addresses is not there yet")))
        }
        Err(_) => Err(DockerError::invalid(format!("invalid IP address in a port binding: {text}"))),
    }
}

/// `tcp` or `udp`.
pub fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(json: serde_json::Value) -> Result<Vec<PortRequest>, DockerError> {
        read_bindings(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn ports_and_ranges_are_read() {
        assert_eq!(read_exposed("80").unwrap(), [ExposedPort { port: 80, protocol: Protocol::Tcp }]);
        assert_eq!(read_exposed("53/UDP").unwrap(), [ExposedPort { port: 53, protocol: Protocol::Udp }]);
        assert_eq!(read_exposed("80-82/tcp").unwrap().len(), 3);
        for text in ["", "0", "x", "80/icmp", "82-80", "70000", "80-"] {
            assert_eq!(read_exposed(text).unwrap_err().status, 400, "{text}");
        }
        assert_eq!(read_exposed("80/sctp").unwrap_err().status, 501);
    }

    #[test]
    fn bindings_name_address_and_range() {
        let read = bindings(serde_json::json!({
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080-8090"}, {"HostIp": "0.0.0.0", "HostPort": ""}],
            "53/udp": [],
            "54/udp": null,
        }));
        assert_eq!(
            read.unwrap(),
            [
                PortRequest {
                    host_address: Some(Ipv4Addr::LOCALHOST),
                    host_ports: Some((8080, 8090)),
                    container_port: 80,
                    protocol: Protocol::Tcp
                },
                PortRequest { host_address: None, host_ports: None, container_port: 80, protocol: Protocol::Tcp },
            ]
        );
        assert_eq!(bindings(serde_json::json!({"80/tcp": [{"HostIp": "::"}]})).unwrap_err().status, 501);
        assert_eq!(bindings(serde_json::json!({"80/tcp": [{"HostIp": "x"}]})).unwrap_err().status, 400);
        assert_eq!(bindings(serde_json::json!({"80/tcp": [{"HostPort": "http"}]})).unwrap_err().status, 400);
    }
}
