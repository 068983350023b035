//! `docker run`: output and exit codes.

use super::docker::Docker;

#[test]
fn output_comes_on_its_own_stream_and_the_exit_code_is_the_containers() {
    let docker = Docker::start();
    let ended = docker.run(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code), ("out\n", "err\n", 3));
    assert_eq!(docker.ok(&["ps", "-aq"]), "");
}

#[test]
fn exit_codes_are_dockers() {
    let docker = Docker::start();
    assert_eq!(docker.run(&["run", "--rm", "busybox", "true"]).code, 0);
    assert_eq!(docker.run(&["run", "--rm", "busybox", "false"]).code, 1);
    assert_eq!(docker.run(&["run", "--rm", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
    assert_eq!(docker.run(&["run", "--rm", "busybox", "no-such-program"]).code, 127);
    assert_eq!(docker.run(&["run", "--rm", "busybox", "/etc"]).code, 126);
    assert_eq!(docker.run(&["run", "--rm", "--network", "no-such-network", "busybox", "true"]).code, 125);
    assert_eq!(docker.ok(&["ps", "-aq"]), "");
}

#[test]
fn input_is_passed_on_with_its_end() {
    let docker = Docker::start();
    let ended = docker.run_with(&["run", "-i", "--rm", "busybox", "cat"], b"hi\n");
    assert_eq!((ended.stdout.as_str(), ended.code), ("hi\n", 0));

    let much = vec![b'x'; 3 << 20];
    let ended = docker.run_with(&["run", "-i", "--rm", "busybox", "wc", "-c"], &much);
    assert_eq!(ended.stdout.trim(), much.len().to_string());
}

#[test]
fn much_output_arrives_whole() {
    let docker = Docker::start();
    let ended = docker.run(&["run", "--rm", "busybox", "seq", "1", "200000"]);
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(ended.stdout == expected, "{} bytes instead of {}", ended.stdout.len(), expected.len());
}

#[test]
fn what_was_asked_for_is_what_the_container_sees() {
    let docker = Docker::start();
    let script = "echo $A; hostname; pwd; id -u; id -g; cat /proc/1/comm; ulimit -n";
    let arguments = [
        "run",
        "--rm",
        "-e",
        "A=b c",
        "-h",
        "boat",
        "-w",
        "/made/here",
        "-u",
        "7:8",
        "--ulimit",
        "nofile=99:99",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(docker.ok(&arguments), "b c\nboat\n/made/here\n7\n8\nsh\n99");
    assert_eq!(docker.ok(&["run", "--rm", "--entrypoint", "echo", "busybox", "a", "b"]), "a b");
    assert_ne!(docker.run(&["run", "--rm", "--read-only", "busybox", "touch", "/x"]).code, 0);
    assert_eq!(docker.ok(&["run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net"]), "lo");
}
