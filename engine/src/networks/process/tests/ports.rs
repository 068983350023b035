//! Published ports: from where they answer, and when they are refused.

use super::*;

#[test]
fn a_port_answers_from_everywhere() {
    let host = Host::new("pa");
    let (one, sibling) = (host.container("one", "red"), host.container("two", "red"));
    let stranger = host.container("three", "blue");
    host.publish(&one, &[tcp(ANY, 8080), udp(ANY, 8080)]).expect("published");
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let ask = |from: &Namespace, address| from.ask(protocol, address, 8080);
        let gateway = one.endpoint.gateway;
        assert_eq!(ask(&host.namespace, LOCALHOST), says("one", gateway), "from the host by loopback");
        assert_eq!(ask(&host.namespace, HOST), says("one", HOST), "from the host by its address");
        assert_eq!(ask(&host.namespace, SECOND), says("one", SECOND), "from the host by another address");
        assert_eq!(ask(&host.outside, HOST), says("one", OUTSIDE), "from outside");
        assert_eq!(ask(&host.outside, SECOND), says("one", OUTSIDE), "from outside by another address");
        assert_eq!(ask(&one.namespace, HOST), says("one", gateway), "from itself");
        assert_eq!(ask(&one.namespace, gateway), says("one", gateway), "from itself by the gateway");
        assert_eq!(ask(&sibling.namespace, SECOND), says("one", gateway), "from the same team");
        assert_eq!(ask(&stranger.namespace, HOST), says("one", gateway), "from another team");
    }
    host.done(&Request::Unpublish { id: "one".into() });
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert_eq!(host.namespace.try_ask(protocol, LOCALHOST, 8080), None);
        assert_eq!(host.outside.try_ask(protocol, HOST, 8080), None);
    }
}

#[test]
fn a_port_of_one_address_answers_there_only() {
    let host = Host::new("pb");
    let (one, two) = (host.container("one", "red"), host.container("two", "red"));
    host.publish(&one, &[tcp(LOCALHOST, 8080)]).expect("published");
    host.publish(&two, &[tcp(SECOND, 8080)]).expect("published");
    assert_eq!(host.namespace.ask_tcp(LOCALHOST, 8080), says("one", one.endpoint.gateway));
    assert_eq!(host.namespace.ask_tcp(SECOND, 8080), says("two", SECOND));
    assert_eq!(host.outside.ask_tcp(SECOND, 8080), says("two", OUTSIDE));
    assert_eq!(host.namespace.try_tcp(HOST, 8080), None);
    assert_eq!(host.outside.try_tcp(HOST, 8080), None);
    assert_eq!(two.namespace.try_tcp(one.endpoint.gateway, 8080), None);
}

#[test]
fn ports_are_published_all_or_none_and_refusals_say_by_whom_they_are_taken() {
    let host = Host::new("pc");
    let (one, two) = (host.container("one", "red"), host.container("two", "blue"));
    let _program = Answering::start(&host.namespace, "program", LOCALHOST, 9000);
    host.publish(&one, &[tcp(ANY, 8080), udp(HOST, 5353)]).expect("published");

    let refused = |ports: &[Port]| host.publish(&two, ports).expect_err("refused");
    assert_eq!(refused(&[tcp(ANY, 81), tcp(ANY, 9000)]), "Conflict: port 9000 on 0.0.0.0 is taken by another program");
    assert_eq!(refused(&[udp(ANY, 9000)]), "Conflict: port 9000 on 0.0.0.0 is taken by another program");
    assert_eq!(refused(&[tcp(LOCALHOST, 8080)]), "Conflict: port 8080 on 127.0.0.1 is taken by another container");
    assert_eq!(refused(&[udp(ANY, 5353)]), "Conflict: port 5353 on 0.0.0.0 is taken by another container");
    assert_eq!(refused(&[tcp(ANY, 82), tcp(HOST, 82)]), "Conflict: port 82 on 192.0.2.1 is asked for twice");
    let nowhere = Ipv4Addr::new(203, 0, 113, 1);
    assert_eq!(refused(&[tcp(nowhere, 83)]), "Invalid: 203.0.113.1 is no address of this host");
    assert_eq!(refused(&[port(ANY, 84, 0, Protocol::Tcp)]), "Invalid: port 0 of a container cannot be published");
    let foreign = host.publish_as("two", one.endpoint.address, &[tcp(ANY, 85)]).expect_err("refused");
    assert_eq!(foreign, format!("Invalid: {} is not the address of container two", one.endpoint.address));

    assert_eq!(host.namespace.try_tcp(LOCALHOST, 81), None, "nothing half made");
    host.publish(&two, &[tcp(ANY, 81), tcp(LOCALHOST, 5353)]).expect("other ports are free");
    assert_eq!(host.namespace.ask_tcp(HOST, 81), says("two", HOST));
}

#[test]
fn a_published_port_is_taken_for_other_programs() {
    let host = Host::new("pd");
    let one = host.container("one", "red");
    host.publish(&one, &[tcp(ANY, 8080), udp(ANY, 8080), tcp(LOCALHOST, 80)]).expect("published");
    let bind_tcp = |address, port| host.namespace.run(|| TcpListener::bind((address, port)).is_ok());
    let bind_udp = |address, port| host.namespace.run(|| UdpSocket::bind((address, port)).is_ok());
    assert!(!bind_tcp(ANY, 8080) && !bind_tcp(HOST, 8080) && !bind_udp(ANY, 8080) && !bind_udp(LOCALHOST, 8080));
    assert!(!bind_tcp(ANY, 80) && !bind_tcp(LOCALHOST, 80) && bind_tcp(HOST, 80));
    host.detach(&one);
    assert!(bind_tcp(ANY, 8080) && bind_udp(ANY, 8080) && bind_tcp(ANY, 80));
}

#[test]
fn ports_without_a_number_get_free_ones() {
    let host = Host::new("pe");
    let (one, two) = (host.container("one", "red"), host.container("two", "red"));
    let _program = Answering::start(&host.namespace, "program", ANY, 49_154);
    let ports = host.publish(&one, &[tcp(ANY, 0), udp(ANY, 0), tcp(ANY, 7), tcp(LOCALHOST, 0)]).expect("published");
    let numbers: Vec<_> = ports.iter().map(|port| port.host_port).collect();
    assert_eq!(numbers, [49_153, 49_155, 7, 49_156]);
    let more = host.publish(&two, &[tcp(ANY, 0)]).expect("published");
    assert_eq!(host.namespace.ask_tcp(HOST, more[0].host_port), says("two", HOST));
    assert_eq!(host.namespace.ask_udp(HOST, 49_155), says("one", HOST));
}

#[test]
fn publishing_again_replaces_and_holds_what_both_have() {
    let host = Host::new("pf");
    let one = host.container("one", "red");
    let _other = Answering::start(&one.namespace, "other", ANY, 81);
    host.publish(&one, &[tcp(ANY, 8080), tcp(ANY, 8081)]).expect("published");
    host.publish(&one, &[port(ANY, 8080, 81, Protocol::Tcp), tcp(ANY, 8082)]).expect("published");
    assert_eq!(host.namespace.ask_tcp(HOST, 8080), says("other", HOST));
    assert_eq!(host.namespace.try_tcp(HOST, 8081), None);
    assert_eq!(host.namespace.ask_tcp(HOST, 8082), says("one", HOST));
    let two = host.container("two", "red");
    host.publish(&two, &[tcp(ANY, 8081)]).expect("given back");
}

#[test]
fn ports_can_be_taken_before_the_container_has_an_address() {
    let host = Host::new("pg");
    host.publish_as("late", ANY, &[tcp(ANY, 8080)]).expect("published");
    assert!(host.namespace.run(|| TcpListener::bind((ANY, 8080)).is_err()));
    let cradle = host.container("cradle", "red");
    assert_eq!(host.namespace.try_tcp(HOST, 8080), None);
    host.done(&Request::Rename { from: "cradle".into(), to: "late".into() });
    assert_eq!(host.namespace.ask_tcp(HOST, 8080), says("cradle", HOST));
    drop(cradle);
    let again = host.container("late", "red");
    assert_eq!(host.namespace.ask_tcp(HOST, 8080), says("late", HOST), "a new namespace of the same container");
    host.detach(&again);
    assert!(host.namespace.run(|| TcpListener::bind((ANY, 8080)).is_ok()));
}

#[test]
fn a_client_that_sends_on_and_on_reaches_the_new_container() {
    let host = Host::new("ph");
    let one = host.container("one", "red");
    host.namespace.run(|| {
        let socket = UdpSocket::bind((ANY, 0)).expect("a socket");
        socket.connect((HOST, 8080)).expect("a destination");
        assert_eq!(ask_by(&socket, SHORT), None);
        host.publish(&one, &[udp(ANY, 8080)]).expect("published");
        assert_eq!(ask_by(&socket, PATIENCE), says("one", HOST));
        host.done(&Request::Unpublish { id: "one".into() });
        let two = host.container("two", "red");
        host.publish(&two, &[udp(ANY, 8080)]).expect("published");
        assert_eq!(ask_by(&socket, PATIENCE), says("two", HOST));
    });
}
