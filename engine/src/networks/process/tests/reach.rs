//! What a container reaches without anything published.

use super::*;

#[test]
fn a_container_gets_address_route_and_the_hosts_packet_size() {
    let host = Host::new("ra");
    let one = host.container("one", "red");
    assert_eq!(one.endpoint.prefix, 22);
    assert_eq!(one.endpoint.gateway.octets()[3], 1);
    let inside = one.namespace.links().into_iter().find(|link| link.name == "eth0").expect("eth0");
    assert_eq!(inside.mtu, 1400);
    assert_eq!(one.namespace.read("/sys/class/net/lo/operstate").len(), "unknown".len());
    assert_eq!(one.namespace.ask_tcp(LOCALHOST, 80), says("one", LOCALHOST));
}

#[test]
fn a_container_reaches_the_outside_by_the_hosts_address() {
    let host = Host::new("rb");
    let _outside = Answering::start(&host.outside, "outside", ANY, 53);
    let one = host.container("one", "red");
    assert_eq!(one.namespace.ask_tcp(OUTSIDE, 53), says("outside", HOST));
    assert_eq!(one.namespace.ask_udp(OUTSIDE, 53), says("outside", HOST));
}

#[test]
fn containers_of_a_team_see_each_other_as_they_are() {
    let host = Host::new("rc");
    let (one, two) = (host.container("one", "red"), host.container("two", "red"));
    assert_eq!(one.namespace.ask_tcp(two.endpoint.address, 80), says("two", one.endpoint.address));
    assert_eq!(host.namespace.ask_tcp(two.endpoint.address, 80), says("two", two.endpoint.gateway));
}

#[test]
fn a_namespace_without_a_bridge_gets_loopback() {
    let host = Host::new("rd");
    let namespace = Namespace::new();
    let _server = Answering::start(&namespace, "alone", ANY, 80);
    assert_eq!(namespace.try_tcp(LOCALHOST, 80), None);
    let socket: OwnedFd = namespace.run(|| {
        rustix::net::socket(rustix::net::AddressFamily::NETLINK, rustix::net::SocketType::RAW, None).expect("a socket")
    });
    let file: OwnedFd = namespace.file.try_clone().expect("a descriptor").into();
    assert_eq!(host.call(&Request::Loopback, &[&file, &socket]), Answer::Done);
    assert_eq!(namespace.ask_tcp(LOCALHOST, 80), says("alone", LOCALHOST));
    assert!(!host.namespace.links().iter().any(|link| link.name.starts_with("spn")));
}

#[test]
fn a_team_with_more_containers_than_a_bridge_holds_gets_another_one() {
    let mut host = Host::bare("re");
    host.most_endpoints = 1;
    host.start_net();
    let (one, two, stranger) =
        (host.container("one", "red"), host.container("two", "red"), host.container("x", "blue"));
    assert_ne!(one.endpoint.gateway, two.endpoint.gateway);
    assert_eq!(one.namespace.ask_tcp(two.endpoint.address, 80), says("two", one.endpoint.address));
    assert_eq!(stranger.namespace.try_tcp(two.endpoint.address, 80), None);
    host.publish(&two, &[tcp(ANY, 8080)]).expect("published");
    assert_eq!(one.namespace.ask_tcp(HOST, 8080), says("two", one.endpoint.address));
}
