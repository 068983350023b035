//! What is not there says so.

use super::docker::Docker;

#[test]
fn what_comes_later_is_refused_with_a_sentence() {
    let docker = Docker::start();
    docker.ok(&["create", "--name", "web", "busybox", "true"]);
    let cases: [(&[&str], i32, &str); 3] = [
        (&["run", "--link", "web", "busybox"], 125, "HostConfig.Links is not there yet"),
        (&["network", "create", "front"], 1, "networks beside bridge, host and none come with a later release"),
        (&["run", "--gpus", "all", "busybox"], 125, "HostConfig.DeviceRequests is not there yet"),
    ];
    for (arguments, code, sentence) in cases {
        let said = docker.fails(arguments, code);
        assert!(said.contains(sentence), "docker {arguments:?}: {said}");
    }
    let said = docker.fails(&["service", "ls"], 1);
    assert!(said.contains("This node is not a swarm manager."), "{said}");
}

#[test]
fn the_default_networks_are_there_and_stay() {
    let docker = Docker::start();
    assert_eq!(
        docker.ok(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]),
        "bridge bridge\nhost host\nnone null"
    );
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    let inside =
        docker.ok(&["network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}", "bridge"]);
    let address = docker.inspect("web", ".NetworkSettings.IPAddress");
    assert!(inside.starts_with(&format!("web {}/", address.as_str().expect("an address"))), "{inside}");
    let said = docker.fails(&["network", "rm", "bridge"], 1);
    assert!(said.contains("bridge is a pre-defined network and cannot be removed"), "{said}");
}
