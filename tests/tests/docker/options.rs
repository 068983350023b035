//! The options of `docker run`, each as the container sees it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::docker::Docker;

/// What a shell in a container made with `options` says.
fn said(docker: &Docker, options: &[&str], script: &str) -> String {
    docker.ok(&[&["run", "--rm"], options, &["busybox", "sh", "-c", script]].concat())
}

#[test]
fn names_users_and_files_of_a_container_are_as_asked_for() {
    let docker = Docker::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (file, id_file) = (folder.path().join("env"), folder.path().join("id"));
    std::fs::write(&file, "B=two words\n# no line\nC=3\n").expect("a file");
    let environment = said(&docker, &["-e", "A=1", "--env-file", file.to_str().expect("path")], "echo $A $B $C");
    assert_eq!(environment, "1 two words 3");
    assert_eq!(
        said(&docker, &["-u", "1000:nogroup", "--group-add", "27"], "id -u; id -gn; id -G"),
        "1000\nnogroup\n65534 27"
    );
    let names = said(
        &docker,
        &["-h", "boat", "--domainname", "sea.example"],
        "hostname; grep -c 'boat.sea.example boat$' /etc/hosts",
    );
    assert_eq!(names, "boat\n1");
    let resolvers = ["--dns", "192.0.2.53", "--dns-search", "sea.example", "--dns-option", "ndots:3"];
    let expected = "nameserver 192.0.2.53\nsearch sea.example\noptions ndots:3";
    assert_eq!(said(&docker, &resolvers, "cat /etc/resolv.conf"), expected);
    let id = docker.ok(&["create", "--cidfile", id_file.to_str().expect("path"), "--name", "kept", "busybox", "true"]);
    assert_eq!(std::fs::read_to_string(&id_file).expect("the id"), id);
}

#[test]
fn limits_and_privileges_of_a_container_are_as_asked_for() {
    let docker = Docker::start();
    assert_eq!(said(&docker, &["--shm-size", "32m"], "df -k /dev/shm | awk 'END { print $2 }'"), "32768");
    assert_eq!(
        said(&docker, &["--tmpfs", "/t:size=1m,mode=700"], "stat -c %a /t; df -k /t | awk 'END { print $2 }'"),
        "700\n1024"
    );
    assert_eq!(
        said(&docker, &["--ulimit", "nofile=50:60", "--ulimit", "core=0"], "ulimit -n; ulimit -Hn; ulimit -c"),
        "50\n60\n0"
    );
    assert_eq!(said(&docker, &[], "ulimit -n"), "1024", "whatever the server was started with");
    let capabilities = ["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"];
    assert_eq!(said(&docker, &capabilities, "grep CapEff /proc/self/status"), "CapEff:\t0000000000001000");
    let status = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
    assert_eq!(said(&docker, &["--security-opt", "no-new-privileges"], status), "NoNewPrivs:\t1\nSeccomp:\t2");
    assert_eq!(said(&docker, &["--security-opt", "seccomp=unconfined"], status), "NoNewPrivs:\t0\nSeccomp:\t0");
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("profile.json");
    let rules = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&profile, rules).expect("a profile");
    let option = format!("seccomp={}", profile.display());
    assert_eq!(
        said(&docker, &["--security-opt", &option], "mkdir /made 2>&1 || echo refused").lines().last(),
        Some("refused")
    );
    assert_eq!(
        said(&docker, &["--read-only", "--tmpfs", "/w"], "touch /w/x && ! touch /x 2>/dev/null && echo only there"),
        "only there"
    );
    assert_eq!(said(&docker, &["--sysctl", "net.core.somaxconn=777"], "cat /proc/sys/net/core/somaxconn"), "777");
    assert_eq!(
        said(
            &docker,
            &["--device", "/dev/null:/dev/nothing:rw"],
            "echo x > /dev/nothing && ls -l /dev/nothing | cut -c1"
        ),
        "c"
    );
    let all = said(&docker, &["--privileged"], "grep CapEff /proc/self/status");
    let own = std::fs::read_to_string("/proc/self/status").expect("status");
    assert!(own.contains(&all), "as the host's root has them: {all}");
    let refused: [(&[&str], &str); 4] = [
        (&["--device", "/dev/none"], "error gathering device information while adding custom device \"/dev/none\""),
        (&["--memory", "5m"], "Minimum memory limit allowed is 6MB"),
        (&["--runtime", "none"], "unknown or invalid runtime name: none"),
        (&["--security-opt", "what=ever"], "invalid --security-opt"),
    ];
    for (options, sentence) in refused {
        let said = docker.fails(&[&["run", "--rm"], options, &["busybox", "true"]].concat(), 125);
        assert!(said.contains(sentence), "{options:?}: {said}");
    }
}

#[test]
fn a_missing_folder_of_the_host_is_made_for_v_and_refused_for_mount() {
    let docker = Docker::start();
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("not/there");
    let refused = format!("type=bind,src={},dst=/x", missing.display());
    let said = docker.fails(&["create", "--mount", &refused, "busybox", "true"], 1);
    let sentence =
        format!("invalid mount config for type \"bind\": bind source path does not exist: {}", missing.display());
    assert!(said.contains(&sentence), "{said}");
    assert_eq!(docker.ok(&["ps", "-aq"]), "");
    assert!(!missing.exists());

    docker.ok(&["run", "--rm", "-v", &format!("{}:/x", missing.display()), "busybox", "touch", "/x/file"]);
    let made = std::fs::metadata(&missing).expect("the folder was made");
    assert_eq!((made.uid(), made.gid(), made.permissions().mode() & 0o7777), (0, 0, 0o755));
    assert_eq!(std::fs::metadata(missing.join("file")).expect("written by its root").uid(), 0);
    assert_eq!(std::fs::metadata(folder.path().join("not")).expect("made too").uid(), 0);
}

#[test]
fn a_read_only_volume_gets_the_images_content_too() {
    let docker = Docker::start();
    let count = said(&docker, &["-v", "data:/bin:ro"], "ls /bin | wc -l; touch /bin/x 2>/dev/null || echo refused");
    let (count, refused) = count.split_once('\n').expect("two lines");
    assert!(count.trim().parse::<u32>().expect("a number") > 1 && refused == "refused", "{count} {refused}");
}

#[test]
fn the_hosts_gateway_is_an_address() {
    let docker = Docker::start();
    let script = "grep 'up$' /etc/hosts | cut -f1; ip route | awk '/^default/ { print $3 }'";
    let addresses = said(&docker, &["--add-host", "up:host-gateway"], script);
    let (told, route) = addresses.split_once('\n').expect("two lines");
    assert!(told == route && told.parse::<std::net::Ipv4Addr>().is_ok(), "{addresses}");
    docker.ok(&["run", "-d", "--name", "web", "--add-host", "up:host-gateway", "busybox", "sleep", "1000"]);
    assert_eq!(said(&docker, &["--network", "container:web"], "grep 'up$' /etc/hosts | cut -f1"), route);
    let refused = ["run", "--rm", "--network", "none", "--add-host", "up:host-gateway", "busybox", "true"];
    assert!(docker.fails(&refused, 125).contains("unable to derive the IP value for host-gateway"));
}

#[test]
fn namespaces_are_its_own_the_hosts_or_shared_or_it_says_why_not() {
    let docker = Docker::start();
    let ours =
        |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").display().to_string();
    for (option, kind, same) in [
        ("--ipc=host", "ipc", true),
        ("--ipc=private", "ipc", false),
        ("--ipc=shareable", "ipc", false),
        ("--uts=host", "uts", true),
        ("--pid=host", "pid", true),
        ("--cgroupns=host", "cgroup", true),
        ("--userns=host", "user", true),
        ("--network=host", "net", true),
        ("--network=none", "net", false),
    ] {
        let theirs = said(&docker, &[option], &format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(theirs == ours(kind), same, "{option}: {theirs}");
    }
}

#[test]
fn it_ends_as_it_was_told_to() {
    let docker = Docker::start();
    let script = "trap 'exit 42' USR1; while :; do sleep 0.05; done";
    docker.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "30",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    docker.ok(&["stop", "web"]);
    assert_eq!(docker.inspect("web", ".State.ExitCode"), 42);
    docker.ok(&["run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "false"]);
    docker.until("it gave up", |docker| docker.inspect("again", ".State.Status") == "exited");
    assert_eq!(docker.inspect("again", ".RestartCount"), 2);
    assert_eq!(
        docker.fails(&["run", "--pull", "never", "nowhere"], 125).lines().next(),
        Some("docker: Error response from daemon: No such image: nowhere:latest")
    );
    docker.fails(&["run", "--platform", "linux/s390x", "busybox", "true"], 125);
}

#[test]
fn volumes_from_gives_the_mounts_of_another_container() {
    let docker = Docker::start();
    let host = tempfile::tempdir().expect("a folder");
    std::fs::write(host.path().join("file"), "of the host").expect("written");
    let bind = format!("{}:/host:ro", host.path().display());
    let arguments = ["run", "--name", "first", "-v", "data:/data", "-v", "/own", "-v", &bind, "busybox"];
    docker.ok(&[&arguments[..], &["sh", "-c", "echo one > /data/one; echo two > /own/two"]].concat());

    let all = "cat /data/one /own/two /host/file; echo more > /data/more; ! touch /host/new 2>/dev/null";
    assert_eq!(
        docker.ok(&["run", "--rm", "--volumes-from", "first", "busybox", "sh", "-c", all]),
        "one\ntwo\nof the host"
    );
    assert_eq!(docker.ok(&["run", "--rm", "--volumes-from", "first", "busybox", "cat", "/data/more"]), "more");
    // All of them read only; and a typed mount at one of the places stays.
    let locked = "cat /data/more; touch /data/new || echo locked";
    let ended = docker.run(&["run", "--rm", "--volumes-from", "first:ro", "busybox", "sh", "-c", locked]);
    assert_eq!(ended.stdout, "more\nlocked\n");
    let typed = ["run", "--rm", "--volumes-from", "first", "-v", "other:/data", "busybox", "sh", "-c"];
    assert_eq!(docker.ok(&[&typed[..], &["ls /data; cat /own/two"]].concat()), "two");
    docker.ok(&["create", "--name", "second", "--volumes-from", "first", "busybox", "true"]);
    assert_eq!(docker.inspect("second", ".HostConfig.VolumesFrom"), serde_json::json!(["first"]));
    // The anonymous one lives as long as somebody has it.
    docker.ok(&["rm", "-v", "first"]);
    assert_eq!(docker.ok(&["run", "--rm", "--volumes-from", "second", "busybox", "cat", "/own/two"]), "two");

    let said = docker.fails(&["create", "--volumes-from", "absent", "busybox"], 1);
    assert!(said.contains("No such container: absent"), "{said}");
    let said = docker.fails(&["create", "--volumes-from", "second:z", "busybox"], 1);
    assert!(said.contains("invalid mode: z"), "{said}");
}

#[test]
fn addresses_are_for_user_defined_networks() {
    let docker = Docker::start();
    let said = docker.fails(&["create", "--ip", "172.30.0.9", "busybox"], 1);
    assert!(said.contains("user specified IP address is supported on user defined networks only"), "{said}");
}

#[test]
fn ipc_none_has_no_shared_memory_and_the_others_have() {
    let docker = Docker::start();
    let look = "grep -c ' /dev/shm ' /proc/self/mounts; readlink /proc/self/ns/ipc";
    let seen = |mode: &str| {
        let ended = docker.run(&["run", "--rm", "--ipc", mode, "busybox", "sh", "-c", look]);
        let (count, namespace) =
            ended.stdout.trim().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("two");
        (count, namespace)
    };
    let host = std::fs::read_link("/proc/self/ns/ipc").expect("a namespace").display().to_string();
    for (mode, mounts) in [("none", "0"), ("private", "1"), ("shareable", "1")] {
        let (count, namespace) = seen(mode);
        assert_eq!(count, mounts, "{mode}");
        assert_ne!(namespace, host, "{mode}");
    }
    docker.ok(&["create", "--name", "web", "--ipc", "none", "busybox", "true"]);
    assert_eq!(docker.inspect("web", ".HostConfig.IpcMode"), "none");
}

#[test]
fn a_hardware_address_is_the_containers_over_all_its_runs() {
    let docker = Docker::start();
    let mac = "02:42:ac:11:00:77";
    docker.ok(&["run", "-d", "--name", "web", "--mac-address", mac, "busybox", "sleep", "1000"]);
    docker.ok(&["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
    let inside = |name: &str| docker.ok(&["exec", name, "cat", "/sys/class/net/eth0/address"]);
    assert_eq!(inside("web"), mac);
    assert_ne!(inside("other"), mac);
    assert_eq!(docker.inspect("web", ".NetworkSettings.Networks.bridge.MacAddress"), mac);
    // Neighbours find it by that address.
    let address = docker.inspect("web", ".NetworkSettings.Networks.bridge.IPAddress");
    let script = format!("ping -c 1 -W 5 {} >/dev/null && cat /proc/net/arp", address.as_str().expect("an address"));
    assert!(docker.ok(&["exec", "other", "sh", "-c", &script]).contains(mac));
    docker.ok(&["restart", "-t", "0", "web"]);
    assert_eq!(inside("web"), mac);
    // The process that made it may die: another one knows.
    docker.server_ref().kill_helper("net");
    docker.until("net is back", |docker| docker.run(&["run", "--rm", "busybox", "true"]).code == 0);
    docker.ok(&["restart", "-t", "0", "web"]);
    assert_eq!(inside("web"), mac);
    let said = docker.fails(&["create", "--mac-address", mac, "--network", "none", "busybox"], 1);
    assert!(said.contains("conflicting options: mac-address and the network mode"), "{said}");
}
