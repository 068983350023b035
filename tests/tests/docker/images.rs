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

/// Bytes on standard output, of which `run` makes text.
fn saved(docker: &Docker, names: &[&str]) -> Vec<u8> {
    let output = docker.command(&[&["save"], names].concat()).output().expect("docker is on PATH");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn an_image_is_saved_by_name_and_id_and_is_the_same_where_it_is_loaded() {
    let docker = Docker::start();
    let id = docker.ok(&["image", "inspect", "--format", "{{.Id}}", "busybox"]);
    docker.ok(&["tag", "busybox", "host.example:5000/some/box:1"]);
    docker.ok(&["tag", "busybox", "busybox:second"]);
    let archive = saved(&docker, &["busybox", "host.example:5000/some/box:1"]);
    assert_eq!(saved(&docker, &["busybox", "host.example:5000/some/box:1"]), archive, "not a byte depends on the time");
    let other = Docker::start_empty();
    let said = other.run_with(&["load"], &archive);
    assert_eq!(said.code, 0, "{said:?}");
    for name in ["busybox:latest", "busybox:second", "host.example:5000/some/box:1"] {
        assert_eq!(other.ok(&["image", "inspect", "--format", "{{.Id}}", name]), id, "{name}");
    }
    assert_eq!(other.ok(&["run", "--rm", "busybox", "echo", "same"]), "same");

    let nameless = saved(&docker, &[&id["sha256:".len()..][..12]]);
    let third = Docker::start_empty();
    assert_eq!(third.run_with(&["load"], &nameless).stdout.trim(), format!("Loaded image ID: {id}"));
    let said = docker.fails(&["save", "nothing"], 1);
    assert!(said.contains("No such image: nothing:latest"), "{said}");
}

#[test]
fn layers_that_images_share_are_saved_once_and_the_deepest_image_too() {
    let docker = Docker::start();
    docker.ok(&["load", "-q", "-i", sampan_tests::images::archive("deep").to_str().expect("path")]);
    docker.ok(&["tag", "deep", "twin"]);
    let (one, both) = (saved(&docker, &["deep:latest"]), saved(&docker, &["deep:latest", "twin:latest"]));
    assert!(both.len() < one.len() + 10_000, "{} and {}", one.len(), both.len());
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("deep.tar");
    docker.ok(&["save", "-o", path.to_str().expect("path"), "deep:latest"]);
    let id = docker.ok(&["image", "inspect", "--format", "{{.Id}}", "deep"]);
    let other = Docker::start_empty();
    other.ok(&["load", "-q", "-i", path.to_str().expect("path")]);
    assert_eq!(other.ok(&["image", "inspect", "--format", "{{.Id}}", "deep"]), id);
    assert_eq!(other.ok(&["run", "--rm", "deep", "cat", "/deep/1", "/deep/126"]), "1\n126");
}

/// What a stopped reader has open is kept; when it goes, nothing is left.
#[test]
fn an_image_may_be_removed_while_it_is_saved() {
    use std::io::Read;
    let mut docker = Docker::start();
    // Larger than all that waits on its way.
    docker.ok(&["load", "-q", "-i", sampan_tests::images::archive("debian").to_str().expect("path")]);
    docker.ok(&["rmi", "busybox"]);
    let name = docker.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut child = docker.command(&["save", &name]).stdout(std::process::Stdio::piped()).spawn().expect("docker");
    let mut stdout = child.stdout.take().expect("stdout");
    let mut begin = vec![0; 4096];
    stdout.read_exact(&mut begin).expect("a beginning");
    docker.ok(&["rmi", &name]);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    assert!(child.wait().expect("wait").success());
    begin.extend(rest);
    assert_eq!(docker.run_with(&["load", "-q"], &begin).code, 0);
    docker.ok(&["rmi", &name]);
    // Cut off: the layers go all the same.
    assert_eq!(docker.run_with(&["load", "-q"], &begin).code, 0);
    let mut child = docker.command(&["save", &name]).stdout(std::process::Stdio::piped()).spawn().expect("docker");
    child.stdout.take().expect("stdout").read_exact(&mut [0; 512]).expect("a beginning");
    docker.ok(&["rmi", &name]);
    child.kill().expect("kill");
    child.wait().expect("wait");
    let layers = docker.server().data_root().join("layers");
    let left =
        || std::fs::read_dir(&layers).expect("layers").flatten().filter(|one| one.file_name().len() == 64).count();
    docker.until("the layers are gone", |_| left() == 0);
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
