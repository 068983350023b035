//! What goes over the socket, where the CLI does not show it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::docker::{Docker, end};

/// Sends bytes and reads the answer to its end. A server that has refused need not take the rest of the request.
fn talk(docker: &Docker, request: &str) -> String {
    let mut socket = UnixStream::connect(docker.socket()).expect("socket");
    let sent = socket.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    assert!(!answer.is_empty(), "no answer: {sent:?}, {read:?}");
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
fn bad_requests_get_a_sentence() {
    let docker = Docker::start();
    let create = |body: &str, kind: &str| {
        let head = format!(
            "POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        talk(&docker, &(head + body))
    };
    let answer = create("{", "application/json");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid JSON"), "{answer}");
    let answer = create("{}", "text/plain");
    assert!(answer.contains("unsupported Content-Type header (text/plain)"), "{answer}");
    let answer = create(r#"{"Image": "busybox", "HostConfig": {"Memory": "much"}}"#, "application/json");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let huge = format!(r#"{{"Image": "{}"}}"#, "x".repeat(5 << 20));
    let answer = create(&huge, "application/json");
    assert!(answer.starts_with("HTTP/1.1 413"), "{}", &answer[..answer.len().min(200)]);
    assert_eq!(docker.ok(&["ps", "-aq"]), "");
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

#[test]
fn the_server_ends_while_clients_listen_and_containers_stay() {
    let mut docker = Docker::start();
    docker.ok(&["run", "-di", "--name", "web", "busybox", "cat"]);
    let pid = docker.inspect("web", ".State.Pid");
    let listen = |arguments: &[&str]| {
        let piped = std::process::Stdio::piped;
        docker.command(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn().expect("docker")
    };
    let listening: [&[&str]; 5] =
        [&["events"], &["wait", "web"], &["logs", "-f", "web"], &["attach", "web"], &["exec", "-i", "web", "cat"]];
    let clients: Vec<_> = listening.into_iter().map(|arguments| (arguments, listen(arguments))).collect();
    docker.until("the last of them is there", |docker| docker.ok(&["top", "web"]).matches("cat").count() >= 2);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let begun = std::time::Instant::now();
    docker.server().signal(nix::sys::signal::Signal::SIGTERM);
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_secs(8), "{took:?}");
    docker.server().again();
    for (arguments, client) in clients {
        // Whatever they say of it, they end: a question asked in between waits for the server (keeper has its socket).
        end(client, arguments);
    }
    assert_eq!(docker.inspect("web", ".State.Pid"), pid);
    assert_eq!(docker.inspect("web", ".State.Running"), true);
}

#[test]
fn a_container_that_the_socket_is_mounted_into_is_its_team_and_cannot_take_all_connections() {
    let docker = Docker::start();
    docker.ok(&["load", "-q", "-i", sampan_tests::images::archive("debian").to_str().expect("path")]);
    let mount = format!("{}:/s", docker.socket());
    let run = |script: &str| {
        docker.ok(&["run", "--rm", "-v", &mount, "debian:bookworm", "perl", "-MIO::Socket::UNIX", "-e", script])
    };
    let ask = r#"my $c = IO::Socket::UNIX->new("/s") or die $!; print $c "GET /containers/json HTTP/1.0\r\n\r\n"; local $/; print <$c>;"#;
    let seen = run(ask);
    assert!(seen.starts_with("HTTP/1.0 200") && seen.contains("\"Image\":\"debian:bookworm\""), "{seen}");

    let crowd = r#"my @c = map { IO::Socket::UNIX->new("/s") } 1 .. 520; my $last = $c[-1]; local $/; print <$last>;"#;
    let refused = run(crowd);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("your team holds too many connections"), "{refused}");
    // Let go of with the container.
    docker.until("the team may connect again", |_| run(ask).starts_with("HTTP/1.0 200"));
}
