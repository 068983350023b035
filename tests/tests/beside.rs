//! Two instances on one host, both under load: nothing is shared, and the end of one leaves the other whole.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sampan_tests::server::Server;
use sampan_tests::{client, images};

/// Containers of each instance.
const CONTAINERS: usize = 20;

fn ok(server: &Server, arguments: &[&str]) -> String {
    client::docker_ok(server, 60, arguments)
}

/// What answers at a published port; empty when nothing does.
fn answer(port: u16) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A container that says at a port whose it is, and the port.
fn publish(server: &Server, word: &str) -> u16 {
    let port = free_port();
    let say = format!("while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n{word}' | nc -l -p 80; done");
    let published = format!("127.0.0.1:{port}:80");
    ok(server, &["run", "-d", "--name", "web", "-p", &published, "busybox", "sh", "-c", &say]);
    port
}

fn until_answers(port: u16, word: &str) {
    let begun = Instant::now();
    while !answer(port).ends_with(word) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{word} does not answer at {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts and ends containers with ports in turns, as many at the end as at the beginning.
fn load(server: &Server) {
    for turn in 0..CONTAINERS {
        let name = format!("turn{turn}");
        ok(server, &["run", "-d", "--name", &name, "-p", "127.0.0.1::80", "busybox", "sleep", "600"]);
        if turn % 2 == 1 {
            ok(server, &["rm", "-f", &name, &format!("turn{}", turn - 1)]);
        }
    }
}

#[test]
fn two_instances_share_nothing_and_one_ends_without_the_other() {
    let (left, right) = (Server::start(), Server::start());
    for server in [&left, &right] {
        ok(server, &["load", "-qi", images::busybox().to_str().unwrap()]);
    }
    let (left_port, right_port) = (publish(&left, "left"), publish(&right, "right"));
    std::thread::scope(|scope| {
        scope.spawn(|| load(&left));
        scope.spawn(|| load(&right));
    });
    for server in [&left, &right] {
        assert_eq!(ok(server, &["ps", "-a", "--format", "{{.Names}}"]), "web");
    }
    until_answers(left_port, "left");
    until_answers(right_port, "right");
    let subnet =
        |server: &Server| ok(server, &["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "bridge"]);
    assert_ne!(subnet(&left), subnet(&right));

    // `sampan down --purge`, as the end of each of these servers is.
    drop(left);
    assert_eq!(answer(left_port), "");
    until_answers(right_port, "right");
    load(&right);
    assert_eq!(ok(&right, &["ps", "-a", "--format", "{{.Names}}"]), "web");
}
