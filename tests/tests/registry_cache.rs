//! The cache of other registries, by plain requests and by the docker CLI, before Debian's docker-registry.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use sampan_tests::client::{admin, ask, docker, docker_ok, token};
use sampan_tests::images;
use sampan_tests::registry::{Client, digest};
use sampan_tests::server::Server;
use sampan_tests::upstream::{PASSWORD, Registry, USER};
use serde_json::{Value, json};

/// Says that teams reach a registry on this host.
fn allow(server: &Server, root: &str, host: &str) {
    let rule = json!({ "plain_http": true, "teams_may": true }).to_string();
    assert_eq!(ask(server, "PUT", &format!("/api/v1/registries/{host}"), root, rule.as_bytes()).0, 204);
}

fn root(server: &Server) -> String {
    admin(server, &["create-user", "root2", "--admin", "--password-stdin"], "correct horse");
    admin(server, &["create-token", "root2", "--team", "default"], "")
}

fn put_busybox(server: &Server, folder: &tempfile::TempDir, registry: &Registry) {
    let run = |arguments: &[&str]| {
        let socket = format!("unix://{}", server.docker_socket().display());
        let mut command = std::process::Command::new("timeout");
        command.args(["-k", "1", "60", "docker", "-H", &socket]).args(arguments).env("DOCKER_CONFIG", folder.path());
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    };
    run(&["load", "-q", "-i", images::busybox().to_str().unwrap()]);
    let name = format!("{}/box:1", registry.host());
    run(&["tag", "busybox", &name]);
    run(&["login", "-u", USER, "-p", PASSWORD, &registry.host()]);
    run(&["push", "-q", &name]);
    run(&["rmi", "-f", "busybox", &name]);
}

fn fetched(server: &Server, token: &str) -> u64 {
    let (_, fetches) = ask(server, "GET", "/api/v1/fetches", token, b"");
    fetches["items"].as_array().unwrap().iter().map(|one| one["blobs"].as_u64().unwrap()).sum()
}

#[test]
fn what_others_have_comes_once_for_each_team_that_may_have_it_and_outlives_them() {
    let (server, registry, folder) = (Server::start(), Registry::start_private(), tempfile::tempdir().unwrap());
    put_busybox(&server, &folder, &registry);
    let root = root(&server);
    let amber = Client::user(&server, "amber", "default", "viewer");
    let cobalt = Client::user(&server, "cobalt", "red", "owner");
    let cache = format!("cache/{}/box", registry.host().replace(':', "_"));
    let place = |team: &str, rest: &str| format!("/v2/{team}/{cache}/{rest}");
    // The team does not reach this host before an administrator says so, and has no name there.
    let refused = amber.get(&place("default", "manifests/1"));
    assert_eq!(refused.refusal(), (403, "DENIED".to_owned()), "{refused:?}");
    allow(&server, &root, &registry.host());
    assert_eq!(amber.get(&place("default", "manifests/1")).refusal(), (403, "DENIED".to_owned()));
    let name = json!({ "username": USER, "password": PASSWORD }).to_string();
    let at = format!("/api/v1/credentials/{}", registry.host());
    assert_eq!(ask(&server, "PUT", &at, &root, name.as_bytes()).0, 204);
    assert_eq!(amber.get(&place("default", "manifests/none")).refusal(), (404, "MANIFEST_UNKNOWN".to_owned()));

    let found = amber.send("HEAD", &place("default", "manifests/1"), &[], b"");
    assert_eq!((found.status, found.header("age")), (200, Some("0")), "{found:?}");
    let manifest = amber.get(&place("default", "manifests/1"));
    assert_eq!(found.header("docker-content-digest"), Some(digest(&manifest.body).as_str()));
    let parts = manifest.json();
    let parts: Vec<&Value> = parts["layers"].as_array().unwrap().iter().chain([&parts["config"]]).collect();
    for part in &parts {
        let path = place("default", &format!("blobs/{}", part["digest"].as_str().unwrap()));
        assert_eq!(amber.send("HEAD", &path, &[], b"").status, 200);
        let readers: Vec<_> = (0..10)
            .map(|_| {
                let (amber, path) = (amber.clone(), path.clone());
                std::thread::spawn(move || amber.get(&path))
            })
            .collect();
        for reader in readers {
            let blob = reader.join().unwrap();
            assert_eq!((blob.status, digest(&blob.body).as_str()), (200, part["digest"].as_str().unwrap()));
        }
        let some = amber.send("GET", &path, &[("range", "bytes=1-2")], b"");
        assert_eq!((some.status, some.body.len()), (206, 2));
    }
    assert_eq!(fetched(&server, &root), parts.len() as u64, "each came once");

    // Another team: neither what is there nor what it could name, not without a name of its own at the registry.
    assert_eq!(cobalt.get(&place("default", "manifests/1")).refusal().0, 404);
    let by_digest = format!("manifests/{}", digest(&manifest.body));
    for path in ["manifests/1", by_digest.as_str()] {
        assert_eq!(cobalt.get(&place("red", path)).refusal(), (403, "DENIED".to_owned()));
    }
    let blob = format!("blobs/{}", parts[0]["digest"].as_str().unwrap());
    assert_eq!(cobalt.get(&place("red", &blob)).refusal().0, 404);
    // Nobody pushes there, not even its owners.
    let pushed = cobalt.send("POST", &place("red", "blobs/uploads/"), &[], b"");
    assert_eq!(pushed.refusal(), (403, "DENIED".to_owned()));

    // The registry is gone: what was fetched is not.
    drop(registry);
    for path in ["manifests/1", by_digest.as_str(), blob.as_str()] {
        assert_eq!(amber.get(&place("default", path)).status, 200, "{path}");
    }
    assert_eq!(amber.get(&place("default", "manifests/2")).refusal(), (502, "UNAVAILABLE".to_owned()));
    let image = format!("{}/default/{cache}:1", server.http());
    docker_ok(&server, 60, &["pull", &image]);
    assert_eq!(docker_ok(&server, 60, &["run", "--rm", "--network", "none", &image, "echo", "kept"]), "kept");
    let pushed = docker(&server, 30, &["push", &image]);
    assert!(String::from_utf8_lossy(&pushed.stderr).contains("nobody pushes there"), "{pushed:?}");
    // A repository of the cache is one of the team's: listed, and removed as any other.
    let owner = token(&server, "owner", "default", "owner");
    let (_, listed) = ask(&server, "GET", "/api/v1/repositories", &owner, b"");
    assert_eq!(listed["items"][0]["name"], json!(cache), "{listed}");
}

/// A public one gives to others what is there, and fetches nothing for them.
#[test]
fn a_public_cache_fetches_for_its_team_alone() {
    let (server, registry, folder) = (Server::start(), Registry::start(), tempfile::tempdir().unwrap());
    put_busybox(&server, &folder, &registry);
    let root = root(&server);
    allow(&server, &root, &registry.host());
    let amber = Client::basic(&server, "root2", &root);
    let cobalt = Client::user(&server, "cobalt", "red", "viewer");
    let cache = format!("cache/{}/box", registry.host().replace(':', "_"));
    let manifest = amber.get(&format!("/v2/default/{cache}/manifests/1"));
    assert_eq!(manifest.status, 200, "{manifest:?}");
    let at = format!("/api/v1/repositories/{}", cache.replace('/', "%2F"));
    assert_eq!(ask(&server, "PATCH", &at, &root, b"{\"public\":true}").0, 200);
    assert_eq!(cobalt.get(&format!("/v2/default/{cache}/manifests/1")).status, 200);
    let layer = manifest.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
    let blob = format!("/v2/default/{cache}/blobs/{layer}");
    assert_eq!(cobalt.get(&blob).refusal(), (404, "BLOB_UNKNOWN".to_owned()));
    assert_eq!(amber.get(&blob).status, 200);
    assert_eq!(cobalt.get(&blob).status, 200);
    assert_eq!(cobalt.get(&format!("/v2/default/{cache}/manifests/2")).refusal().0, 404);
}
