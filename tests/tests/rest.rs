//! REST and websockets as a script uses them: accounts by `sampan admin`, then tokens over HTTP against a real server.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::process::Command;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sampan_tests::client::{admin, ask, token};
use sampan_tests::images;
use sampan_tests::registry::Client;
use sampan_tests::server::Server;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(server: &Server, path: &str, token: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{path}", server.http()).into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

/// The next frame that is no ping; a test that waits for one that never comes fails.
async fn next(socket: &mut Socket) -> Message {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("a frame in time");
        match message.expect("an open websocket").expect("a frame") {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_lives_its_life_by_rest_and_is_watched_by_websockets() {
    let server = Server::start();
    let amber = token(&server, "amber", "blue", "developer");
    let cobalt = token(&server, "cobalt", "red", "owner");
    assert_eq!(ask(&server, "GET", "/api/v1/containers", "nobody", b"").0, 401);
    assert_eq!(ask(&server, "GET", "/api/v1/containers", &amber, b"").1, json!({ "items": [], "next": null }));

    let archive = std::fs::read(images::busybox()).unwrap();
    let (status, loaded) = ask(&server, "POST", "/api/v1/images", &amber, &archive);
    assert_eq!((status, &loaded[0]["references"][0]), (201, &json!("docker.io/library/busybox:latest")));

    let mut events = open(&server, "/live/events", &amber).await.unwrap();
    let body = json!({
        "name": "web", "image": "busybox", "network": "none", "start": true, "environment": ["SECRET=value"],
        "command": ["sh", "-c", "echo hello; exec sleep 600"],
    });
    let (status, created) = ask(&server, "POST", "/api/v1/containers", &amber, body.to_string().as_bytes());
    assert_eq!(status, 201, "{created}");
    let id = created["id"].as_str().unwrap();
    let told: Value = serde_json::from_str(next(&mut events).await.to_text().unwrap()).unwrap();
    assert_eq!((&told["action"], &told["id"]), (&json!("create"), &json!(id)));

    // Another team sees nothing of it, by id and by name, and learns nothing from the sentence.
    for name in [id, "web"] {
        for method in ["GET", "DELETE"] {
            let (status, problem) = ask(&server, method, &format!("/api/v1/containers/{name}"), &cobalt, b"");
            assert_eq!((status, &problem["type"]), (404, &json!("urn:sampan:problem:not-found")));
        }
        let refused = open(&server, &format!("/live/containers/{name}/logs"), &cobalt).await;
        assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 404));
    }
    assert_eq!(ask(&server, "GET", "/api/v1/containers/web", &amber, b"").1["state"], "running");

    let mut logs = open(&server, "/live/containers/web/logs", &amber).await.unwrap();
    let line: Value = serde_json::from_str(next(&mut logs).await.to_text().unwrap()).unwrap();
    assert_eq!((&line["stream"], &line["text"]), (&json!("stdout"), &json!("hello")));

    let mut stats = open(&server, "/live/containers/web/stats", &amber).await.unwrap();
    let reading: Value = serde_json::from_str(next(&mut stats).await.to_text().unwrap()).unwrap();
    assert!(reading["memory_bytes"].as_u64().unwrap() > 0, "{reading}");

    let run = json!({ "command": ["sh", "-c", "echo out; echo err >&2; exit 7"] }).to_string();
    let (_, ended) = ask(&server, "POST", "/api/v1/containers/web/exec", &amber, run.as_bytes());
    assert_eq!(ended, json!({ "exit_code": 7, "stdout": "out\n", "stderr": "err\n", "truncated": false }));

    let mut console = open(&server, "/live/containers/web/console?tty=false&command=cat", &amber).await.unwrap();
    console.send(Message::Binary("through and back".into())).await.unwrap();
    assert_eq!(next(&mut console).await, Message::Binary("through and back".into()));
    console.send(Message::Text(r#"{"end_of_input":{}}"#.into())).await.unwrap();
    let Message::Close(Some(close)) = next(&mut console).await else { panic!("the console goes on") };
    assert_eq!(close.reason.as_str(), "exit code 0");

    let privileged = json!({ "image": "busybox", "security": { "privileged": true } }).to_string();
    assert_eq!(ask(&server, "POST", "/api/v1/containers", &amber, privileged.as_bytes()).0, 403);
    assert_eq!(ask(&server, "DELETE", "/api/v1/containers/web?force=true", &amber, b"").0, 204);
    assert_eq!(ask(&server, "GET", "/api/v1/containers/web", &amber, b"").0, 404);
}

#[test]
fn a_health_check_is_run_and_its_results_are_told() {
    let server = Server::start();
    let amber = token(&server, "amber", "blue", "developer");
    let archive = std::fs::read(images::busybox()).unwrap();
    assert_eq!(ask(&server, "POST", "/api/v1/images", &amber, &archive).0, 201);
    let body = |test: Value| {
        let healthcheck = json!({ "test": test, "interval_ms": 100, "retries": 1 });
        let body = json!({
            "name": "web", "image": "busybox", "network": "none", "start": true, "command": ["sleep", "600"],
            "healthcheck": healthcheck,
        });
        body.to_string()
    };
    let wrong = body(json!(["CMD"]));
    assert_eq!(ask(&server, "POST", "/api/v1/containers", &amber, wrong.as_bytes()).0, 400);
    let right = body(json!(["CMD-SHELL", "echo ill; exit 4"]));
    assert_eq!(ask(&server, "POST", "/api/v1/containers", &amber, right.as_bytes()).0, 201);
    let begun = std::time::Instant::now();
    let container = loop {
        let container = ask(&server, "GET", "/api/v1/containers/web", &amber, b"").1;
        if container["health"] == "unhealthy" {
            break container;
        }
        assert_eq!(container["health"], "starting");
        assert!(begun.elapsed().as_secs() < 30, "{container}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(
        (&container["health_log"][0]["exit_code"], &container["health_log"][0]["output"]),
        (&json!(4), &json!("ill\n"))
    );
    assert_eq!(container["healthcheck"]["interval_ms"], 100);
}

#[test]
fn bad_requests_get_a_problem_with_the_right_status() {
    let server = Server::start();
    let amber = token(&server, "amber", "default", "developer");
    let huge = [b"{\"name\":\"", "x".repeat(2 << 20).as_bytes(), b"\"}"].concat();
    for (method, path, body, expected) in [
        ("GET", "/api/v1/nothing", &b""[..], 404),
        ("PUT", "/api/v1/containers", b"", 405),
        ("POST", "/api/v1/containers", b"{", 400),
        ("POST", "/api/v1/containers", b"{\"image\":\"a\",\"unknown\":1}", 400),
        ("POST", "/api/v1/containers", b"not json", 415),
        ("POST", "/api/v1/volumes", &huge, 413),
        ("GET", "/api/v1/containers?limit=0", b"", 400),
        ("GET", "/api/v1/containers?cursor=!", b"", 400),
        ("GET", "/api/v1/containers?unknown=1", b"", 400),
        ("POST", "/api/v1/containers", b"{\"image\":\"not-there\"}", 404),
        ("POST", "/api/v1/images", b"no archive at all", 400),
        ("GET", "/live/events", b"", 400),
    ] {
        let (status, problem) = ask(&server, method, path, &amber, body);
        assert_eq!(status, expected, "{method} {path}: {problem}");
        assert_eq!(problem["status"], expected, "{method} {path}: {problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{method} {path}: {problem}");
    }
    assert_eq!(ask(&server, "GET", "/healthz", "", b"").0, 200);
    assert_eq!(ask(&server, "GET", "/api/v1/openapi.json", "", b"").1["openapi"], "3.1.0");
}

#[test]
fn a_containers_files_go_in_and_out_by_rest() {
    let server = Server::start();
    let amber = token(&server, "amber", "blue", "developer");
    let cobalt = Client::bearer(&server, &token(&server, "cobalt", "red", "owner"));
    admin(&server, &["create-user", "vera", "--password-stdin"], "correct horse");
    admin(&server, &["add-member", "blue", "vera", "viewer"], "");
    let viewer = Client::bearer(&server, &admin(&server, &["create-token", "vera", "--team", "blue"], ""));
    ask(&server, "POST", "/api/v1/images", &amber, &std::fs::read(images::busybox()).unwrap());
    let body = json!({ "name": "box", "image": "busybox", "network": "none", "command": ["true"] }).to_string();
    assert_eq!(ask(&server, "POST", "/api/v1/containers", &amber, body.as_bytes()).0, 201);
    let amber = Client::bearer(&server, &amber);
    let (tar, json) = (("content-type", "application/x-tar"), ("content-type", "application/json"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note"), "hello by rest\n").unwrap();
    let packed = Command::new("tar").args(["-C", folder.path().to_str().unwrap(), "-c", "note"]).output().unwrap();
    let place = |rest: &str| format!("/api/v1/containers/box/{rest}");
    let put = |client: &Client, path: &str| client.send("PUT", &place(path), &[tar], &packed.stdout).status;
    assert_eq!(put(&amber, "archive?path=/tmp"), 204);
    assert_eq!(put(&amber, "archive?path=/none"), 404);
    assert_eq!(put(&viewer, "archive?path=/tmp"), 403);
    assert_eq!(put(&cobalt, "archive?path=/tmp"), 404);
    assert_eq!(amber.send("PUT", &place("archive?path=/tmp"), &[tar], b"no tar at all, but long enough").status, 400);

    let holds = |archive: &[u8], name: &str| {
        let file = folder.path().join("back.tar");
        std::fs::write(&file, archive).unwrap();
        let listed = Command::new("tar").arg("-xOf").arg(&file).arg(name).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    };
    let back = amber.get(&place("archive?path=/tmp/note"));
    assert_eq!((back.status, holds(&back.body, "note").as_str()), (200, "hello by rest\n"));
    let export = amber.get(&place("export"));
    assert_eq!((export.status, holds(&export.body, "tmp/note").as_str()), (200, "hello by rest\n"));
    let changes = amber.get(&place("changes")).json();
    let added = json!({ "path": "/tmp/note", "kind": "added" });
    assert!(changes.as_array().unwrap().contains(&added), "{changes}");
    for path in ["archive?path=/tmp/note", "export", "changes"] {
        assert_eq!(cobalt.get(&place(path)).status, 404, "{path}");
    }

    let wanted = json!({ "reference": "made:1", "changes": ["CMD cat /tmp/note"], "comment": "by hand" }).to_string();
    assert_eq!(viewer.send("POST", &place("commit"), &[json], wanted.as_bytes()).status, 403);
    let made = amber.send("POST", &place("commit"), &[json], wanted.as_bytes());
    assert_eq!(made.status, 201, "{made:?}");
    let body = json!({ "name": "again", "image": "made:1", "network": "none", "start": true }).to_string();
    assert_eq!(amber.send("POST", "/api/v1/containers", &[json], body.as_bytes()).status, 201);
    let ended = amber.send("POST", "/api/v1/containers/again/wait", &[], b"");
    assert_eq!(ended.json()["exit_code"], 0, "{ended:?}");
    let said = amber.get("/api/v1/containers/again/logs");
    assert!(String::from_utf8_lossy(&said.body).contains("hello by rest"), "{said:?}");
}
