//! Clients: accounts by `sampan admin`, REST with their tokens, and the docker CLI.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::server::{Server, program};

/// Runs `sampan admin` on the server's data root; gives the last line it says.
///
/// # Panics
/// When it fails: the test cannot go on.
pub fn admin(server: &Server, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program())
        .arg("admin")
        .args(arguments)
        .arg("--data-root")
        .arg(server.data_root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap_or_default().to_owned()
}

/// A user with a role in a team, and their token.
///
/// # Panics
/// When it fails: the test cannot go on.
pub fn token(server: &Server, user: &str, team: &str, role: &str) -> String {
    admin(server, &["create-user", user, "--password-stdin"], "correct horse");
    if team != "default" {
        admin(server, &["create-team", team], "");
    }
    admin(server, &["add-member", team, user, role], "");
    admin(server, &["create-token", user, "--team", team], "")
}

/// One request on a connection of its own: the status, and the body as JSON (else as text).
///
/// # Panics
/// When it fails: the test cannot go on.
pub fn ask(server: &Server, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.http()).unwrap();
    let kind = if body.first() == Some(&b'{') { "application/json" } else { "application/x-tar" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n\
        content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = String::from_utf8_lossy(&answer[end + 4..]).into_owned();
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// The docker CLI at the server's socket; ended when it takes more than `seconds`.
///
/// # Panics
/// When it cannot be started: the test cannot go on.
pub fn docker(server: &Server, seconds: u32, arguments: &[&str]) -> Output {
    let (most, socket) = (seconds.to_string(), format!("unix://{}", server.docker_socket().display()));
    // The CLI ignores SIGTERM.
    Command::new("timeout").args(["-k", "1", &most, "docker", "-H", &socket]).args(arguments).output().unwrap()
}

/// What it says without the last line feed.
///
/// # Panics
/// When it fails: the test cannot go on.
pub fn docker_ok(server: &Server, seconds: u32, arguments: &[&str]) -> String {
    let ended = docker(server, seconds, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap().trim_end().to_owned()
}
