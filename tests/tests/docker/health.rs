//! Health checks: what is run, what it comes to, who hears of it.

use super::docker::{Docker, soon};

fn status(docker: &Docker) -> String {
    docker.ok(&["ps", "--format", "{{.Status}}"])
}

#[test]
fn a_health_check_finds_a_container_unwell_and_well_again() {
    let docker = Docker::start();
    let check = "test -e /well || { echo not yet; exit 3; }";
    let run =
        ["run", "-d", "--name", "web", "--health-cmd", check, "--health-interval", "100ms", "--health-retries", "2"];
    docker.ok(&[&run[..], &["busybox", "sleep", "1000"]].concat());
    docker.until("it is unhealthy", |docker| status(docker).ends_with("(unhealthy)"));
    let health = docker.inspect("web", ".State.Health");
    assert_eq!(health["Status"], "unhealthy");
    assert!(health["FailingStreak"].as_i64() >= Some(2), "{health}");
    assert_eq!(health["Log"][0]["ExitCode"], 3);
    assert_eq!(health["Log"][0]["Output"], "not yet\n");
    assert_eq!(docker.ok(&["ps", "--filter", "health=unhealthy", "--format", "{{.Names}}"]), "web");
    assert_eq!(docker.ok(&["ps", "--filter", "health=none", "--format", "{{.Names}}"]), "");

    docker.ok(&["exec", "web", "touch", "/well"]);
    docker.until("it is healthy", |docker| status(docker).ends_with("(healthy)"));
    assert_eq!(docker.inspect("web", ".State.Health.FailingStreak"), 0);
    docker.until("five results are kept and no more", |docker| {
        let log = docker.inspect("web", ".State.Health.Log");
        log.as_array().is_some_and(|log| log.len() == 5 && log.iter().all(|result| result["ExitCode"] == 0))
    });
    let soon = soon();
    let told =
        ["events", "--since", "1m", "--until", &soon, "--filter", "event=health_status", "--format", "{{.Action}}"];
    assert_eq!(docker.ok(&told), "health_status: unhealthy\nhealth_status: healthy");

    // While it is paused nothing is probed, and afterwards it is.
    docker.ok(&["pause", "web"]);
    let last = docker.inspect("web", "(index .State.Health.Log 4).Start");
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(docker.inspect("web", "(index .State.Health.Log 4).Start"), last);
    docker.ok(&["unpause", "web"]);
    docker.until("it is probed again", |docker| status(docker).ends_with("(healthy)"));
    docker.ok(&["kill", "web"]);
    assert_eq!(docker.inspect("web", ".State.Health.Status"), "unhealthy");
}

#[test]
fn a_health_check_that_hangs_is_killed_and_what_it_said_is_kept() {
    let docker = Docker::start();
    let script = "head -c 5000 /dev/zero | tr '\\0' x; exec sleep 1000";
    let times = ["--health-interval", "100ms", "--health-timeout", "300ms", "--health-retries", "1"];
    docker.ok(&[
        &["run", "-d", "--name", "web", "--health-cmd", script][..],
        &times[..],
        &["busybox", "sleep", "1000"],
    ]
    .concat());
    docker.until("it is unhealthy", |docker| status(docker).ends_with("(unhealthy)"));
    let result = docker.inspect("web", "(index .State.Health.Log 0)");
    assert_eq!(result["ExitCode"], -1);
    let expected = format!("Health check exceeded timeout (300ms): {}...", "x".repeat(4096));
    assert_eq!(result["Output"], expected);
    // At most the one that is under way now.
    let top = docker.ok(&["top", "web", "-o", "pid,args"]);
    assert!(top.lines().filter(|line| line.contains("sleep 1000")).count() <= 2, "{top}");
}

#[test]
fn failures_of_the_start_period_do_not_count_and_the_server_may_come_and_go() {
    let mut docker = Docker::start();
    let times = ["--health-interval", "200ms", "--health-start-period", "1h", "--health-start-interval", "100ms"];
    docker.ok(&[
        &["run", "-d", "--name", "web", "--health-cmd", "test -e /well", "--health-retries", "1"][..],
        &times[..],
        &["busybox", "sleep", "1000"],
    ]
    .concat());
    docker.until("it was probed", |docker| {
        docker.inspect("web", ".State.Health.Log").as_array().is_some_and(|log| log.len() >= 2)
    });
    assert_eq!(docker.inspect("web", ".State.Health.Status"), "starting");
    assert!(status(&docker).ends_with("(health: starting)"));
    docker.ok(&["exec", "web", "touch", "/well"]);
    docker.server().signal(nix::sys::signal::Signal::SIGTERM);
    docker.server().again();
    docker.until("it is healthy", |docker| status(docker).ends_with("(healthy)"));
    docker.ok(&["restart", "-t", "0", "web"]);
    assert!(status(&docker).contains("(health"), "{}", status(&docker));
}

#[test]
fn no_health_check_is_none() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "--no-healthcheck", "busybox", "sleep", "1000"]);
    assert_eq!(docker.inspect("web", ".Config.Healthcheck.Test"), serde_json::json!(["NONE"]));
    assert_eq!(docker.inspect("web", ".State.Health"), serde_json::Value::Null);
    assert_eq!(docker.ok(&["ps", "--filter", "health=none", "--format", "{{.Names}}"]), "web");
    let said = docker.fails(&["create", "--health-interval", "1us", "busybox"], 1);
    assert!(said.contains("Interval in Healthcheck cannot be less than 1ms"), "{said}");
}
