//! Logs, attach, exec.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use super::docker::{Docker, end};

#[test]
fn logs_are_whole_or_the_part_that_was_asked_for() {
    let docker = Docker::start();
    docker.ok(&["run", "--name", "web", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; done; echo e >&2"]);
    let ended = docker.run(&["logs", "web"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("1\n2\n3\n4\n5\n", "e\n"));
    let last = docker.run(&["logs", "--tail", "2", "web"]);
    assert_eq!((last.stdout + &last.stderr).lines().count(), 2);
    assert_eq!(docker.ok(&["logs", "--until", "2001-01-01T00:00:00Z", "web"]), "");
    assert_eq!(docker.ok(&["logs", "--since", "2001-01-01T00:00:00Z", "web"]), "1\n2\n3\n4\n5");
    let stamped = docker.ok(&["logs", "-t", "web"]);
    let first = stamped.lines().next().expect("a line");
    let (time, text) = first.split_once(' ').expect("time and text");
    assert!(time.len() == 30 && time.ends_with('Z') && text == "1", "{first}");
}

#[test]
fn followed_logs_come_as_they_are_written_and_end_with_the_container() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sh", "-c", "echo one; read line < /dev/null; sleep 1000"]);
    let mut child =
        docker.command(&["logs", "-f", "web"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("docker");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "one");
    docker.ok(&["exec", "web", "sh", "-c", "echo two > /proc/1/fd/1"]);
    assert_eq!(lines.next().expect("a line").expect("text"), "two");
    docker.ok(&["kill", "web"]);
    assert!(lines.next().is_none());
    assert!(child.wait().expect("wait").success());
}

#[test]
fn a_terminal_has_a_size_and_ends_with_its_program() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    // script(1) gives the CLI a terminal of its own, without which it refuses -t.
    let line = format!("docker -H unix://{} exec -it web sh -c 'tty; stty size; exit 6'", docker.socket());
    let ended = std::process::Command::new("script")
        .args(["-qec", &format!("stty rows 33 cols 77; {line}"), "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("script");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(said.contains("/dev/pts/") && said.contains("33 77"), "{said:?}");
    assert_eq!(ended.status.code(), Some(6));
}

#[test]
fn attach_joins_a_running_container() {
    let docker = Docker::start();
    docker.ok(&[
        "run",
        "-d",
        "-i",
        "--name",
        "web",
        "busybox",
        "sh",
        "-c",
        "read line; echo got $line; sleep 0.2; exit 8",
    ]);
    let mut child = docker
        .command(&["attach", "web"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("docker");
    child.stdin.as_mut().expect("stdin").write_all(b"word\n").expect("typed");
    let ended = end(child, &["attach"]);
    assert_eq!((ended.stdout.as_str(), ended.code), ("got word\n", 8));
}
