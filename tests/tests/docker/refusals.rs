//! What is not there says so.

use super::docker::Docker;

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
