//! Engine and registry are one store: the docker CLI through our own API to our own registry moves no byte and makes no
//! request. The address is the one over TLS, whose authority nobody was told to trust: a request would fail.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::path::Path;

use sampan_tests::client::{ask, docker, docker_ok, token};
use sampan_tests::images;
use sampan_tests::registry::{Client, digest};
use sampan_tests::server::Server;

/// Files and bytes of a folder, but for manifests and configurations.
fn large_files(folder: &Path) -> Vec<u64> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    files.filter(|file| file.is_file() && file.len() > 64 << 10).map(|file| file.len()).collect()
}

#[test]
fn a_push_to_ourselves_and_a_pull_from_ourselves_copy_nothing() {
    let server = Server::start_encrypted();
    let host = server.https();
    docker_ok(&server, 60, &["load", "-i", &images::busybox().display().to_string()]);
    let image = format!("{host}/default/tools/busybox:1");
    docker_ok(&server, 10, &["tag", "busybox", &image]);
    let said = docker_ok(&server, 30, &["push", &image]);
    assert!(said.contains("Layer already exists") && said.contains("1: digest: sha256:"), "{said}");
    let content = server.data_root().join("content");
    assert_eq!(large_files(&content), Vec::<u64>::new(), "no layer lies there a second time");
    let pushed = said.split("digest: ").nth(1).unwrap().split(' ').next().unwrap();
    let known = docker_ok(&server, 10, &["image", "inspect", "-f", "{{index .RepoDigests 0}}", "busybox"]);
    assert_eq!(known, format!("{host}/default/tools/busybox@{pushed}"));

    // What was pushed is whole to others: the layers are the engine's tars.
    let amber = Client::basic(&server, "amber", &token(&server, "amber", "default", "owner"));
    let manifest = amber.get("/v2/default/tools/busybox/manifests/1").json();
    for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let name = part["digest"].as_str().unwrap();
        let blob = amber.get(&format!("/v2/default/tools/busybox/blobs/{name}"));
        assert_eq!((blob.status, digest(&blob.body).as_str()), (200, name));
    }
    // What clients ask before they pull, and a search, are answered without a request as well.
    let told = std::process::Command::new("curl")
        .args(["-sS", "--fail-with-body", "--unix-socket", server.docker_socket().to_str().unwrap()])
        .arg(format!("http://d/distribution/{image}/json"))
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["Descriptor"]["digest"], pushed);
    assert_eq!(told["Platforms"][0]["os"], "linux");
    let found = docker_ok(&server, 10, &["search", "--format", "{{.Name}}", &format!("{host}/busy")]);
    assert_eq!(found, format!("{host}/default/tools/busybox"));
    // Pushed again it is the same; under another tag, too.
    docker_ok(&server, 10, &["tag", "busybox", &format!("{host}/default/tools/busybox:2")]);
    docker_ok(&server, 30, &["push", "--all-tags", &format!("{host}/default/tools/busybox")]);
    let tags = amber.get("/v2/default/tools/busybox/tags/list").json();
    assert_eq!(tags["tags"], serde_json::json!(["1", "2"]));
    assert_eq!(amber.get("/v2/default/tools/busybox/manifests/2").json(), manifest);

    // The image goes, the repository keeps its layers, and a run brings it back.
    docker_ok(&server, 10, &["rmi", "busybox", &image, &format!("{host}/default/tools/busybox:2")]);
    assert_eq!(docker_ok(&server, 60, &["run", "--rm", "--network", "none", &image, "echo", "back"]), "back");
    assert_eq!(large_files(&content), Vec::<u64>::new());

    // What others pushed is packed: it is unpacked here, without a request.
    let packed = images::busybox().display().to_string();
    let login = format!(
        "amber:{}",
        sampan_tests::client::admin(&server, &["create-token", "amber", "--team", "default", "--name", "two"], "")
    );
    let target = format!("docker://{}/default/packed:1", server.http());
    let copied = std::process::Command::new("skopeo")
        .args(["copy", "--dest-tls-verify=false", "--dest-compress", "--dest-creds", &login])
        .args([&format!("docker-archive:{packed}"), &target])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    docker_ok(&server, 60, &["pull", &format!("{host}/default/packed:1")]);
    docker_ok(&server, 60, &["run", "--rm", "--network", "none", &format!("{host}/default/packed:1"), "true"]);

    // Where the caller may not push or pull, they learn nothing.
    token(&server, "cobalt", "red", "owner");
    docker_ok(&server, 10, &["tag", &image, &format!("{host}/red/app:1")]);
    for arguments in [["push", &format!("{host}/red/app:1")], ["pull", &format!("{host}/red/none:1")]] {
        let refused = docker(&server, 30, &arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("o such repository"), "{arguments:?}: {said}");
    }
}

/// By whatever name of this instance: a team's own pull needs no rule about reaching this host, since nothing is
/// reached, and what another team has stays that team's.
#[test]
fn every_name_of_this_instance_is_its_own_registry_for_teams_too() {
    let server = Server::start_everywhere();
    let (http, https) = (server.http().port(), server.https().port());
    let archive = format!("docker-archive:{}", images::busybox().display());
    let mut tokens = Vec::new();
    for (user, team) in [("amber", "blue"), ("cobalt", "red")] {
        let secret = token(&server, user, team, "developer");
        let target = format!("docker://127.0.0.1:{http}/{team}/app:1");
        let login = format!("{user}:{secret}");
        let copied = std::process::Command::new("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false", "--dest-creds", &login, &archive, &target])
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        tokens.push(secret);
    }
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), host_name];
    let addresses = std::process::Command::new("hostname").arg("-I").output().unwrap().stdout;
    let v4 = |word: &&str| word.parse::<std::net::Ipv4Addr>().is_ok();
    names.extend(String::from_utf8(addresses).unwrap().split(' ').filter(v4).take(1).map(str::to_owned));
    for name in names {
        for port in [http, https] {
            let done = operation(&server, &tokens[0], &format!("{name}:{port}/blue/app:1"));
            assert_eq!(done["state"], "done", "{name}:{port}: {done}");
            let refused = operation(&server, &tokens[0], &format!("{name}:{port}/red/app:1"));
            assert_eq!(refused["state"], "failed", "{name}:{port}");
            assert!(refused["error"].as_str().unwrap().contains("no such repository"), "{refused}");
        }
    }
}

/// A pull by REST, to its end.
fn operation(server: &Server, token: &str, reference: &str) -> serde_json::Value {
    let body = serde_json::json!({ "reference": reference }).to_string();
    let (status, begun) = ask(server, "POST", "/api/v1/images/pull", token, body.as_bytes());
    assert_eq!(status, 202, "{begun}");
    let begin = std::time::Instant::now();
    loop {
        let (_, now) = ask(server, "GET", &format!("/api/v1/operations/{}", begun["id"]), token, b"");
        if now["state"] != "running" {
            return now;
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "{now}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A configuration may claim any layer; only bytes that were seen to hold it prove that.
#[test]
fn a_claimed_layer_is_not_given_to_who_does_not_have_it() {
    use sampan_tests::registry::{MANIFEST, descriptor};
    let server = Server::start_encrypted();
    let host = server.https();
    docker_ok(&server, 60, &["load", "-i", &images::busybox().display().to_string()]);
    let layers = docker_ok(&server, 10, &["image", "inspect", "-f", "{{index .RootFS.Layers 0}}", "busybox"]);
    let amber = Client::user(&server, "amber", "default", "owner");
    // Own bytes, another's diff id.
    let junk = vec![0_u8; 1024];
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": [layers] },
    });
    let config = config.to_string().into_bytes();
    amber.push_blob("default/evil", &junk);
    amber.push_blob("default/evil", &config);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &junk)],
    });
    assert_eq!(amber.push_manifest("default/evil", "1", MANIFEST, manifest.to_string().as_bytes()).status, 201);
    let refused = docker(&server, 30, &["pull", &format!("{host}/default/evil:1")]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("should have digest"), "{said}");
}
