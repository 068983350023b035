//! What a container does not reach.

use super::*;

#[test]
fn teams_do_not_reach_each_other() {
    let host = Host::new("ia");
    let (one, two) = (host.container("one", "red"), host.container("two", "blue"));
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert_eq!(one.namespace.try_ask(protocol, two.endpoint.address, 80), None);
        assert_eq!(two.namespace.try_ask(protocol, one.endpoint.address, 80), None);
    }
}

#[test]
fn the_outside_does_not_reach_what_was_not_published() {
    let host = Host::new("ib");
    let one = host.container("one", "red");
    host.publish(&one, &[tcp(LOCALHOST, 8080)]).expect("published");
    assert_eq!(host.outside.try_tcp(one.endpoint.address, 80), None, "by a route through the host");
}

#[test]
fn containers_do_not_reach_sampans_doors_and_do_reach_others_of_the_host() {
    let host = Host::new("ic");
    let _api = Answering::start(&host.namespace, "api", ANY, 7070);
    let _tls = Answering::start(&host.namespace, "tls", ANY, 7443);
    let _other = Answering::start(&host.namespace, "other", ANY, 7071);
    let one = host.container("one", "red");
    for address in [HOST, SECOND, one.endpoint.gateway] {
        assert_eq!(one.namespace.try_tcp(address, 7070), None);
        assert_eq!(one.namespace.try_tcp(address, 7443), None);
        assert_eq!(one.namespace.ask_tcp(address, 7071), says("other", one.endpoint.address));
    }
    assert_eq!(host.outside.ask_tcp(HOST, 7443), says("tls", OUTSIDE));
}

/// The bridge routes 127.0.0.0/8, so that loopback reaches published ports: nothing else may come of it.
#[test]
fn a_container_that_sends_to_the_hosts_loopback_is_not_heard() {
    let host = Host::new("id");
    let _secret = Answering::start(&host.namespace, "secret", LOCALHOST, 6000);
    let one = host.container("one", "red");
    assert_eq!(host.namespace.ask_tcp(LOCALHOST, 6000), says("secret", LOCALHOST));
    send_loopback_out(&one);
    assert_eq!(one.namespace.try_tcp(LOCALHOST, 6000), None);
    assert_eq!(one.namespace.try_udp(LOCALHOST, 6000), None);
}

/// Takes loopback's address away and with it the local route of 127.0.0.0/8.
fn remove_loopback_address(batch: &mut Batch) {
    let mut header = [2, 8, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&1_u32.to_ne_bytes());
    batch.message(21, 4, &header).attribute(2, &[127, 0, 0, 1]);
}

/// Routes 127.0.0.0/8 to the gateway.
fn send_loopback_out(container: &Container) {
    let namespace = &container.namespace;
    let eth0 = namespace.index("eth0");
    let gateway = container.endpoint.gateway;
    namespace.run(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").expect("a parameter"));
    namespace.route(|batch| {
        remove_loopback_address(batch);
        let header = [2, 8, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        batch.message(24, 4 | 0x400, &header).attribute(1, &[127, 0, 0, 0]);
        batch.attribute(5, &gateway.octets()).number(4, eth0);
    });
}

/// Reverse path: an address of another team's bridge, or of the host's loopback, does not come in by this one.
#[test]
fn a_container_does_not_speak_for_anyone_beyond_its_bridge() {
    let host = Host::new("ie");
    let (one, two) = (host.container("one", "red"), host.container("two", "blue"));
    let listener = host.namespace.run(|| {
        let socket = UdpSocket::bind((ANY, 6002)).expect("a socket");
        socket.set_read_timeout(Some(SHORT)).expect("a time-out");
        socket
    });
    let eth0 = one.namespace.index("eth0");
    let stolen = [two.endpoint.address, Ipv4Addr::new(127, 0, 0, 5)];
    one.namespace.route(|batch| {
        remove_loopback_address(batch);
        for address in stolen {
            address::add(batch, address::Address { index: eth0, address, prefix: 32 });
        }
    });
    one.namespace.run(|| {
        std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").expect("a parameter");
        let send = |from: Ipv4Addr, text: &[u8]| {
            UdpSocket::bind((from, 0)).expect("a socket").send_to(text, (HOST, 6002)).expect("sent");
        };
        send(stolen[0], b"stolen");
        send(stolen[1], b"stolen too");
        send(one.endpoint.address, b"own");
    });
    let mut bytes = [0; 16];
    let (length, from) = listener.recv_from(&mut bytes).expect("the honest packet");
    assert_eq!((&bytes[..length], from.ip()), (&b"own"[..], one.endpoint.address.into()));
    assert!(listener.recv_from(&mut bytes).is_err(), "another packet arrived");
}

#[test]
fn a_host_that_did_not_forward_is_no_router_for_its_neighbours() {
    let host = Host::new("if");
    let far = Namespace::new();
    far.route(|batch| link::bring_up(batch, "lo"));
    host.namespace.route(|batch| {
        let pair = link::VethPair {
            name: "lan1",
            bridge: 0,
            peer: "eth0",
            peer_mac: [2, 0, 0, 0, 0, 8],
            namespace: far.file.as_fd(),
            mtu: 1500,
        };
        link::add_veth(batch, &pair);
    });
    let (near, there) = (host.namespace.index("lan1"), far.index("eth0"));
    let gateway = Ipv4Addr::new(203, 0, 113, 1);
    let neighbour = Ipv4Addr::new(203, 0, 113, 2);
    host.namespace.route(|batch| address::add(batch, address::Address { index: near, address: gateway, prefix: 24 }));
    far.route(|batch| {
        link::bring_up(batch, "eth0");
        address::add(batch, address::Address { index: there, address: neighbour, prefix: 24 });
        route::add_default(batch, gateway, there);
    });
    let _server = Answering::start(&far, "far", ANY, 80);
    let _one = host.container("one", "red");
    assert_eq!(host.namespace.read("/proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(host.namespace.ask_tcp(neighbour, 80), says("far", gateway));
    assert_eq!(host.outside.try_tcp(neighbour, 80), None);
}
