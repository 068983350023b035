//! Pages of images in a real browser, against Debian's docker-registry.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::process::Command;

use sampan_tests::client::{admin, ask, docker_ok, token};
use sampan_tests::images;
use sampan_tests::server::Server;
use sampan_tests::upstream::Registry;
use serde_json::Value;

const PASSWORD: &str = "correct horse";

#[test]
fn a_pull_is_begun_left_found_again_and_given_up_in_the_browser() {
    let (server, registry) = (Server::start(), Registry::start());
    docker_ok(&server, 120, &["load", "-q", "-i", images::busybox().to_str().unwrap()]);
    // Two layers that no compression makes small, on top of the one of busybox.
    let (mut below, slow_name, fast_name) =
        ("busybox".to_owned(), format!("{}/some:1", registry.host()), format!("{}/box:1", registry.host()));
    for name in ["one", "two"] {
        let fill = format!("dd if=/dev/urandom of=/{name} bs=1024 count=3000");
        docker_ok(&server, 60, &["run", "--name", name, "--network", "none", &below, "sh", "-c", &fill]);
        docker_ok(&server, 60, &["commit", name, name]);
        docker_ok(&server, 60, &["rm", name]);
        below = name.to_owned();
    }
    for (image, name) in [("two", &slow_name), ("busybox", &fast_name)] {
        docker_ok(&server, 60, &["tag", image, name]);
        docker_ok(&server, 120, &["push", "-q", name]);
    }
    docker_ok(&server, 60, &["image", "prune", "-af"]);
    // Something to compare with.
    docker_ok(&server, 120, &["load", "-q", "-i", images::archive("deep").to_str().unwrap()]);
    admin(&server, &["create-user", "ada", "--admin", "--password-stdin"], PASSWORD);
    admin(&server, &["add-member", "default", "ada", "owner"], "");
    let folder = std::env::var_os("SAMPAN_PICTURES").map(std::path::PathBuf::from);
    let kept = tempfile::tempdir().unwrap();
    let folder = folder.unwrap_or_else(|| kept.path().to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/browser_images.py");
    let slow = format!("{}/some:1", registry.slowly(100_000));
    let ended = Command::new("python3")
        .args([script, &format!("http://{}", server.http()), "ada", PASSWORD, &slow, &fast_name])
        .arg(&folder)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{said}");
}

/// By REST, between two tags of the registry inside and between the images themselves.
#[test]
fn what_changed_between_two_tags_is_told() {
    let server = Server::start();
    docker_ok(&server, 120, &["load", "-q", "-i", images::busybox().to_str().unwrap()]);
    let fill = "head -c 3000 /dev/zero > /one; rm /bin/vi";
    docker_ok(&server, 60, &["run", "--name", "one", "--network", "none", "busybox", "sh", "-c", fill]);
    docker_ok(&server, 60, &["commit", "--change", "ENV GREETING=hello", "one", "one"]);
    for (image, tag) in [("busybox", "1"), ("one", "2")] {
        let name = format!("{}/default/app:{tag}", server.http());
        docker_ok(&server, 60, &["tag", image, &name]);
        docker_ok(&server, 60, &["push", "-q", &name]);
    }
    let viewer = token(&server, "amber", "default", "viewer");
    let of_tags = "/api/v1/repositories/app/difference?from=1&to=2";
    let (status, found) = ask(&server, "GET", of_tags, &viewer, b"");
    assert_eq!(status, 200, "{found}");
    let file = |path: &str| found["files"]["items"].as_array().unwrap().iter().find(|one| one["path"] == path).cloned();
    assert_eq!(file("/one").unwrap()["after_bytes"], 3000);
    assert_eq!(file("/bin/vi").unwrap()["change"], "removed");
    assert_eq!((&found["files"]["added"]["count"], &found["files"]["removed"]["count"]), (&1.into(), &1.into()));
    let settings = found["configuration"].as_array().unwrap();
    let kinds: Vec<&str> = settings.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds, &settings[1]["name"]), (vec!["command", "environment"], &"GREETING".into()));
    assert_eq!((&settings[1]["before"], &settings[1]["after"]), (&Value::Null, &"hello".into()));
    let (_, of_images) = ask(&server, "GET", "/api/v1/images/busybox/difference?to=one", &viewer, b"");
    assert_eq!(of_images, found);
    // Somebody of another team has neither.
    let stranger = token(&server, "cobalt", "blue", "owner");
    assert_eq!(ask(&server, "GET", of_tags, &stranger, b"").0, 404);
    let (_, taken) = ask(&server, "GET", "/api/v1/images/one", &viewer, b"");
    // The registry keeps the tar of its layer: removing the image gives nothing back.
    assert!(taken["own_bytes"].as_u64().unwrap() > 3000 && taken["freed_bytes"] == 0, "{taken}");
}
