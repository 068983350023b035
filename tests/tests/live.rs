//! Websockets of clients that are slow, silent or many, while containers write: by a real server.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sampan_tests::client::{self, ask, token};
use sampan_tests::images;
use sampan_tests::server::Server;

/// What the container writes.
const LOG_BYTES: usize = 300 << 20;
/// What serve may take more than before, whatever its clients do.
const GROWTH_KIB: u64 = 48 << 10;

fn ok(server: &Server, arguments: &[&str]) -> String {
    client::docker_ok(server, 120, arguments)
}

/// Memory of `sampan serve` that is its own, in KiB.
fn own_kib(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", server.pid())).unwrap();
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    of("Private_Dirty:") + of("Private_Clean:")
}

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

fn until(what: &str, patience: Duration, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A websocket whose handshake is done and that is not read any more.
fn open(server: &Server, path: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.http()).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

#[test]
fn readers_that_stand_still_cost_a_bounded_amount_and_hold_nobody_up() {
    let server = Server::start();
    let amber = token(&server, "amber", "default", "developer");
    ok(&server, &["load", "-qi", images::busybox().to_str().unwrap()]);
    let flood = format!("while ! [ -e /go ]; do usleep 20000; done; yes 0123456789abcdef | head -c {LOG_BYTES}");
    let limits = ["--log-opt", "max-size=400m", "--log-opt", "max-file=2"];
    let run = [&["run", "-d", "--name", "flood", "--network", "none"][..], &limits, &["busybox", "sh", "-c", &flood]];
    ok(&server, &run.concat());
    let (free, before) = (descriptors(&server), own_kib(&server));

    let path = |name: &str| format!("/live/containers/flood/{name}");
    let mut standing: Vec<TcpStream> = (0..4).map(|_| open(&server, &path("logs"), &amber)).collect();
    standing.push(open(&server, &path("stats"), &amber));
    standing.push(open(&server, "/live/events", &amber));
    let follow = format!(
        "/api/v1/containers/flood/logs?follow=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {amber}\r\n\r\n"
    );
    let mut rest = TcpStream::connect(server.http()).unwrap();
    rest.write_all(format!("GET {follow}").as_bytes()).unwrap();
    standing.push(rest);

    ok(&server, &["exec", "flood", "touch", "/go"]);
    let mut most = 0;
    until("the container ends", Duration::from_secs(60), || {
        most = most.max(own_kib(&server));
        ask(&server, "GET", "/api/v1/containers/flood", &amber, b"").1["state"] == "exited"
    });
    assert_eq!(ok(&server, &["inspect", "-f", "{{.State.ExitCode}}", "flood"]), "0");
    assert!(most < before + GROWTH_KIB, "{most} KiB after {before}");
    let log = client::docker(&server, 120, &["logs", "flood"]).stdout;
    assert_eq!(log.len(), LOG_BYTES);
    assert!(log.chunks(17).all(|line| b"0123456789abcdef\n".starts_with(line)));
    drop(standing);
    until("descriptors are given back", Duration::from_secs(20), || descriptors(&server) <= free + 4);
}

#[test]
fn two_hundred_quiet_websockets_are_kept_and_cost_little() {
    let server = Server::start();
    let amber = token(&server, "amber", "default", "developer");
    ask(&server, "GET", "/api/v1/containers", &amber, b"");
    let (free, before) = (descriptors(&server), own_kib(&server));
    let mut quiet: Vec<TcpStream> = (0..200).map(|_| open(&server, "/live/events", &amber)).collect();
    std::thread::sleep(Duration::from_secs(2));
    let after = own_kib(&server);
    assert!(after < before + 200 * 64, "{after} KiB after {before}");
    // Each of them hears of what happens.
    assert_eq!(ask(&server, "POST", "/api/v1/volumes", &amber, br#"{"name":"new"}"#).0, 201);
    for stream in &mut quiet {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&heard).contains("\"volume\"") {
            let count = stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "it was closed");
            heard.extend_from_slice(&piece[..count]);
        }
    }
    drop(quiet);
    until("descriptors are given back", Duration::from_secs(20), || descriptors(&server) <= free + 4);
}
