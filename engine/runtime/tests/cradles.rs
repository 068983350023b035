//! Cradles that wait for the next containers.

mod harness;

use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Harness, spec};
use sampan_runtime::sandbox::Sandbox;
use sampan_runtime::wire::spawner::Request;

const SCRIPT: &str = "readlink /proc/self/ns/net; cat /proc/sys/kernel/hostname; id -u; ls /dev/shm; echo $$";

/// Starts one container to its end and has a cradle raised for `next`; waits until it stands.
fn warm(harness: &Harness, next: &Sandbox) {
    let first = harness.sandbox();
    harness.write(&first, &spec(&["sh", "-c", "exit 0"]));
    harness.ask(&Request::Create { id: first.id.clone() }).expect("created");
    let run = harness.start_before(&first, &[next]).expect("started");
    run.wait();
    harness.ask(&Request::Remove { id: first.id.clone() }).expect("removed");
    wait_for(|| stands(harness, next), "the cradle's namespaces are kept");
}

fn stands(harness: &Harness, sandbox: &Sandbox) -> bool {
    harness.kept().contains(&format!("container/{}/netns", sandbox.id))
}

fn wait_for(mut done: impl FnMut() -> bool, what: &str) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The one process in its cgroup, once those that raised it have ended.
fn processes_of(harness: &Harness, sandbox: &Sandbox) -> Vec<i32> {
    wait_for(|| listed(harness, sandbox).len() == 1, "one process is left in the cradle's cgroup");
    listed(harness, sandbox)
}

fn listed(harness: &Harness, sandbox: &Sandbox) -> Vec<i32> {
    let folder = harness.cgroups().into_iter().find(|path| path.ends_with(&sandbox.id)).expect("its cgroup");
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).expect("processes");
    text.lines().map(|line| line.parse().expect("pid")).collect()
}

#[test]
fn the_next_container_of_the_kind_becomes_the_program_of_a_process_that_stood_before() {
    let harness = Harness::start("");
    let next = harness.sandbox();
    warm(&harness, &next);
    let waiting = processes_of(&harness, &next);

    let run = harness.run(&next, &spec(&["sh", "-c", SCRIPT])).expect("started");

    assert_eq!(run.started.pid, waiting[0]);
    let output = run.output();
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].starts_with("net:["), "{output}");
    assert_eq!(lines[1..], ["boat", "0", "1"], "{output}");
    assert_eq!(run.wait(), 0);
    harness.ask(&Request::Remove { id: next.id.clone() }).expect("removed");
    harness.wait_until_no_cgroups();
    assert!(!stands(&harness, &next), "its namespaces are let go of: {:?}", harness.kept());
}

#[test]
fn a_container_of_another_kind_gives_the_cradle_back_and_starts_from_nothing() {
    let harness = Harness::start("");
    let next = harness.sandbox();
    warm(&harness, &next);
    let waiting = processes_of(&harness, &next);
    let mut other = harness::spec_value(&["sh", "-c", "cat /proc/sys/net/ipv4/ip_forward"]);
    other["linux"]["sysctl"] = serde_json::json!({"net.ipv4.ip_forward": "1"});

    let run = harness.run(&next, &serde_json::from_value(other).expect("spec")).expect("started");

    assert_ne!(run.started.pid, waiting[0]);
    assert_eq!(run.output(), "1\n");
    run.wait();
    harness.ask(&Request::Remove { id: next.id.clone() }).expect("removed");
    wait_for(|| !Path::new(&format!("/proc/{}", waiting[0])).exists() || is_zombie(waiting[0]), "the cradle has ended");
    harness.wait_until_no_cgroups();
}

#[test]
fn a_cradle_whose_container_is_never_started_goes_with_it() {
    let harness = Harness::start("");
    let next = harness.sandbox();
    warm(&harness, &next);
    harness.write(&next, &spec(&["sh", "-c", SCRIPT]));
    harness.ask(&Request::Create { id: next.id.clone() }).expect("created");

    harness.ask(&Request::Remove { id: next.id.clone() }).expect("removed");

    harness.wait_until_no_cgroups();
    assert!(!stands(&harness, &next), "{:?}", harness.kept());
}

#[test]
fn what_a_killed_spawner_had_waiting_is_swept_by_the_next() {
    let mut harness = Harness::start("");
    let next = harness.sandbox();
    warm(&harness, &next);

    harness.restart_spawner("");

    harness.wait_until_no_cgroups();
    assert!(!stands(&harness, &next), "{:?}", harness.kept());
}

#[test]
fn namespaces_of_a_cradle_whose_spawner_was_killed_serve_its_container() {
    let mut harness = Harness::start("");
    let next = harness.sandbox();
    warm(&harness, &next);
    harness.write(&next, &spec(&["sh", "-c", SCRIPT]));
    harness.ask(&Request::Create { id: next.id.clone() }).expect("created");

    harness.restart_spawner("");
    let run = harness.start_again(&next).expect("started");

    assert!(run.output().contains("boat"));
    assert_eq!(run.wait(), 0);
    harness.ask(&Request::Remove { id: next.id.clone() }).expect("removed");
}

/// The test is the parent of what a spawner bears, and reaps only what it waits for.
fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| text.contains(") Z "))
}
