//! Killed at any time, started again, and gone without a trace.

use sampan_runtime::wire::keeper;
use sampan_runtime::wire::socket::Listener;

use super::*;
use crate::networks::nftables::has_table;

fn state(host: &Host) -> Answer {
    host.call(&Request::State { after: String::new() }, &[])
}

#[test]
fn a_killed_net_is_not_noticed_and_a_new_one_carries_on() {
    let mut host = Host::new("la");
    let one = host.container("one", "red");
    host.publish(&one, &[tcp(ANY, 8080), udp(ANY, 8080), tcp(LOCALHOST, 8081)]).expect("published");
    let before = state(&host);
    host.kill_net();
    assert_eq!(host.outside.ask_tcp(HOST, 8080), says("one", OUTSIDE), "while it is away");
    host.start_net();
    assert_eq!(state(&host), before);
    assert_eq!(host.namespace.ask_udp(LOCALHOST, 8080), says("one", one.endpoint.gateway));
    assert!(host.namespace.run(|| TcpListener::bind((ANY, 8080)).is_err()));
    let two = host.container("two", "red");
    assert_ne!(two.endpoint.address, one.endpoint.address);
    assert_eq!(two.endpoint.gateway, one.endpoint.gateway);
    assert_eq!(two.namespace.ask_tcp(one.endpoint.address, 80), says("one", two.endpoint.address));
    let refused = host.publish(&two, &[tcp(ANY, 8081)]).expect_err("refused");
    assert_eq!(refused, "Conflict: port 8081 on 0.0.0.0 is taken by another container");
}

#[test]
fn what_was_left_half_made_goes_at_the_next_start() {
    let mut host = Host::new("lb");
    let one = host.container("one", "red");
    host.publish(&one, &[tcp(ANY, 8080)]).expect("published");
    host.kill_net();
    // A bridge without alias and address, a link without a file, an endpoint whose namespace ended.
    let half = Namespace::new();
    host.namespace.route(|batch| {
        link::add_bridge(batch, "spnlb7", [2, 0, 0, 0, 0, 1], 1500);
        let pair = link::VethPair {
            name: "spnlbvzz",
            bridge: 0,
            peer: "eth0",
            peer_mac: [2, 0, 0, 0, 0, 2],
            namespace: half.file.as_fd(),
            mtu: 1500,
        };
        link::add_veth(batch, &pair);
        link::delete(batch, "spnlbv0");
    });
    host.start_net();
    let names: Vec<_> = host.namespace.links().into_iter().map(|link| link.name).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("spn")).count(), 3, "{names:?}");
    assert!(["spnlb0", "spnlbk0", "spnlbl0"].iter().all(|name| names.iter().any(|other| other == name)));
    let Answer::State { endpoints, ports, .. } = state(&host) else { panic!("no state") };
    assert_eq!(endpoints, []);
    assert_eq!(ports.len(), 1, "the port stays reserved until it is taken back");
    assert_eq!(host.namespace.try_tcp(HOST, 8080), None);
    let again = host.container("one", "red");
    assert_eq!(host.namespace.ask_tcp(HOST, 8080), says("one", HOST));
    assert!(host.namespace.links().iter().any(|link| link.name == "spnlbv100" || link.name == "spnlbv0"));
    drop(again);
}

#[test]
fn an_attach_whose_answer_was_lost_can_be_repeated() {
    let host = Host::new("lc");
    let namespace = Namespace::new();
    assert!(matches!(host.attach("one", "red", &namespace), Answer::Attached(_)));
    let Answer::Attached(endpoint) = host.attach("one", "red", &namespace) else { panic!("not attached") };
    let _server = Answering::start(&namespace, "one", ANY, 80);
    assert_eq!(host.namespace.ask_tcp(endpoint.address, 80), says("one", endpoint.gateway));
    let Answer::State { endpoints, .. } = state(&host) else { panic!("no state") };
    assert_eq!(endpoints, [("one".to_owned(), endpoint)]);
}

#[test]
fn purge_leaves_nothing() {
    let mut host = Host::bare("ld");
    let look = |host: &Host| {
        let mut names: Vec<_> = host.namespace.links().into_iter().map(|link| link.name).collect();
        names.sort();
        (names, host.namespace.read("/proc/sys/net/ipv4/ip_forward"))
    };
    let before = look(&host);
    assert_eq!(before.1, "0");
    host.start_net();
    let (one, _two) = (host.container("one", "red"), host.container("two", "blue"));
    host.publish(&one, &[tcp(ANY, 8080)]).expect("published");
    host.done(&Request::Purge);
    assert_eq!(look(&host), before);
    let has = host.namespace.run(|| has_table(&mut Socket::netfilter(0).expect("a socket"), "sampan-ld"));
    assert!(!has.expect("tables"));
    assert!(host.namespace.run(|| TcpListener::bind((ANY, 8080)).is_ok()));
    for folder in ["endpoints", "ports", "host"] {
        let path = host.root().join("net").join(folder);
        assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 0, "{}", path.display());
    }
}

#[test]
fn an_address_is_free_again_when_its_link_is_gone() {
    let host = Host::new("le");
    let one = host.container("one", "red");
    let link = host.namespace.links().into_iter().find(|link| link.name == "spnlev0");
    assert!(link.is_some());
    host.detach(&one);
    host.done(&Request::Detach { id: "unknown".into() });
    let Answer::State { endpoints, .. } = state(&host) else { panic!("no state") };
    assert_eq!(endpoints, []);
    host.done(&Request::RemoveTeam { team: "red".into() });
    assert!(!host.namespace.links().iter().any(|link| link.name == "spnle0"));
}

#[test]
fn a_team_with_containers_keeps_its_bridge() {
    let host = Host::new("lf");
    let _one = host.container("one", "red");
    let Answer::Refused(refusal) = host.call(&Request::RemoveTeam { team: "red".into() }, &[]) else {
        panic!("not refused")
    };
    assert_eq!(refusal.message, "containers of team red are still on its network");
}

#[test]
fn two_instances_on_one_host_share_nothing() {
    let first = Host::new("lg");
    let mut second = first.beside("lh");
    let one = first.container("one", "red");
    second.start_net();
    let two = second.container("two", "red");
    assert_ne!(one.endpoint.gateway, two.endpoint.gateway);
    assert_eq!(one.namespace.try_tcp(two.endpoint.address, 80), None);
    first.publish(&one, &[tcp(ANY, 8080)]).expect("published");
    let refused = second.publish(&two, &[tcp(ANY, 8080)]).expect_err("refused");
    assert_eq!(refused, "Conflict: port 8080 on 0.0.0.0 is taken by another program");
    assert_eq!(two.namespace.ask_tcp(HOST, 8080), says("one", one.endpoint.gateway));
    first.done(&Request::Purge);
    assert_eq!(second.namespace.read("/proc/sys/net/ipv4/ip_forward"), "1", "the other one still counts on it");
    second.publish(&two, &[tcp(ANY, 8080)]).expect("published");
    assert_eq!(second.outside.ask_tcp(HOST, 8080), says("two", OUTSIDE));
}

fn keeper_socket(host: &Host) -> Listener {
    let path = host.root().join("keeper.sock");
    let listener = Listener::bind(&path).expect("keeper's socket");
    std::os::unix::fs::chown(&path, Some(UID), Some(UID)).expect("chown");
    listener
}

/// Keeper as far as a hello; what it answers with is open until it is joined and dropped.
fn keeper_of(host: &Host) -> JoinHandle<(Listener, Connection)> {
    let listener = keeper_socket(host);
    std::thread::spawn(move || {
        let connection = listener.accept().expect("net comes");
        connection.receive::<keeper::Request>().expect("a hello").expect("a hello");
        connection.send(&keeper::Answer::Welcome { version: VERSION }, &[]).expect("an answer");
        (listener, connection)
    })
}

/// One that does not listen yet when its keeper is killed is not found by the next keeper, and not told to end.
#[test]
fn a_net_whose_keeper_was_killed_goes_on_until_there_is_another_keeper() {
    let mut host = Host::bare("li");
    let first = keeper_of(&host);
    host.start_net();
    drop(first.join().expect("the first keeper"));
    // One that is being killed: it can be reached, and does not answer.
    let dying = keeper_socket(&host);
    drop(dying.accept().expect("net looks"));
    drop(dying);
    std::thread::sleep(SHORT);
    let _one = host.container("one", "red");
    let _another = keeper_of(&host);
    let ended = |host: &Host| host.net.as_ref().is_some_and(|net| net.thread.is_finished());
    let deadline = Instant::now() + PATIENCE;
    while !ended(&host) {
        assert!(Instant::now() < deadline, "it does not make room");
        std::thread::sleep(Duration::from_millis(5));
    }
}
