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
fn exec_runs_a_program_with_its_own_code_and_input() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "-e", "A=1", "busybox", "sleep", "1000"]);
    let ended =
        docker.run(&["exec", "-e", "B=2", "-w", "/tmp", "web", "sh", "-c", "echo $A$B $PWD; echo e >&2; exit 9"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code), ("12 /tmp\n", "e\n", 9));
    assert_eq!(docker.run_with(&["exec", "-i", "web", "cat"], b"typed").stdout, "typed");
    assert_eq!(docker.run(&["exec", "web", "no-such-program"]).code, 127);
    assert_eq!(docker.run(&["exec", "web", "/etc"]).code, 126);
    assert_eq!(docker.ok(&["exec", "-d", "web", "touch", "/made"]), "");
    docker
        .until("the detached program has run", |docker| docker.run(&["exec", "web", "test", "-e", "/made"]).code == 0);
    docker.ok(&["kill", "web"]);
    assert_eq!(docker.run(&["exec", "web", "true"]).code, 1);
}

#[test]
fn a_terminal_has_a_size_and_ends_with_its_program() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    // script(1) gives the CLI a terminal of its own, without which it refuses -t.
    // Each line asks at once: the size is there before the program is.
    let line = format!(
        "docker -H unix://{0} run -it --rm busybox stty size; docker -H unix://{0} exec -it web sh -c 'tty; stty size; exit 6'",
        docker.socket()
    );
    let ended = std::process::Command::new("script")
        .args(["-qec", &format!("stty rows 33 cols 77; {line}"), "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("script");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(said.contains("/dev/pts/") && said.matches("33 77").count() == 2, "{said:?}");
    assert_eq!(ended.status.code(), Some(6));
}

#[test]
fn the_detach_keys_leave_a_container_running() {
    let docker = Docker::start();
    let line = format!("docker -H unix://{} run -it --name web busybox sh", docker.socket());
    let mut child = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script");
    let mut stdin = child.stdin.take().expect("stdin");
    let mut stdout = child.stdout.take().expect("stdout");
    let mut said = Vec::new();
    let mut piece = [0_u8; 256];
    // Behind its prompt the shell asks the terminal where the cursor is, so that the prompt is not the last it says.
    while !said.windows(2).any(|pair| pair == b"# ") {
        let count = stdout.read(&mut piece).expect("output");
        assert!(count > 0, "{:?}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&piece[..count]);
    }
    stdin.write_all(b"\x10\x11").expect("typed");
    child.stdout = Some(stdout);
    assert_eq!(end(child, &["run", "-it"]).code, 0);
    assert_eq!(docker.inspect("web", ".State.Running"), true);
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

#[test]
fn a_log_driver_of_none_keeps_nothing_and_whoever_is_attached_misses_nothing() {
    let docker = Docker::start();
    let refused = "configured logging driver does not support reading";
    // More than waits in one piece.
    let script = "head -c 5000000 /dev/zero | tr '\\0' x; echo e >&2; exit 3";
    let none = ["--log-driver", "none", "busybox", "sh", "-c"];
    let ended = docker.run(&[&["run", "--name", "once"], &none[..], &[script]].concat());
    assert_eq!((ended.stdout.len(), ended.stderr.as_str(), ended.code), (5_000_000, "e\n", 3));
    assert!(docker.fails(&["logs", "once"], 1).contains(refused));
    let id = docker.ok(&["inspect", "-f", "{{.Id}} {{.HostConfig.LogConfig.Type}}", "once"]);
    let id = id.strip_suffix(" none").expect("its driver");
    let log = docker.server_ref().data_root().join("containers").join(id).join("log");
    let bytes = |folder: &std::path::Path| -> u64 {
        let segments = std::fs::read_dir(folder).expect("a log").flatten();
        segments.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
    };
    docker.until("nothing is kept of it", |_| bytes(&log) < 100);
    assert_eq!(docker.run(&["start", "-a", "once"]).stdout.len(), 5_000_000, "the next run is as the first");

    // Nobody is there: what it writes is dropped as it comes, and who comes later sees what comes then.
    let talks = "head -c 9000000 /dev/zero | tr '\\0' x; echo; touch /said; while :; do echo now; sleep 0.1; done";
    docker.ok(&[&["run", "-d", "--name", "talks"], &none[..], &[talks]].concat());
    docker.until("it has written", |docker| docker.run(&["exec", "talks", "test", "-e", "/said"]).code == 0);
    let id = docker.ok(&["inspect", "-f", "{{.Id}}", "talks"]);
    let log = docker.server_ref().data_root().join("containers").join(id).join("log");
    assert!(bytes(&log) < 3 << 20, "{} bytes", bytes(&log));
    let mut child = docker.command(&["attach", "--no-stdin", "talks"]).stdout(Stdio::piped()).spawn().expect("docker");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "now");
    docker.ok(&["kill", "talks"]);
    assert!(lines.all(|line| line.expect("text") == "now"));
    child.wait().expect("wait");
    let wrong = ["create", "--log-driver", "none", "--log-opt", "max-size=1m", "busybox"];
    assert!(docker.fails(&wrong, 125).contains("invalid logging opts for driver none"));
}
