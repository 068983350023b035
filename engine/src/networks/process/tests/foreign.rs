//! Firewalls of others.

use super::*;
use crate::networks::nftables::{Family, Transaction, base_chains_on_forward, rules_with_comment};

const NEW_CHAIN: u16 = 0x0a03;

/// A chain on the forward hook that drops by policy, as Docker, ufw and iptables-nft make it.
fn drop_forwarding(host: &Host, family: Family, table: &str) {
    host.namespace.run(|| {
        let mut socket = Socket::netfilter(0).expect("a socket");
        let mut transaction = Transaction::new();
        transaction.table(family, table);
        transaction.commit(&mut socket).expect("a table");
        let mut batch = Batch::new();
        batch.message(0x10, 0, &[0, 0, 0, 10]);
        batch.message(NEW_CHAIN, 0x400 | 4, &[family as u8, 0, 0, 0]).text(1, table).text(3, "FORWARD");
        batch.nest(4, |hook| {
            hook.number_be(1, 2).number_be(2, 0);
        });
        batch.number_be(5, 0).text(7, "filter");
        batch.message(0x11, 0, &[0, 0, 0, 10]);
        socket.transact(batch).expect("a chain");
    });
}

fn our_rules(host: &Host) -> usize {
    host.namespace.run(|| {
        let mut socket = Socket::netfilter(0).expect("a socket");
        let chains = base_chains_on_forward(&mut socket).expect("chains");
        let foreign = chains.iter().filter(|chain| chain.name == "FORWARD");
        let comment = format!("sampan-{}", host.instance);
        foreign.map(|chain| rules_with_comment(&mut socket, chain, &comment).expect("rules").len()).sum()
    })
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_foreign_policy_drop_breaks_nothing_and_opens_nothing() {
    let host = Host::new("fa");
    drop_forwarding(&host, Family::Ipv4, "filter");
    let _outside = Answering::start(&host.outside, "outside", ANY, 53);
    let (one, two) = (host.container("one", "red"), host.container("two", "blue"));
    host.publish(&one, &[tcp(ANY, 8080)]).expect("published");
    assert_eq!(one.namespace.ask_tcp(OUTSIDE, 53), says("outside", HOST));
    assert_eq!(host.outside.ask_tcp(HOST, 8080), says("one", OUTSIDE));
    assert_eq!(two.namespace.ask_tcp(HOST, 8080), says("one", one.endpoint.gateway));
    assert_eq!(host.outside.try_tcp(one.endpoint.address, 80), None);
    assert_eq!(two.namespace.try_tcp(one.endpoint.address, 80), None);
    assert_eq!(our_rules(&host), 2);
    host.done(&Request::Purge);
    assert_eq!(our_rules(&host), 0);
}

#[test]
fn a_firewall_that_comes_later_or_is_loaded_again_is_seen() {
    let host = Host::new("fb");
    let one = host.container("one", "red");
    host.publish(&one, &[tcp(ANY, 8080)]).expect("published");
    assert_eq!(host.outside.ask_tcp(HOST, 8080), says("one", OUTSIDE));
    for _ in 0..2 {
        drop_forwarding(&host, Family::Inet, "firewall");
        eventually("our rules come", || our_rules(&host) == 2);
        assert_eq!(host.outside.ask_tcp(HOST, 8080), says("one", OUTSIDE));
        host.namespace.run(|| {
            let mut transaction = Transaction::new();
            transaction.delete_table(Family::Inet, "firewall");
            transaction.commit(&mut Socket::netfilter(0).expect("a socket")).expect("removed");
        });
    }
}
