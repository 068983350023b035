//! Images, as the CLI sees them.

use super::docker::Docker;

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
    let docker = Docker::start();
    docker.ok(&["run", "--name", "web", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /file"]);
    let table = docker.ok(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert_eq!(table.lines().next(), Some("Images 1 1"), "{table}");
    assert!(table.contains("Containers 1 0"), "{table}");
    let size: u64 = docker.ok(&["inspect", "-s", "--format", "{{.SizeRw}}", "web"]).parse().expect("bytes");
    assert!((100_000..1_000_000).contains(&size), "{size}");
}
