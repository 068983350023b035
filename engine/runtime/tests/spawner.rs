//! A container started by a spawner over its socket, as the engine does.

mod harness;

use std::time::Duration;

use harness::{Harness, process, read_all, reap_pid, spec, spec_value};
use sampan_runtime::sandbox::SandboxFile;
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
    harness.wait_until_no_cgroups();
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
    assert_eq!(reap_pid(pid), 3);
    harness.ask(&Request::Signal { id: sandbox.id.clone(), signal: 9, all: false }).expect("signal");
    assert_eq!(run.wait(), 137);
}

/// What was read when it was made is kept for its start, as long as nobody wrote it again.
#[test]
fn a_container_whose_files_were_written_again_starts_as_they_say_now() {
    let harness = Harness::start("");
    let sandbox = harness.sandbox();
    harness.write(&sandbox, &spec(&["sh", "-c", "echo first"]));
    harness.ask(&Request::Create { id: sandbox.id.clone() }).expect("made");
    harness.write(&sandbox, &spec(&["sh", "-c", "echo second"]));
    let run = harness.start_again(&sandbox).expect("started");
    assert_eq!((run.output().as_str(), run.wait()), ("second\n", 0));

    // Seventeen made in a row are one more than are kept.
    let made: Vec<_> = (0..17).map(|number| (number, harness.sandbox())).collect();
    for (number, sandbox) in &made {
        harness.write(sandbox, &spec(&["sh", "-c", &format!("echo {number} >>/srv/file; cat /srv/file")]));
        harness.ask(&Request::Create { id: sandbox.id.clone() }).expect("made");
    }
    for (number, sandbox) in &made {
        let run = harness.start_again(sandbox).expect("started");
        assert_eq!((run.output(), run.wait()), (format!("{number}\n"), 0));
    }
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

#[test]
fn a_restart_keeps_the_user_and_network_namespaces_and_the_writable_layer() {
    let mut harness = Harness::start("");
    let sandbox = harness.sandbox();
    let script = "readlink /proc/self/ns/net /proc/self/ns/user; ls /kept 2>&1; touch /kept";
    let first = harness.run(&sandbox, &spec(&["sh", "-c", script])).expect("started");
    let before = first.output();
    first.wait();

    harness.restart_spawner("");
    let second = harness.start_again(&sandbox).expect("started again");
    let after = second.output();
    second.wait();

    assert_eq!(before.lines().take(2).collect::<Vec<_>>(), after.lines().take(2).collect::<Vec<_>>());
    assert!(before.contains("No such file"), "{before}");
    assert!(after.ends_with("/kept\n"), "{after}");
    harness.ask(&Request::Release { id: sandbox.id.clone() }).expect("released");
    assert!(harness.kept().iter().all(|name| !name.ends_with("ns")), "{:?}", harness.kept());
}

#[test]
fn a_container_that_nobody_watches_is_not_let_go_of_while_it_runs() {
    let mut harness = Harness::start("");
    let sandbox = harness.sandbox();
    let run = harness.run(&sandbox, &spec(&["sleep", "60"])).expect("started");

    // As after a death of keeper, before the monitor has found the next one.
    harness.forget_kept();
    harness.restart_spawner("");
    let refusal = harness.ask(&Request::Release { id: sandbox.id.clone() }).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Conflict, "{refusal:?}");

    assert!(rustix::process::pidfd_send_signal(&run.pidfd, rustix::process::Signal::KILL).is_ok());
    assert_eq!(run.wait(), 137);
    harness.ask(&Request::Release { id: sandbox.id.clone() }).expect("released");
    harness.wait_until_no_cgroups();
}

#[test]
fn a_container_outlives_its_spawner_and_takes_an_exec_after_it() {
    let mut harness = Harness::start("");
    let sandbox = harness.sandbox();
    let run = harness.run(&sandbox, &spec(&["sleep", "60"])).expect("started");

    harness.restart_spawner("");
    let exec = Request::Exec {
        id: sandbox.id.clone(),
        exec: "e2".to_owned(),
        process: process(&["cat", "/proc/sys/kernel/hostname"]),
        stdin: false,
    };
    let (Answer::ExecStarted { pid }, streams) = harness.ask(&exec).expect("exec") else { panic!("no exec") };

    assert_eq!(read_all(&streams[0]), "boat\n");
    // A PID namespace does not end before all its processes are reaped; keeper does that.
    assert_eq!(reap_pid(pid), 0);
    harness.ask(&Request::Signal { id: sandbox.id.clone(), signal: 15, all: true }).expect("signal");
    harness.ask(&Request::Signal { id: sandbox.id.clone(), signal: 9, all: true }).expect("signal");
    assert_eq!(run.wait(), 137);
}

/// Kernels before 6.15 cannot copy detached mounts or shift copies; the same root must come out of named ones.
#[test]
fn layers_by_name_give_the_same_root_as_layers_by_descriptor() {
    let script = "touch /etc/new && rm /etc/group && mkdir /srv/sub && chown 33:33 /srv/sub; ls -ln /etc /srv";
    let outputs: Vec<_> = ["", "detached-mounts"]
        .into_iter()
        .map(|without| {
            let harness = Harness::start(without);
            let kernel_can = sampan_runtime::sys::mounts::has_open_tree_attr();
            assert_eq!(harness.features.detached_mounts, without.is_empty() && kernel_can);
            let sandbox = harness.sandbox();
            let run = harness.run(&sandbox, &spec(&["sh", "-c", script])).expect("started");
            let output = run.output();
            assert_eq!(run.wait(), 0, "{output}");
            let upper = harness.data().join("containers").join(&sandbox.id).join("upper");
            let plain = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(upper.join("srv/sub")).expect("sub"));
            assert_eq!(plain, 33);
            let whiteout = std::fs::symlink_metadata(upper.join("etc/group")).expect("whiteout");
            assert_eq!(std::os::unix::fs::MetadataExt::rdev(&whiteout), 0);
            output.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect::<Vec<_>>()
        })
        .collect();

    assert_eq!(outputs[0], outputs[1]);
}

/// What every container mounts on is made once, in memory: /etc keeps the image's owner and mode, nothing goes to disk.
#[test]
fn mount_points_that_an_image_lacks_are_not_made_in_the_writable_layer() {
    for without in ["", "detached-mounts"] {
        let harness = Harness::start(without);
        let etc = harness.data().join("layers/image/etc");
        std::os::unix::fs::chown(&etc, Some(5), Some(6)).expect("chown");
        std::fs::set_permissions(&etc, std::os::unix::fs::PermissionsExt::from_mode(0o710)).expect("chmod");
        let mut sandbox = harness.sandbox();
        let file = SandboxFile { path: "/etc/hosts".into(), content: "here\n".to_owned() };
        sandbox.files.push(file);
        let script = "stat -c '%a %u %g %F' /etc /etc/hostname; cat /etc/hosts";
        let run = harness.run(&sandbox, &spec(&["sh", "-c", script])).expect("started");
        assert_eq!(run.output(), "710 5 6 directory\n644 0 0 regular empty file\nhere\n");
        assert_eq!(run.wait(), 0);
        let upper = harness.data().join("containers").join(&sandbox.id).join("upper");
        assert_eq!(std::fs::read_dir(upper).expect("upper").count(), 0);
    }
}

#[test]
fn a_volume_gets_the_content_of_the_image_and_a_bind_shows_host_ids() {
    let harness = Harness::start("");
    let volume = "ab".repeat(32);
    harness.ask(&Request::CreateVolume { id: volume.clone() }).expect("volume");
    let host = tempfile::tempdir().expect("host");
    std::fs::write(host.path().join("file"), "host").expect("file");
    let mut sandbox = harness.sandbox();
    sandbox.copy_up = vec!["/etc".into()];
    sandbox.files = vec![sampan_runtime::sandbox::SandboxFile {
        path: "/etc/hosts".into(),
        content: "127.0.0.1 localhost\n".to_owned(),
    }];
    let mut value =
        spec_value(&["sh", "-c", "cat /etc/passwd /etc/hosts /host/file; touch /host/made; ls -ln /host/made"]);
    let mounts = value["mounts"].as_array_mut().expect("mounts");
    let source = harness.data().join("volumes").join(&volume).join("data");
    mounts.push(
        serde_json::json!({"destination": "/etc", "type": "bind", "source": source, "options": ["bind", "idmap"]}),
    );
    mounts.push(serde_json::json!({"destination": "/host", "type": "bind", "source": host.path(),
        "options": ["rbind", "idmap"]}));

    let (code, output) = harness.script_in(&sandbox, &serde_json::from_value(value).expect("spec"));

    assert_eq!(code, 0, "{output}");
    assert!(output.contains("root:x:0:0") && output.contains("127.0.0.1") && output.contains("host"), "{output}");
    let made = std::fs::metadata(host.path().join("made")).expect("made");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 0);
    assert!(source.join("passwd").exists());
}

#[test]
fn a_user_is_looked_up_in_the_root_and_owns_its_streams() {
    let harness = Harness::start("");
    let mut value = spec_value(&["sh", "-c", "id; echo again >/dev/stdout; echo $HOME; cat /proc/self/status"]);
    value["process"]["user"]["username"] = "web".into();
    let (code, output) = harness.script_in(&harness.sandbox(), &serde_json::from_value(value).expect("spec"));
    let mut ghost = spec_value(&["id"]);
    ghost["process"]["user"]["username"] = "ghost".into();
    let refusal =
        harness.run(&harness.sandbox(), &serde_json::from_value(ghost).expect("spec")).map(|_| ()).unwrap_err();

    assert_eq!(code, 0, "{output}");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..3], ["uid=33(web) gid=33(web) groups=33(web),40(log)", "again", "/srv"]);
    assert!(output.contains("CapEff:\t0000000000000000") && output.contains("CapInh:\t0000000000000000"), "{output}");
    assert!(output.contains("CapAmb:\t0000000000000000") && output.contains("Seccomp:\t2"), "{output}");
    assert_eq!(refusal.kind, RefusalKind::Invalid, "{refusal}");
    assert_eq!(refusal.message, "unable to find user ghost: no matching entries in passwd file");
}

#[test]
fn init_reaps_orphans_and_hands_the_signal_on() {
    let harness = Harness::start("");
    let mut sandbox = harness.sandbox();
    sandbox.init = true;
    let script = "trap 'echo got; exit 5' TERM; (sleep 0.1 &); echo up; while :; do sleep 0.1; done";
    let run = harness.run(&sandbox, &spec(&["sh", "-c", script])).expect("started");
    std::thread::sleep(std::time::Duration::from_millis(500));
    harness.ask(&Request::Signal { id: sandbox.id.clone(), signal: 15, all: false }).expect("signal");

    assert_eq!(run.output(), "up\ngot\n");
    assert_eq!(run.wait(), 5);
}

/// CVE-2019-5736: the file behind /proc/PID/exe of what enters a container cannot be written through that link.
#[test]
fn our_own_program_is_seen_through_a_read_only_mount() {
    let harness = Harness::start("");
    let mut sandbox = harness.sandbox();
    sandbox.init = true;
    sandbox.user_namespace = false;
    let run = harness.run(&sandbox, &spec(&["sleep", "60"])).expect("started");

    for pid in [run.started.pid.to_string(), harness.spawner_pid().to_string()] {
        let program = rustix::fs::statvfs(format!("/proc/{pid}/exe")).expect("program");
        assert!(program.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY), "{pid}");
    }
}

/// CVE-2024-21626: a working directory that leads to a descriptor of ours is refused.
#[test]
fn a_working_directory_through_a_descriptor_is_refused() {
    let harness = Harness::start("");
    for number in 3..12 {
        let mut value = spec_value(&["ls"]);
        value["process"]["cwd"] = format!("/proc/self/fd/{number}").into();
        let run = harness.run(&harness.sandbox(), &serde_json::from_value(value).expect("spec"));
        assert!(run.is_err(), "{number}");
    }
}

/// CVE-2024-21626, the other half: the program inherits nothing but its streams.
#[test]
fn a_program_has_no_descriptor_of_ours() {
    let harness = Harness::start("");
    let (code, output) = harness.script("ls /proc/self/fd");
    // The last one is that of ls itself.
    assert_eq!((code, output.as_str()), (0, "0\n1\n2\n3\n"));
}

/// CVE-2021-30465 and its kin: links of the image at places where something is mounted lead nowhere outside.
#[test]
fn links_of_the_image_at_mount_points_are_refused_or_stay_inside() {
    let harness = Harness::start("");
    let image = harness.data().join("layers/image");
    std::fs::remove_dir(image.join("proc")).expect("proc");
    std::os::unix::fs::symlink("/tmp", image.join("proc")).expect("link");
    let refusal = harness.run(&harness.sandbox(), &spec(&["id"])).map(|_| ()).unwrap_err();
    assert_eq!(refusal.message, "/proc of the image is a symbolic link");

    std::fs::remove_file(image.join("proc")).expect("link");
    std::os::unix::fs::symlink("/../../../../etc", image.join("out")).expect("link");
    let mut value = spec_value(&["sh", "-c", "ls /etc"]);
    value["mounts"].as_array_mut().expect("mounts").push(serde_json::json!({
        "destination": "/out/mounted", "type": "tmpfs", "source": "tmpfs", "options": []}));
    let (code, output) = harness.script_in(&harness.sandbox(), &serde_json::from_value(value).expect("spec"));
    assert_eq!(code, 0);
    assert!(output.contains("mounted"), "{output}");
    assert!(!std::path::Path::new("/etc/mounted").exists());
}

/// CVE-2022-0492, CVE-2025-31133: cgroups and masked paths cannot be written, /proc/sys neither.
#[test]
fn masked_and_read_only_paths_hold() {
    let harness = Harness::start("");
    let script = "for f in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs \
        /proc/sys/kernel/hostname /proc/sysrq-trigger; do [ -e $f ] && (echo 1 >$f) 2>/dev/null && echo wrote $f; done; \
        mknod /tmp/sda b 8 0 2>/dev/null && echo node; echo end";
    let (_, output) = harness.script(script);
    assert!(output.ends_with("end\n"), "{output}");
    assert!(!output.contains("wrote") && !output.contains("node"), "{output}");
}

#[test]
fn what_is_not_a_container_is_refused_with_a_sentence() {
    let harness = Harness::start("");
    let id = "f".repeat(64);
    let kind = |request: Request| harness.ask(&request).map(|_| ()).unwrap_err().kind;
    assert_eq!(kind(Request::Start { id: id.clone(), next: Vec::new() }), RefusalKind::NotFound);
    assert_eq!(kind(Request::Start { id: "../../etc".to_owned(), next: Vec::new() }), RefusalKind::Invalid);
    assert_eq!(kind(Request::Signal { id: id.clone(), signal: 9, all: false }), RefusalKind::Conflict);
    assert_eq!(kind(Request::RemoveLayer { target: "layers/../containers".into() }), RefusalKind::Invalid);
    assert_eq!(kind(Request::Usage { target: "nothing".into() }), RefusalKind::NotFound);
}

/// A root mounted `nodev` is no wall for CAP_SYS_ADMIN in a user namespace; the filter of devices is.
#[test]
fn a_device_node_of_the_image_cannot_be_opened_even_after_a_remount() {
    let harness = Harness::start("");
    let partitions = std::fs::read_to_string("/proc/partitions").expect("partitions");
    let disk: Vec<u32> = partitions
        .lines()
        .nth(2)
        .expect("a disk")
        .split_whitespace()
        .take(2)
        .map(|word| word.parse().expect("number"))
        .collect();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        harness.data().join("layers/image/srv/disk"),
        rustix::fs::FileType::BlockDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(disk[0], disk[1]),
    )
    .expect("node");
    let script = "mount -o remount,bind,dev / && echo remounted; chmod 666 /srv/disk; exec 3</srv/disk && echo opened";
    let mut value = spec_value(&["sh", "-c", script]);
    for set in ["bounding", "effective", "permitted"] {
        value["process"]["capabilities"][set] = serde_json::json!(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]);
    }

    let (_, output) = harness.script_in(&harness.sandbox(), &serde_json::from_value(value.clone()).expect("spec"));
    value["linux"]["resources"] = serde_json::json!({"devices": [{"allow": true, "access": "rwm"}]});
    let refusal =
        harness.run(&harness.sandbox(), &serde_json::from_value(value).expect("spec")).map(|_| ()).unwrap_err();

    assert!(output.contains("remounted") && output.contains("Operation not permitted"), "{output}");
    assert!(!output.contains("opened"), "{output}");
    assert_eq!(refusal.kind, RefusalKind::Invalid);
}

#[test]
fn what_is_removed_is_gone_at_once_and_a_child_gives_its_room_back() {
    let harness = Harness::start("");
    let sandbox = harness.sandbox();
    let script = "i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; touch deepest; exit 7";
    let run = harness.run(&sandbox, &spec(&["sh", "-c", script])).expect("started");
    assert_eq!(run.wait(), 7);
    let folder = harness.data().join("containers").join(&sandbox.id);
    assert!(folder.join("upper/d/d/d").exists());

    harness.ask(&Request::Remove { id: sandbox.id.clone() }).expect("removed");

    assert!(!folder.exists());
    let again = harness.ask(&Request::Remove { id: sandbox.id }).expect_err("it is gone");
    assert_eq!(again.kind, RefusalKind::NotFound);
    let trash = harness.data().join("trash");
    let begun = std::time::Instant::now();
    while std::fs::read_dir(&trash).expect("trash").next().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the trash is not emptied");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child lets go of an ended container's overlay, since that writes back what a whole disk has unwritten.
#[test]
fn the_mounts_of_ended_containers_are_let_go_of_by_a_child() {
    let harness = Harness::start("");
    let held = || {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", harness.spawner_pid())).expect("descriptors");
        let links = descriptors.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("mnt:")).count()
    };
    let before = held();
    for _ in 0..3 {
        assert_eq!(harness.script("echo written >/root/file").0, 0);
    }
    let sandbox = harness.sandbox();
    let first = harness.run(&sandbox, &spec(&["sh", "-c", "echo kept >/root/file"])).expect("started");
    assert_eq!(first.wait(), 0);
    // While what is left of the first run may still be held.
    harness.write(&sandbox, &spec(&["cat", "/root/file"]));
    let second = harness.start_again(&sandbox).expect("started again");
    assert_eq!((second.output().as_str(), second.wait()), ("kept\n", 0));
    harness.ask(&Request::Remove { id: sandbox.id.clone() }).expect("removed");

    let patience = std::time::Instant::now();
    while held() > before {
        assert!(patience.elapsed() < Duration::from_secs(10), "{} held, {before} before", held());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_spawner_had_to_remove_is_removed_by_the_next() {
    let mut harness = Harness::start("");
    let left = harness.data().join("trash/left/in");
    std::fs::create_dir_all(&left).expect("left");
    harness.restart_spawner("");
    let begun = std::time::Instant::now();
    while left.exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it stays");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_container_whose_files_cannot_be_read_is_removed_all_the_same() {
    let harness = Harness::start("");
    let sandbox = harness.sandbox();
    harness.write(&sandbox, &spec(&["true"]));
    let folder = harness.data().join("containers").join(&sandbox.id);
    std::fs::write(folder.join("sandbox.json"), "{\"id\":").expect("cut off");
    harness.ask(&Request::Remove { id: sandbox.id }).expect("removed");
    assert!(!folder.exists());
}
