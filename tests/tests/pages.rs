//! Pages of images in a real browser, against Debian's docker-registry.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::process::Command;

use sampan_tests::client::{admin, docker_ok};
use sampan_tests::images;
use sampan_tests::server::Server;
use sampan_tests::upstream::Registry;

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
