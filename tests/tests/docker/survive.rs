//! What holds when keeper, the parent of all, is killed or told to end.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::docker::{Docker, end};

fn state(docker: &Docker, name: &str) -> String {
    docker.ok(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name])
}

/// `start`, but again while the helpers are being started: a request that was under way when one died is not repeated.
fn run(docker: &Docker, arguments: &[&str]) -> String {
    let mut said = String::new();
    docker.until("a container starts", |docker| {
        let ended = docker.run(arguments);
        said = ended.stdout.trim().to_owned();
        ended.code == 0
    });
    said
}

#[test]
fn a_killed_keeper_is_followed_by_another_and_all_goes_on() {
    let mut docker = Docker::start();
    let ticks = "i=0; while :; do i=$((i + 1)); echo tick $i; sleep 0.05; done";
    docker.ok(&["run", "-d", "--name", "ticker", "--restart", "unless-stopped", "busybox", "sh", "-c", ticks]);
    docker.ok(&["run", "-d", "--name", "later", "busybox", "sh", "-c", "sleep 4; exit 42"]);
    docker.ok(&["run", "-d", "--name", "between", "busybox", "sh", "-c", "sleep 1; exit 41"]);
    docker.ok(&["run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "sh", "-c", "sleep 3; exit 3"]);
    let exec = ["exec", "ticker", "sh", "-c", "touch /begun; sleep 4; echo whole; exit 9"];
    let pipes = || std::process::Stdio::piped();
    let running = docker.command(&exec).stdout(pipes()).stderr(pipes()).spawn().expect("docker");
    docker.until("the exec runs", |docker| docker.run(&["exec", "ticker", "test", "-e", "/begun"]).code == 0);

    let guard = docker.server().helper("guard").expect("guard");
    // More than once, and one ends while there is no keeper.
    docker.server().kill_helper("keeper");
    docker.until("there is another keeper", |docker| docker.server_ref().helper("keeper").is_some());
    docker.server().kill_helper("keeper");
    assert_eq!(docker.server().helper("guard"), Some(guard));

    assert_eq!(run(&docker, &["run", "--rm", "busybox", "echo", "new"]), "new");
    assert_eq!(docker.run(&["run", "--rm", "busybox", "sh", "-c", "exit 5"]).code, 5);
    docker.until("the end between is known", |docker| state(docker, "between") == "exited 41");
    let ended = end(running, &exec);
    assert_eq!((ended.code, ended.stdout.as_str()), (9, "whole\n"), "{}", ended.stderr);
    docker.until("the later end is known", |docker| state(docker, "later") == "exited 42");
    docker.until("it was tried again twice", |docker| {
        let format = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
        docker.ok(&["inspect", "--format", format, "again"]) == "exited 3 2"
    });
    // No line of the one that ran all the time is missing, and it can be stopped and started.
    let log = docker.ok(&["logs", "ticker"]);
    let lines = log.lines().collect::<Vec<_>>();
    assert!(lines.len() > 20, "{} lines", lines.len());
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("tick {}", number + 1));
    }
    docker.ok(&["stop", "-t", "0", "ticker"]);
    assert_eq!(state(&docker, "ticker"), "exited 137");
    docker.ok(&["start", "ticker"]);

    // The server's end leaves what runs; its sockets are kept by the new keeper too.
    docker.server().signal(Signal::SIGTERM);
    assert!(docker.server().helper("keeper").is_some());
    docker.server().again();
    assert_eq!(state(&docker, "ticker"), "running 0");
    docker.ok(&["rm", "-f", "ticker"]);
    docker.server().signal(Signal::SIGTERM);
    docker.until("no helper is left", |docker| {
        ["guard", "keeper", "spawner", "net", "monitor"].iter().all(|role| docker.server_ref().helper(role).is_none())
    });
}

/// Whether this is what spawner has prepared for a container to come. It has spawner's words until it executes the
/// container's program, but a namespace of processes of its own.
fn is_prepared_container(pid: i32) -> bool {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/pid"));
    namespace(&pid.to_string()).is_ok_and(|its| namespace("self").is_ok_and(|ours| its != ours))
}

/// Killed again and again, so that helpers die at every stage of their birth: in the end there is one of each.
#[test]
fn a_keeper_killed_at_its_birth_leaves_no_second_helper() {
    let mut docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sleep", "1000"]);
    for pause in (0..56).step_by(8) {
        docker.until("keeper is killed", |docker| {
            let pid = docker.server_ref().helper("keeper");
            pid.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
        });
        std::thread::sleep(std::time::Duration::from_millis(pause));
    }
    assert_eq!(run(&docker, &["run", "--rm", "busybox", "echo", "new"]), "new");
    for role in ["guard", "keeper", "spawner", "net", "monitor"] {
        docker.until("there is one of each", |docker| {
            docker.server_ref().helpers(role).into_iter().filter(|pid| !is_prepared_container(*pid)).count() == 1
        });
    }
    docker.ok(&["rm", "-f", "web"]);
    docker.server().signal(Signal::SIGTERM);
    docker.until("no helper is left", |docker| {
        ["guard", "keeper", "spawner", "net", "monitor"].iter().all(|role| docker.server_ref().helper(role).is_none())
    });
}

#[test]
fn without_guard_and_keeper_the_server_says_so_and_its_next_start_heals() {
    let mut docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    docker.server().kill_helper("guard");
    docker.server().kill_helper("keeper");
    assert!(!docker.server().ended(), "it must not end as if all were well");
    assert!(docker.server().said().contains("start the server again"), "{}", docker.server().said());
    docker.server().again();
    assert_eq!(state(&docker, "web"), "running 0");
    docker.ok(&["run", "--rm", "busybox", "true"]);
    assert!(docker.server().helper("guard").is_some());
    docker.ok(&["rm", "-f", "web"]);
}

/// As an init does when the host goes down: SIGTERM to every process, SIGKILL some seconds later.
#[test]
fn at_the_hosts_shutdown_the_last_output_is_kept_and_policies_hold_afterwards() {
    let mut docker = Docker::start();
    let last = "trap 'sleep 1; seq 2000; echo last words; exit 6' TERM; echo ready; while :; do sleep 0.05; done";
    for (name, policy) in [("plain", "no"), ("kept", "unless-stopped")] {
        docker.ok(&["run", "-d", "--name", name, "--restart", policy, "busybox", "sh", "-c", last]);
        docker.until("it is ready", |docker| docker.ok(&["logs", name]).contains("ready"));
    }
    docker.ok(&["run", "-d", "--name", "done", "--restart", "unless-stopped", "busybox", "sleep", "1000"]);
    docker.ok(&["stop", "-t", "0", "done"]);
    let inits: Vec<i32> = ["plain", "kept"]
        .iter()
        .map(|name| i32::try_from(docker.inspect(name, ".State.Pid").as_i64().expect("a pid")).expect("a pid"))
        .collect();
    let helpers: Vec<i32> = ["monitor", "spawner", "net", "keeper", "guard"]
        .iter()
        .map(|role| docker.server().helper(role).expect("a helper"))
        .collect();
    docker.server().signal(Signal::SIGTERM);
    for pid in helpers.into_iter().chain(inits) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("signal");
    }
    docker.until("all have ended", |docker| {
        ["guard", "keeper", "spawner", "net", "monitor"].iter().all(|role| docker.server_ref().helper(role).is_none())
    });

    docker.server().again();
    assert_eq!(state(&docker, "plain"), "exited 6");
    let log = docker.ok(&["logs", "plain"]);
    assert!(log.ends_with("\n2000\nlast words"), "{}", &log[log.len().saturating_sub(200)..]);
    docker.until("the kept one runs again", |docker| state(docker, "kept") == "running 0");
    assert!(docker.ok(&["logs", "kept"]).contains("last words\nready"));
    assert_eq!(state(&docker, "done"), "exited 137");
    docker.ok(&["rm", "-f", "plain", "kept", "done"]);
}

/// What the kernel has under the instance's names: links, tables of nftables, cgroups.
fn left_on_host(instance: &str) -> Vec<String> {
    let mut left = Vec::new();
    let links = std::fs::read_dir("/sys/class/net").expect("links").flatten();
    left.extend(links.filter_map(|link| link.file_name().into_string().ok()));
    let tables = std::process::Command::new("nft").args(["list", "tables"]).output().expect("nft");
    left.extend(String::from_utf8_lossy(&tables.stdout).lines().map(str::to_owned));
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    for _ in 0..3 {
        folders =
            folders.iter().filter_map(|one| one.read_dir().ok()).flatten().flatten().map(|one| one.path()).collect();
        left.extend(folders.iter().filter(|one| one.is_dir()).map(|one| one.display().to_string()));
    }
    left.retain(|name| name.contains(instance));
    left
}

/// As after a crash: every process of the instance gone at once, and the state root, which lies in memory.
fn lose_everything(docker: &mut Docker) -> String {
    let instance = std::fs::read_to_string(docker.server().data_root().join("instance")).expect("an id");
    docker.ok(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sleep", "1000"]);
    let init = docker.inspect("web", ".State.Pid").as_i64().expect("a pid");
    docker.server().signal(Signal::SIGKILL);
    // Spawner ends by itself without keeper.
    for role in ["guard", "keeper", "net", "monitor"] {
        docker.server().kill_helper(role);
    }
    kill(Pid::from_raw(i32::try_from(init).expect("a pid")), Signal::SIGKILL).expect("kill");
    std::fs::remove_dir_all(docker.server().state_root()).expect("removed");
    let left = left_on_host(instance.trim());
    assert!(left.iter().any(|name| name.starts_with("spn")), "a bridge is left: {left:?}");
    instance.trim().to_owned()
}

fn down(docker: &mut Docker) -> String {
    let mut down = std::process::Command::new(sampan_tests::server::program());
    down.args(["down", "--purge", "--data-root"]).arg(docker.server().data_root());
    let ended = down.arg("--state-root").arg(docker.server().state_root()).output().expect("sampan down");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

#[test]
fn down_finds_what_killed_processes_left_from_the_data_root_alone() {
    let mut docker = Docker::start();
    let instance = lose_everything(&mut docker);
    down(&mut docker);
    assert_eq!(left_on_host(&instance), Vec::<String>::new());
}

#[test]
fn down_ends_what_a_killed_keeper_left_at_once() {
    let mut docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    docker.server().signal(Signal::SIGKILL);
    docker.server().kill_helper("guard");
    docker.server().kill_helper("keeper");
    let begun = std::time::Instant::now();
    assert_eq!(down(&mut docker), "1 containers ended, helpers ended\n");
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn the_next_start_sweeps_what_killed_processes_left() {
    let mut docker = Docker::start();
    let instance = lose_everything(&mut docker);
    docker.server().again();
    docker.until("it is known to have ended", |docker| state(docker, "web").starts_with("exited"));
    docker.ok(&["start", "web"]);
    docker.ok(&["rm", "-f", "web"]);
    docker.server().signal(Signal::SIGTERM);
    docker.until("nothing is left", |_| left_on_host(&instance).is_empty());
}
