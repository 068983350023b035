//! `sampan doctor` finds what was damaged behind the server's back, says who needs it, and mends what can be made anew.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use sampan_tests::client::{admin, ask, docker, docker_ok, token};
use sampan_tests::images;
use sampan_tests::server::{Server, program};
use sampan_tests::upstream::{PASSWORD, Registry, USER};
use serde_json::{Value, json};

/// Seconds that a command of the client may take.
const SECONDS: u32 = 60;

fn load(server: &Server, name: &str) {
    docker_ok(server, SECONDS, &["load", "-q", "-i", images::archive(name).to_str().unwrap()]);
}

/// What it says, and whether it says that all is well.
fn doctor(server: &Server, words: &[&str]) -> (String, bool) {
    let ran = Command::new(program()).arg("doctor").args(words).arg("--data-root").arg(server.data_root()).output();
    let ran = ran.unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), ran.status.success())
}

/// Turns one bit of the byte in the middle.
fn damage(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
}

fn layers(server: &Server, image: &str) -> Vec<PathBuf> {
    let seen: Value = serde_json::from_str(&docker_ok(server, SECONDS, &["inspect", image])).unwrap();
    let digests = seen[0]["RootFS"]["Layers"].as_array().unwrap().clone();
    let folder = |digest: &Value| {
        server.data_root().join("layers").join(digest.as_str().unwrap().strip_prefix("sha256:").unwrap())
    };
    digests.iter().map(folder).collect()
}

#[test]
fn damage_is_named_and_mended() {
    let mut server = Server::start_on(Some("erofs"));
    load(&server, "busybox");
    load(&server, "deep");
    let (said, well) = doctor(&server, &[]);
    assert!(well && said.contains("nothing is damaged"), "{said}");
    let (said, well) = doctor(&server, &["--repair"]);
    assert!(!well && said.contains("a server runs on it"), "{said}");

    let deep = layers(&server, "deep");
    let id = docker_ok(&server, SECONDS, &["inspect", "-f", "{{.Id}}", "busybox"]);
    let blob = server.data_root().join("content").join(id.trim().strip_prefix("sha256:").unwrap());
    server.signal(Signal::SIGTERM);
    damage(&deep[3].join("index"));
    std::fs::remove_file(deep[5].join("facts.json")).unwrap();
    damage(&deep[7].join("tar"));
    std::fs::write(&blob, b"{}").unwrap();
    let merged = std::fs::read_dir(server.data_root().join("layers/merged")).unwrap();
    let merged: Vec<PathBuf> = merged.map(|entry| entry.unwrap().path()).collect();
    merged.iter().for_each(|path| damage(path));

    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (said, well) = doctor(&server, &[]);
    assert!(!well, "{said}");
    for (part, path) in [("layer", &deep[3]), ("layer", &deep[5]), ("layer", &deep[7]), ("blob", &blob)] {
        let line = said.lines().find(|line| line.starts_with(&format!("{part} sha256:{}", name(path))));
        assert!(line.is_some_and(|line| line.contains("needed by docker.io/library/")), "{}: {said}", path.display());
    }
    assert!(said.contains("index differs from what the tar makes") && said.contains("facts.json differs"), "{said}");
    // That of `deep` cannot be compared as long as one of its layers is damaged.
    assert!(said.contains("index sha256:") && said.contains("needed by docker.io/library/busybox"), "{said}");

    let (said, well) = doctor(&server, &["--repair"]);
    assert!(!well && said.contains("taken out of the store: load or pull"), "{said}");
    server.again();
    docker_ok(&server, SECONDS, &["run", "--rm", "busybox", "true"]);
    let refused = docker(&server, SECONDS, &["run", "--rm", "deep", "true"]);
    assert!(!refused.status.success(), "{refused:?}");
    load(&server, "deep");
    assert_eq!(docker_ok(&server, SECONDS, &["run", "--rm", "deep", "cat", "/deep/7"]).trim(), "7");
    server.signal(Signal::SIGTERM);
    let (said, well) = doctor(&server, &["--repair"]);
    assert!(well, "{said}");
    let (said, well) = doctor(&server, &[]);
    assert!(well && said.contains("nothing is damaged"), "{said}");
    server.again();
}

/// With the team's name at the registry, and only because teams may reach it.
#[test]
fn what_came_from_a_registry_is_fetched_from_there_again() {
    let (mut server, registry) = (Server::start_on(Some("erofs")), Registry::start_private());
    load(&server, "deep");
    let name = format!("{}/deep:1", registry.host());
    let owner = token(&server, "cobalt", "default", "owner");
    let body = json!({ "username": USER, "password": PASSWORD }).to_string();
    assert_eq!(
        ask(&server, "PUT", &format!("/api/v1/credentials/{}", registry.host()), &owner, body.as_bytes()).0,
        204
    );
    docker_ok(&server, SECONDS, &["tag", "deep", &name]);
    docker_ok(&server, SECONDS, &["push", "-q", &name]);
    docker_ok(&server, SECONDS, &["rmi", "deep"]);
    let folder = layers(&server, &name)[3].clone();
    let digest = docker_ok(&server, SECONDS, &["inspect", "-f", "{{index .RepoDigests 0}}", &name]);
    let manifest = server.data_root().join("content").join(digest.split("sha256:").nth(1).unwrap());
    let (tar, bytes) = (folder.join("tar"), std::fs::read(folder.join("tar")).unwrap());

    server.signal(Signal::SIGTERM);
    damage(&tar);
    damage(&manifest);
    let (said, well) = doctor(&server, &[]);
    assert!(!well && said.matches(&format!("fetches it again from {digest}")).count() == 2, "{said}");
    let (said, well) = doctor(&server, &["--repair"]);
    assert!(!well && said.contains("is not reached") && said.contains("load or pull"), "{said}");

    server.again();
    admin(&server, &["create-user", "root2", "--admin", "--password-stdin"], "correct horse");
    let root = admin(&server, &["create-token", "root2", "--team", "default"], "");
    let rule = json!({ "plain_http": true, "teams_may": true }).to_string();
    let place = format!("/api/v1/registries/{}", registry.host());
    assert_eq!(ask(&server, "PUT", &place, &root, rule.as_bytes()).0, 204);
    server.signal(Signal::SIGTERM);
    let (said, well) = doctor(&server, &["--repair"]);
    assert!(well && said.matches(&format!("fetched again from {digest}")).count() == 2, "{said}");
    assert!(std::fs::read(&tar).unwrap() == bytes);
    let (said, well) = doctor(&server, &[]);
    assert!(well && said.contains("nothing is damaged"), "{said}");
    server.again();
    assert_eq!(docker_ok(&server, SECONDS, &["run", "--rm", "--network", "none", &name, "cat", "/deep/7"]).trim(), "7");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start();
    let second = Command::new(program())
        .args(["serve", "--http", "127.0.0.1:0", "--data-root"])
        .arg(server.data_root())
        .arg("--state-root")
        .arg(server.state_root())
        .arg("--docker-sock")
        .arg(server.state_root().join("other.sock"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("a server runs on it"), "{said}");
    docker_ok(&server, SECONDS, &["ps"]);
}
