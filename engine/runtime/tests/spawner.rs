//! A container started by a spawner over its socket, as the engine does.

mod harness;

use harness::{Harness, process, read_all, reap, spec, spec_value};
use sampan_runtime::wire::RefusalKind;
use sampan_runtime::wire::spawner::{Answer, Request};

#[test]
fn a_container_runs_as_root_of_its_own_user_namespace_and_leaves_nothing() {
    let harness = Harness::start("");

    let (code, output) = harness.script("id -u; cat /proc/self/uid_map; touch /made; ls -ln /made; exit 7");

    assert_eq!(code, 7);
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[..4], ["0", "0", "1990000000", "65536"], "{output}");
    assert_eq!(words[6..8], ["0", "0"], "{output}");
    assert_eq!(harness.cgroups(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_missing_command_and_one_that_cannot_run_are_told_apart() {
    let harness = Harness::start("");
    let kind = |arguments: &[&str]| {
        let sandbox = harness.sandbox();
        let refusal = harness.run(&sandbox, &spec(arguments)).map(|_| ()).unwrap_err();
        assert!(!harness.kept().iter().any(|name| name.contains(&sandbox.id)), "{:?}", harness.kept());
        (refusal.kind, refusal.message)
    };

    assert_eq!(
        kind(&["nosuch"]),
        (RefusalKind::CommandNotFound, "exec: \"nosuch\": executable file not found in $PATH".to_owned())
    );
    assert_eq!(kind(&["/etc"]).0, RefusalKind::CommandNotRunnable);
    assert_eq!(kind(&["/etc/passwd"]).0, RefusalKind::CommandNotRunnable);
}

#[test]
fn a_process_of_exec_stands_in_the_same_namespaces() {
    let harness = Harness::start("");
    let sandbox = harness.sandbox();
    let run = harness.run(&sandbox, &spec(&["sleep", "60"])).expect("started");
    let exec = Request::Exec {
        id: sandbox.id.clone(),
        exec: "e1".to_owned(),
        process: process(&["sh", "-c", "cat /proc/1/cmdline; cat /proc/sys/kernel/hostname; exit 3"]),
        stdin: false,
    };

    let (Answer::ExecStarted { pid }, streams) = harness.ask(&exec).expect("exec") else { panic!("no exec") };
    let output = read_all(&streams[0]);

    assert_eq!(output, "sleep\u{0}60\u{0}boat\n");
    let pidfd = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(pid).expect("pid"),
        rustix::process::PidfdFlags::empty(),
    )
    .expect("pidfd");
    assert_eq!(reap(std::os::fd::AsFd::as_fd(&pidfd)), 3);
    harness.ask(&Request::Signal { id: sandbox.id.clone(), signal: 9, all: false }).expect("signal");
    assert_eq!(run.wait(), 137);
}

#[test]
fn a_terminal_is_the_console_and_the_controlling_terminal() {
    let harness = Harness::start("");
    let mut sandbox = harness.sandbox();
    sandbox.stdio.tty = true;
    let mut value = spec_value(&["sh", "-c", "readlink /proc/self/fd/0; echo x >/dev/tty; stat -c %t:%T /dev/console"]);
    value["process"]["terminal"] = true.into();
    let spec = serde_json::from_value(value).expect("spec");

    let (code, output) = harness.script_in(&sandbox, &spec);

    assert_eq!((code, output.as_str()), (0, "/dev/pts/0\r\nx\r\n88:0\r\n"));
}
