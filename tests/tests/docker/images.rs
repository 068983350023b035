//! Images, as the CLI sees them.

use super::docker::Docker;

/// The storage backends.
const BOTH: [&str; 2] = ["erofs", "folders"];

#[test]
fn an_image_is_loaded_listed_tagged_and_removed() {
    let docker = Docker::start();
    let id = docker.ok(&["image", "inspect", "--format", "{{.Id}}", "busybox"]);
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(
        docker.ok(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]),
        format!("busybox:latest {id}")
    );
    docker.ok(&["tag", "busybox", "host.example:5000/some/box:1"]);
    assert_eq!(docker.ok(&["image", "inspect", "--format", "{{.Id}}", "host.example:5000/some/box:1"]), id);
    assert_eq!(docker.ok(&["images", "-q", "--no-trunc", "-f", "reference=busy*"]), id);
    assert_eq!(docker.ok(&["rmi", "host.example:5000/some/box:1"]), "Untagged: host.example:5000/some/box:1");
    assert!(docker.ok(&["history", "--no-trunc", "-q", "busybox"]).contains(&id));

    docker.ok(&["create", "--name", "web", "busybox", "true"]);
    let said = docker.fails(&["rmi", "busybox"], 1);
    assert!(said.contains("conflict: unable to remove repository reference \"busybox:latest\" (must force)"), "{said}");
    docker.ok(&["rm", "web"]);
    assert_eq!(docker.ok(&["rmi", "busybox"]), format!("Untagged: busybox:latest\nDeleted: {id}"));
    assert_eq!(
        docker.fails(&["image", "inspect", "busybox"], 1).trim(),
        "Error response from daemon: No such image: busybox:latest"
    );
}

#[test]
fn an_archive_that_is_none_is_refused_and_nothing_is_left() {
    let docker = Docker::start();
    let before = docker.ok(&["images", "-q"]);
    let ended = docker.run_with(&["load"], b"this is no archive");
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.to_lowercase().contains("archive"), "{}", ended.stderr);
    assert_eq!(docker.ok(&["images", "-q"]), before);
}

#[test]
fn the_disks_use_is_told() {
    for storage in BOTH {
        the_disks_use_is_told_on(storage);
    }
}

fn the_disks_use_is_told_on(storage: &'static str) {
    let docker = Docker::start_on(storage);
    docker.ok(&["run", "--name", "web", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /file"]);
    let table = docker.ok(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert_eq!(table.lines().next(), Some("Images 1 1"), "{table}");
    assert!(table.contains("Containers 1 0"), "{table}");
    let size: u64 = docker.ok(&["inspect", "-s", "--format", "{{.SizeRw}}", "web"]).parse().expect("bytes");
    assert!((100_000..1_000_000).contains(&size), "{size}");
}

#[test]
fn each_backend_tells_its_name_and_runs_the_same_image() {
    for storage in BOTH {
        let docker = Docker::start_on(storage);
        let told = docker.ok(&["info", "--format", "{{json .DriverStatus}}"]);
        assert!(told.starts_with(&format!("[[\"Images\",\"{storage} ")), "{told}");
        docker.ok(&["load", "-q", "-i", sampan_tests::images::archive("deep").to_str().expect("path")]);
        assert_eq!(docker.ok(&["run", "--rm", "deep", "cat", "/deep/1", "/deep/126"]), "1\n126");
        let seen =
            docker.ok(&["run", "--rm", "-v", "fresh:/etc", "busybox", "sh", "-c", "id -un; stat -c %u:%a /etc /tmp"]);
        assert_eq!(seen, "root\n0:755\n0:1777", "{storage}");
    }
}

/// A kernel that gets newer or older takes its containers along.
#[test]
fn a_container_starts_again_on_the_other_backend_with_what_it_wrote() {
    let mut docker = Docker::start_on("erofs");
    let script = "rm -f /etc/passwd; ! test -e /etc/passwd || exit 1; echo run >>/file; wc -l </file";
    let first = docker.ok(&["run", "--name", "kept", "busybox", "sh", "-c", script]);
    assert_eq!(first, "1");
    for (storage, runs) in [("folders", "2"), ("erofs", "3")] {
        docker.again_on(storage);
        assert_eq!(docker.ok(&["start", "-a", "kept"]), runs, "{storage}");
    }
}
