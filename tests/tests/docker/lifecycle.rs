//! The life of a container, from create to rm.

use super::docker::Docker;

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
    let stats =
        docker.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", "web"]);
    let words: Vec<&str> = stats.split(' ').collect();
    let percent: f64 = words[1].trim_end_matches('%').parse().expect("percent");
    assert!(words[0] == "web" && percent > 5.0 && percent < 250.0, "{stats}");
    assert!(stats.contains("/ 64MiB") && words.last() == Some(&"1"), "{stats}");
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
