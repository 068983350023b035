//! What strangers and careless clients send to both doors.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use sampan_tests::client::{ask, token};
use sampan_tests::images;
use sampan_tests::server::Server;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(20);

trait Connection: Read + Write {}
impl Connection for TcpStream {}
impl Connection for UnixStream {}

fn http(server: &Server) -> Box<dyn Connection> {
    let stream = TcpStream::connect(server.http()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    Box::new(stream)
}

fn docker(server: &Server) -> Box<dyn Connection> {
    let stream = UnixStream::connect(server.docker_socket()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    Box::new(stream)
}

/// Sends bytes and reads to the end of the connection, which the server must make.
fn talk(mut connection: Box<dyn Connection>, request: &[u8]) -> String {
    // A server that refuses need not take all of it, and may reset the connection then.
    let _ = connection.write_all(request);
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// The same once it no longer changes: the connection by which the test saw the server start is closed a moment later.
fn at_rest(server: &Server) -> usize {
    let (mut last, mut since) = (descriptors(server), Instant::now());
    until("the server comes to rest", || {
        let now = descriptors(server);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    });
    last
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused_and_ends_the_connection() {
    let server = Server::start();
    let behind = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let heads = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        "Content-Length: 6\r\nContent-Length: 5\r\n\r\nabcdef",
        "Content-Length: +5\r\n\r\nabcde",
        "Content-Length : 5\r\n\r\nabcde",
        "Content-Length: 5, 5\r\n\r\nabcde",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ];
    for head in heads {
        for (path, connection) in [("/login", http(&server)), ("/containers/create", docker(&server))] {
            let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n{head}{behind}");
            let answer = talk(connection, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 4"), "{path} {head:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{path} {head:?}: {answer}");
        }
    }
    // Anybody can do it, so nobody has to act.
    assert!(!server.said().contains("ERROR"), "{}", server.said());
}

#[test]
fn heads_and_bodies_have_bounds() {
    let server = Server::start();
    let amber = token(&server, "amber", "blue", "developer");
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(2 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(10_000));
    for request in [long, many] {
        for connection in [http(&server), docker(&server)] {
            let answer = talk(connection, request.as_bytes());
            // One that is still sending may find the connection reset instead.
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }
    let send = |kind: &str, body: &[u8]| {
        let head = format!(
            "POST /api/v1/volumes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {amber}\r\n\
            Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        talk(http(&server), &[head.as_bytes(), body].concat())
    };
    let json = "application/json";
    assert!(send(json, &[b'['; 100_000]).starts_with("HTTP/1.1 400"));
    assert!(send(json, &vec![b' '; 2 << 20]).starts_with("HTTP/1.1 413"));
    assert!(send("text/plain", b"{}").starts_with("HTTP/1.1 415"));
    assert!(send("application/x-www-form-urlencoded", b"name=a").starts_with("HTTP/1.1 415"));
    assert_eq!(ask(&server, "GET", "/api/v1/volumes", &amber, b"").1["items"].as_array().unwrap().len(), 0);
}

#[test]
fn a_thousand_connections_that_say_nothing_starve_nobody() {
    let server = Server::start();
    let free = at_rest(&server);
    let silent: Vec<_> = (0..500).flat_map(|_| [docker(&server), http(&server)]).collect();
    until("all are accepted", || descriptors(&server) >= free + 1000);
    for (path, connection) in [("/_ping", docker(&server)), ("/healthz", http(&server))] {
        let begun = Instant::now();
        let answer =
            talk(connection, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    drop(silent);
    until("descriptors are given back", || descriptors(&server) <= free + 4);
}

/// How many files there are below, but for the folders that hold them.
fn files(root: &Path) -> usize {
    let entries = std::fs::read_dir(root).into_iter().flatten().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[test]
fn an_archive_that_stops_in_the_middle_leaves_nothing() {
    let server = Server::start();
    let amber = token(&server, "amber", "default", "developer");
    let archive = std::fs::read(images::busybox()).unwrap();
    let stored = || files(&server.data_root().join("layers")) + files(&server.data_root().join("content"));
    let (before, free) = (stored(), descriptors(&server));
    let head = |path: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            archive.len()
        )
    };
    let bearer = format!("Authorization: Bearer {amber}\r\n");
    for part in [1, archive.len() / 2, archive.len() - 1024] {
        for (head, mut connection) in
            [(head("/images/load", ""), docker(&server)), (head("/api/v1/images", &bearer), http(&server))]
        {
            connection.write_all(head.as_bytes()).unwrap();
            connection.write_all(&archive[..part]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    until("what was taken is removed", || stored() == before && descriptors(&server) <= free + 4);
    assert_eq!(ask(&server, "GET", "/api/v1/images", &amber, b"").1["items"].as_array().unwrap().len(), 0);
    assert_eq!(ask(&server, "POST", "/api/v1/images", &amber, &archive).0, 201);
}
