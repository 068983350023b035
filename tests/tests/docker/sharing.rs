//! Containers that live in namespaces of others.

use super::docker::Docker;

/// What a shell says in a container that is made with `options`.
fn said(docker: &Docker, options: &[&str], script: &str) -> String {
    docker.ok(&[&["run", "--rm"], options, &["busybox", "sh", "-c", script]].concat())
}

#[test]
fn processes_of_another_container_are_seen_with_its_network_or_without() {
    let docker = Docker::start();
    docker.ok(&["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
    let address = docker.ok(&["exec", "web", "hostname", "-i"]);
    let script = "ps | grep -c 'sleep 100[0]'; ip -4 -o address show eth0 | awk '{ print $4 }' | cut -d / -f 1";
    let both = said(&docker, &["--network=container:web", "--pid=container:web"], script);
    assert_eq!(both, format!("1\n{address}"));
    // On a network of its own, over restarts of both.
    let apart = said(&docker, &["--pid=container:web"], script);
    let (count, own) = apart.split_once('\n').expect("two lines");
    assert!(count == "1" && own != address && own.parse::<std::net::Ipv4Addr>().is_ok(), "{apart}");
    docker.ok(&["create", "--name", "looks", "--pid", "container:web", "busybox", "sh", "-c", script]);
    for _ in 0..2 {
        assert!(docker.ok(&["start", "-a", "looks"]).starts_with("1\n"));
        docker.ok(&["restart", "-t", "0", "web"]);
    }
    assert!(docker.ok(&["start", "-a", "looks"]).starts_with("1\n"));
    docker.ok(&["stop", "-t", "0", "web"]);
    assert!(docker.fails(&["start", "looks"], 1).contains("is not running"));
    docker.ok(&["start", "web"]);
    docker.ok(&["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
    let two = ["create", "--network=container:web", "--pid=container:other", "busybox"];
    assert!(docker.fails(&two, 1).contains("namespaces of two different containers cannot be joined at once"));
}

#[test]
fn ipc_and_its_memory_are_shared_with_who_may_join() {
    let docker = Docker::start();
    let options = ["run", "-d", "--name", "web", "--ipc", "shareable", "--shm-size", "16m", "busybox"];
    docker.ok(&[&options[..], &["sh", "-c", "echo shared > /dev/shm/file; exec sleep 1000"]].concat());
    assert_eq!(docker.inspect("web", ".HostConfig.IpcMode"), "shareable");
    docker.until("it has written", |docker| docker.run(&["exec", "web", "test", "-s", "/dev/shm/file"]).code == 0);
    let script = "cat /dev/shm/file; echo back > /dev/shm/other; df -k /dev/shm | awk 'END { print $2 }'; \
                  readlink /proc/self/ns/ipc; grep -c ' /dev/mqueue mqueue ' /proc/self/mounts";
    let seen = said(&docker, &["--ipc", "container:web"], script);
    let ipc = docker.ok(&["exec", "web", "readlink", "/proc/self/ns/ipc"]);
    assert_eq!(seen, format!("shared\n16384\n{ipc}\n1"));
    assert_eq!(docker.ok(&["exec", "web", "cat", "/dev/shm/other"]), "back");
    let all = ["--ipc=container:web", "--pid=container:web", "--network=container:web"];
    assert_eq!(said(&docker, &all, "cat /dev/shm/file; ps | grep -c 'sleep 100[0]'"), "shared\n1");

    docker.ok(&["run", "-d", "--name", "closed", "busybox", "sleep", "1000"]);
    let said = docker.fails(&["run", "--ipc", "container:closed", "busybox", "true"], 125);
    assert!(said.contains("non-shareable IPC (hint: use IpcMode:shareable for the donor container)"), "{said}");
    let said = docker.fails(&["run", "--ipc", "container:nobody", "busybox", "true"], 125);
    assert!(said.contains("No such container: nobody"), "{said}");
}
