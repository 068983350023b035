//! What goes over the socket, where the CLI does not show it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::docker::Docker;

/// Sends bytes and reads the answer to its end.
fn talk(docker: &Docker, request: &str) -> String {
    let mut socket = UnixStream::connect(docker.socket()).expect("socket");
    socket.write_all(request.as_bytes()).expect("request");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(docker: &Docker, path: &str) -> String {
    talk(docker, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

#[test]
fn versions_are_negotiated() {
    let docker = Docker::start();
    let pinged = get(&docker, "/_ping").to_lowercase();
    assert!(
        pinged.starts_with("http/1.1 200") && pinged.contains("api-version: 1.51") && pinged.ends_with("ok"),
        "{pinged}"
    );
    assert!(get(&docker, "/v1.24/containers/json").starts_with("HTTP/1.1 200"));
    let old = get(&docker, "/v1.23/containers/json");
    assert!(old.starts_with("HTTP/1.1 400") && old.contains("client version 1.23 is too old"), "{old}");
    let new = get(&docker, "/v1.99/containers/json");
    assert!(new.starts_with("HTTP/1.1 400") && new.contains("client version 1.99 is too new"), "{new}");
    assert!(get(&docker, "/v1.51/nothing").starts_with("HTTP/1.1 404"));
    assert!(docker.ok(&["version", "--format", "{{.Server.APIVersion}} {{.Server.MinAPIVersion}}"]) == "1.51 1.24");
    assert!(
        docker.ok(&["info", "--format", "{{.Driver}} {{.DefaultRuntime}} {{.Swarm.LocalNodeState}}"])
            == "sampan sampan inactive"
    );
}

#[test]
fn both_styles_of_hijacking_carry_input_and_output() {
    let docker = Docker::start();
    for upgrade in ["Connection: Upgrade\r\nUpgrade: tcp\r\n", ""] {
        docker.ok(&["create", "-i", "--name", "web", "busybox", "cat"]);
        let mut socket = UnixStream::connect(docker.socket()).expect("socket");
        let request =
            format!("POST /containers/web/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n");
        socket.write_all(request.as_bytes()).expect("request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("head");
            head.push(byte[0]);
        }
        let expected: &[u8] = if upgrade.is_empty() { b"HTTP/1.1 200" } else { b"HTTP/1.1 101" };
        assert!(head.starts_with(expected), "{}", String::from_utf8_lossy(&head));
        docker.ok(&["start", "web"]);
        socket.write_all(b"hi\n").expect("input");
        socket.shutdown(std::net::Shutdown::Write).expect("half-close");
        let mut output = Vec::new();
        socket.read_to_end(&mut output).expect("output");
        assert_eq!(output, b"\x01\0\0\0\0\0\0\x03hi\n");
        docker.ok(&["wait", "web"]);
        docker.ok(&["rm", "web"]);
    }
}
