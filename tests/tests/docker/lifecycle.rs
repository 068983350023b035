//! The life of a container, from create to rm.

use super::docker::{Docker, soon};

#[test]
fn a_container_is_listed_inspected_stopped_started_and_removed() {
    let docker = Docker::start();
    let id = docker.ok(&["run", "-d", "--name", "web", "-l", "tier=front", "busybox", "sleep", "1000"]);
    assert_eq!(id.len(), 64);
    assert_eq!(
        docker.ok(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}"]),
        format!("{id} web busybox running")
    );
    assert_eq!(docker.ok(&["ps", "-q", "--no-trunc", "-f", "label=tier=front", "-f", "status=running"]), id);
    assert_eq!(docker.ok(&["ps", "-q", "-f", "name=^other$"]), "");
    assert_eq!(docker.inspect("web", ".Config.Cmd"), serde_json::json!(["sleep", "1000"]));
    assert_eq!(docker.inspect("web", ".State.Running"), true);
    assert_eq!(docker.inspect(&id[..12], ".Name"), "/web");

    docker.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(docker.inspect("web", ".State.ExitCode"), 137);
    assert!(docker.ok(&["ps", "-a", "--format", "{{.Status}}"]).starts_with("Exited (137)"));
    docker.ok(&["start", "web"]);
    docker.ok(&["restart", "-t", "0", "web"]);
    assert_eq!(docker.inspect("web", ".State.Running"), true);

    let said = docker.fails(&["rm", "web"], 1);
    assert!(said.contains("web"), "{said}");
    docker.ok(&["rm", "-f", "web"]);
    let gone = "Error response from daemon: No such container: web";
    assert_eq!(docker.fails(&["inspect", "--type", "container", "web"], 1).trim(), gone);
    assert!(docker.fails(&["inspect", "web"], 1).trim().ends_with("No such object: web"));
    assert_eq!(docker.fails(&["stop", "web"], 1).trim(), gone);
}

#[test]
fn two_containers_cannot_have_one_name() {
    let docker = Docker::start();
    let id = docker.ok(&["create", "--name", "web", "busybox", "true"]);
    let said = docker.fails(&["create", "--name", "web", "busybox", "true"], 1);
    let conflict = format!(
        "Error response from daemon: Conflict. The container name \"/web\" is already in use by container \"{id}\". You \
         have to remove (or rename) that container to be able to reuse that name."
    );
    assert_eq!(said.trim(), conflict);
    docker.ok(&["rename", "web", "site"]);
    docker.ok(&["create", "--name", "web", "busybox", "true"]);
    assert_eq!(docker.inspect(&id, ".Name"), "/site");
}

#[test]
fn signals_pause_and_wait_do_what_they_say() {
    let docker = Docker::start();
    let script = "trap 'exit 5' TERM; while :; do sleep 0.05; done";
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sh", "-c", script]);
    docker.ok(&["pause", "web"]);
    assert_eq!(docker.inspect("web", ".State.Paused"), true);
    assert!(docker.ok(&["ps", "--format", "{{.Status}}"]).ends_with("(Paused)"));
    docker.ok(&["unpause", "web"]);
    assert_eq!(docker.inspect("web", ".State.Status"), "running");
    let waiting = docker
        .command(&["wait", "web"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("docker");
    docker.ok(&["kill", "-s", "TERM", "web"]);
    assert_eq!(super::docker::end(waiting, &["wait"]).stdout, "5\n");
    assert_eq!(docker.ok(&["wait", "web"]), "5");
    let said = docker.fails(&["kill", "web"], 1);
    assert!(said.starts_with("Error response from daemon: cannot kill container: web: "), "{said}");
}

#[test]
fn limits_change_while_it_runs() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "--memory", "64m", "busybox", "sleep", "1000"]);
    docker.ok(&["update", "--memory", "32m", "--memory-swap", "64m", "--restart", "always", "web"]);
    assert_eq!(docker.inspect("web", ".HostConfig.Memory"), 32 << 20);
    assert_eq!(docker.inspect("web", ".HostConfig.RestartPolicy.Name"), "always");
}

#[test]
fn processes_and_statistics_are_told() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "--memory", "64m", "busybox", "sh", "-c", "while :; do :; done"]);
    let top = docker.ok(&["top", "web"]);
    assert!(top.starts_with("UID") && top.contains("while :; do :; done"), "{top}");
    let row = docker.ok(&["top", "web", "-o", "pid,etime,pgid,comm"]);
    assert_eq!(
        row.lines().next().expect("titles").split_whitespace().collect::<Vec<_>>(),
        ["PID", "ELAPSED", "PGID", "COMMAND"]
    );
    let stats =
        docker.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", "web"]);
    let words: Vec<&str> = stats.split(' ').collect();
    let percent: f64 = words[1].trim_end_matches('%').parse().expect("percent");
    assert!(words[0] == "web" && percent > 5.0 && percent < 250.0, "{stats}");
    assert!(stats.contains("/ 64MiB") && words.last() == Some(&"1"), "{stats}");
}

#[test]
fn events_tell_a_containers_life() {
    let docker = Docker::start();
    docker.fails(&["run", "--name", "web", "busybox", "sh", "-c", "exit 4"], 4);
    docker.ok(&["rm", "web"]);
    let soon = soon();
    let arguments =
        ["events", "--since", "1m", "--until", &soon, "--filter", "container=web", "--format", "{{.Action}}"];
    let told = docker.ok(&arguments);
    let told: Vec<&str> = told.lines().collect();
    for action in ["create", "start", "die", "destroy"] {
        assert!(told.contains(&action), "{action} is not among {told:?}");
    }
    let code = "{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.name}} {{.Actor.Attributes.image}}";
    let die = ["events", "--since", "1m", "--until", &soon, "--filter", "event=die", "--format", code];
    assert_eq!(docker.ok(&die), "4 web busybox");
}

#[test]
fn volumes_keep_what_containers_write() {
    let docker = Docker::start();
    docker.ok(&["volume", "create", "--label", "a=b", "data"]);
    docker.ok(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file"]);
    assert_eq!(
        docker.ok(&["run", "--rm", "--mount", "type=volume,src=data,dst=/e,readonly", "busybox", "cat", "/e/file"]),
        "kept"
    );
    assert_eq!(docker.ok(&["volume", "ls", "--format", "{{.Name}} {{.Driver}}"]), "data local");
    docker.ok(&["create", "--name", "web", "-v", "data:/d", "busybox", "true"]);
    let said = docker.fails(&["volume", "rm", "data"], 1);
    assert!(said.contains("volume is in use"), "{said}");
    docker.ok(&["rm", "web"]);
    docker.ok(&["volume", "rm", "data"]);
    assert_eq!(
        docker.fails(&["volume", "inspect", "data"], 1).trim(),
        "Error response from daemon: get data: no such volume"
    );
}

#[test]
fn what_does_not_run_is_pruned() {
    let docker = Docker::start();
    let dead = docker.ok(&["create", "busybox", "true"]);
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    assert!(docker.ok(&["container", "prune", "-f"]).contains(&dead));
    assert_eq!(docker.ok(&["ps", "-a", "--format", "{{.Names}}"]), "web");
}

#[test]
fn a_container_whose_start_failed_is_as_before_with_code_and_error() {
    let docker = Docker::start();
    let seen = |name: &str| {
        let format = "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}} {{.State.StartedAt}}";
        docker.ok(&["inspect", "--format", format, name])
    };
    let never = "false 0001-01-01T00:00:00Z";
    docker.ok(&["create", "--name", "absent", "busybox", "no-such-program"]);
    docker.ok(&["create", "--name", "folder", "busybox", "/etc"]);
    // Often: how far the helpers are when it fails is different each time.
    for _ in 0..10 {
        docker.fails(&["start", "absent"], 1);
        assert_eq!(seen("absent"), format!("created 127 {never}"));
    }
    docker.fails(&["start", "folder"], 1);
    assert_eq!(seen("folder"), format!("created 126 {never}"));
    let error = docker.inspect("absent", ".State.Error");
    assert!(error.as_str().is_some_and(|error| error.contains("no-such-program")), "{error}");
    assert!(docker.ok(&["ps", "-a", "--filter", "name=absent", "--format", "{{.Status}}"]).starts_with("Created"));
    // One that ran before has ended, with the time of that run and the code of the failure.
    let source = tempfile::tempdir().expect("a folder");
    let folder = source.path().join("source");
    std::fs::create_dir(&folder).expect("made");
    let bind = format!("{}:/there", folder.display());
    docker.fails(&["run", "--name", "ran", "-v", &bind, "busybox", "sh", "-c", "exit 3"], 3);
    let finished = docker.inspect("ran", ".State.FinishedAt");
    std::fs::remove_dir(&folder).expect("removed");
    std::fs::write(&folder, "a file where a folder was").expect("written");
    docker.fails(&["start", "ran"], 1);
    assert!(seen("ran").starts_with("exited 12"), "{}", seen("ran"));
    assert_eq!(docker.inspect("ran", ".State.FinishedAt"), finished);
}

#[test]
fn events_tell_of_networks_and_volumes() {
    let docker = Docker::start();
    let id = docker.ok(&["run", "-d", "--name", "web", "-v", "data:/data", "-v", "/own", "busybox", "sleep", "1000"]);
    let own = docker.ok(&[
        "inspect",
        "--format",
        "{{range .Mounts}}{{if eq .Destination \"/own\"}}{{.Name}}{{end}}{{end}}",
        "web",
    ]);
    docker.ok(&["rm", "-fv", "web"]);
    docker.ok(&["volume", "rm", "data"]);
    let network = docker.ok(&["network", "inspect", "--format", "{{.ID}}", "bridge"]);
    let told = |filter: &str| {
        let until = soon();
        let arguments = ["events", "--since", "1m", "--until", &until, "--filter", filter, "--format", "{{json .}}"];
        let lines = docker.ok(&arguments);
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<serde_json::Value>>()
    };
    let networks = told("type=network");
    let words: Vec<_> = networks.iter().map(|event| event["Action"].as_str().expect("a word")).collect();
    assert_eq!(words, ["connect", "disconnect"]);
    for event in &networks {
        assert_eq!(event["Actor"]["ID"], network);
        let expected = serde_json::json!({ "container": id, "name": "bridge", "type": "bridge" });
        assert_eq!(event["Actor"]["Attributes"], expected);
    }
    let of = |name: &str| -> Vec<(String, serde_json::Value)> {
        let all = told(&format!("volume={name}"));
        let pair = |event: &serde_json::Value| {
            (event["Action"].as_str().expect("a word").to_owned(), event["Actor"]["Attributes"].clone())
        };
        all.iter().map(pair).collect()
    };
    let mounted = |destination: &str| {
        serde_json::json!({ "container": id, "destination": destination, "driver": "local", "propagation": "",
                            "read/write": "true" })
    };
    for (name, destination) in [("data", "/data"), (own.as_str(), "/own")] {
        let expected = [
            ("create".to_owned(), serde_json::json!({ "driver": "local" })),
            ("mount".to_owned(), mounted(destination)),
            ("unmount".to_owned(), serde_json::json!({ "container": id, "driver": "local" })),
            ("destroy".to_owned(), serde_json::json!({ "driver": "local" })),
        ];
        assert_eq!(of(name), expected);
    }
    let order: Vec<String> = told("event=connect")
        .into_iter()
        .chain(told("event=start"))
        .map(|event| event["timeNano"].to_string())
        .collect();
    assert!(order[0] <= order[1], "{order:?}");
}
