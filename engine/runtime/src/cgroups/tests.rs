//! Groups of this host, really made: each test has a parent of its own, removed at its end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxMemoryBuilder, LinuxPidsBuilder,
    LinuxResourcesBuilder,
};

use super::*;
use crate::sys::clone::{Cloned, clone3};

const MIB: u64 = 1 << 20;

/// A parent of its own; kills and removes all beneath it at the end, also when the test panics.
struct Own(Cgroup);

impl Own {
    fn new(layout: &Arc<Layout>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Cgroup::parent(layout, &format!("unit-{}-{number}", std::process::id())).expect("parent"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for name in self.0.children().unwrap_or_default() {
            if let Ok(Some(child)) = Cgroup::open(self.0.layout(), &format!("{}/{name}", self.0.path())) {
                child.kill_all().ok();
            }
        }
        let removed = self.0.remove();
        assert!(std::thread::panicking() || removed.is_ok(), "{removed:?}");
    }
}

/// This host as it is, and with its v1 side alone where it has one.
fn layouts() -> Vec<Arc<Layout>> {
    let mut layouts = vec![Layout::find().expect("layout")];
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let legacy: String = text.split_inclusive('\n').filter(|line| !line.contains(" - cgroup2 ")).collect();
    layouts.extend(Layout::from_mountinfo(&legacy));
    layouts
}

/// A shell that waits for a line, then runs `script`.
struct Shell {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn start(group: &Cgroup, script: &str) -> Self {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        group.move_in(child.id() as i32).expect("moved in");
        let output = BufReader::new(child.stdout.take().expect("output"));
        Self { child, output }
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().expect("input").write_all(b"go\n").expect("written");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn end(mut self) -> (std::process::ExitStatus, String) {
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().expect("errors");
        let status = self.child.wait().expect("status");
        // Children that it left behind may hold the pipe open: only what is there.
        rustix::fs::fcntl_setfl(&stderr, rustix::fs::OFlags::NONBLOCK).expect("non-blocking");
        std::io::Read::read_to_string(&mut stderr, &mut errors).ok();
        (status, errors)
    }
}

fn resources() -> LinuxResourcesBuilder {
    LinuxResourcesBuilder::default()
}

fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[test]
fn a_group_is_made_found_listed_and_removed_in_all_hierarchies() {
    for layout in layouts() {
        let own = Own::new(&layout);
        let team = own.0.child("blue").expect("team");
        let container = team.child("c1").expect("container");
        assert_eq!(own.0.children().expect("children"), ["blue"]);
        assert!(Cgroup::open(&layout, container.path()).expect("valid").is_some());
        for hierarchy in layout.hierarchies() {
            assert!(container.place(hierarchy).exists(), "{hierarchy:?}");
        }

        team.remove().expect("removed");

        assert!(Cgroup::open(&layout, container.path()).expect("valid").is_none());
        assert!(Cgroup::open(&layout, team.path()).expect("valid").is_none());
        team.remove().expect("removing again is no error");
    }
}

#[test]
fn a_name_cannot_leave_its_folder_nor_be_a_file_of_the_kernel() {
    let layout = Layout::find().expect("layout");
    let own = Own::new(&layout);
    for name in ["", "..", "a/b", "cgroup.procs", "tasks", "a\0b"] {
        assert!(matches!(own.0.child(name), Err(CgroupError::BadName { .. })), "{name:?}");
    }
    assert!(matches!(Cgroup::open(&layout, "a/../b"), Err(CgroupError::BadName { .. })));
}

#[test]
fn a_process_moved_in_counts_and_its_children_are_born_inside() {
    for layout in layouts() {
        let own = Own::new(&layout);
        let group = own.0.child("c").expect("group");
        let mut shell = Shell::start(&group, "sleep 100 & echo $!; wait");
        shell.go();
        let sleeper: i32 = shell.line().parse().expect("a pid");
        let mut expected = [shell.child.id() as i32, sleeper];
        expected.sort_unstable();
        assert_eq!(group.processes().expect("processes"), expected);
        for pid in expected {
            let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup file");
            let inside = text.lines().filter(|line| line.ends_with(&format!("/{}", group.path()))).count();
            assert_eq!(inside, layout.hierarchies().len(), "{text}");
        }
        group.kill_all().expect("killed");
        assert_eq!(signal_of(shell.end().0), Some(9));
    }
}

#[test]
fn a_process_can_be_born_in_the_unified_side() {
    let layout = Layout::find().expect("layout");
    let own = Own::new(&layout);
    let group = own.0.child("c").expect("group");
    let Some(birthplace) = group.birthplace().expect("birthplace") else { return };
    match clone3(0, Some(std::os::fd::AsFd::as_fd(&birthplace))).expect("clone3") {
        Cloned::Child => loop {
            std::thread::sleep(std::time::Duration::from_secs(100));
        },
        Cloned::Parent { pid, .. } => {
            assert_eq!(group.processes().expect("processes"), [pid]);
            group.kill_all().expect("killed");
            let pid = rustix::process::Pid::from_raw(pid);
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).expect("reaped");
        }
    }
}

#[test]
fn limits_are_written_to_the_kernel_and_changed_while_in_use() {
    for layout in layouts() {
        let own = Own::new(&layout);
        let group = own.0.child("c").expect("group");
        let memory = LinuxMemoryBuilder::default().limit(64 * MIB as i64).build().expect("memory");
        let cpu = LinuxCpuBuilder::default().quota(20_000).period(100_000_u64).build().expect("cpu");
        let pids = LinuxPidsBuilder::default().limit(10).build().expect("pids");
        let first = resources().memory(memory).cpu(cpu).pids(pids).build().expect("resources");
        group.apply(&first).expect("applied");
        let reading = group.readings().expect("readings").read().expect("reading");
        assert_eq!((reading.memory.limit_bytes, reading.pids_limit), (Some(64 * MIB), Some(10)));

        let cpu = LinuxCpuBuilder::default().quota(400_000).period(200_000_u64).build().expect("cpu");
        let pids = LinuxPidsBuilder::default().limit(-1).build().expect("pids");
        group.update(&resources().cpu(cpu).pids(pids).build().expect("resources")).expect("updated");
        let reading = group.readings().expect("readings").read().expect("reading");
        assert_eq!((reading.memory.limit_bytes, reading.pids_limit), (Some(64 * MIB), None));
        let place = group.place_of("cpu").expect("cpu");
        if place.hierarchy.unified {
            assert_eq!(place.read("cpu.max").expect("read"), "400000 200000\n");
        } else {
            assert_eq!(place.read("cpu.cfs_quota_us").expect("read"), "400000\n");
            assert_eq!(place.read("cpu.cfs_period_us").expect("read"), "200000\n");
        }
    }
}

#[test]
fn an_update_of_which_one_part_is_refused_leaves_the_others_as_they_were() {
    let layout = Layout::find().expect("layout");
    let own = Own::new(&layout);
    let group = own.0.child("c").expect("group");
    let quota = |group: &Cgroup, quota: i64| {
        let cpu = LinuxCpuBuilder::default().quota(quota).period(100_000_u64).build().expect("cpu");
        group.update(&resources().cpu(cpu).build().expect("resources"))
    };
    quota(&group, 50_000).expect("first");
    let before = limits::Host::current(&group, "cpu", "cpu.cfs_quota_us");
    let before_v2 = limits::Host::current(&group, "cpu", "cpu.max");

    // Refused by the kernel itself (its most is 2^22), after the quota was written.
    let cpu = LinuxCpuBuilder::default().quota(70_000).period(100_000_u64).build().expect("cpu");
    let pids = LinuxPidsBuilder::default().limit(i64::MAX).build().expect("pids");
    let refused = group.update(&resources().cpu(cpu).pids(pids).build().expect("resources")).expect_err("refused");

    assert!(refused.to_string().contains("pids.max"), "{refused}");
    assert_eq!(limits::Host::current(&group, "cpu", "cpu.cfs_quota_us"), before);
    assert_eq!(limits::Host::current(&group, "cpu", "cpu.max"), before_v2);
}

#[test]
fn a_fork_bomb_stays_within_its_limit_and_can_be_killed() {
    for layout in layouts() {
        let own = Own::new(&layout);
        let group = own.0.child("bomb").expect("group");
        let pids = LinuxPidsBuilder::default().limit(30).build().expect("pids");
        group.apply(&resources().pids(pids).build().expect("resources")).expect("applied");

        let mut counted = Shell::start(&group, "while :; do sleep 100 & done");
        counted.go();
        let (status, errors) = counted.end();
        assert_ne!(status.code(), Some(0));
        assert!(errors.contains("fork"), "{errors}");
        assert!((29..=30).contains(&group.processes().expect("processes").len()));

        group.kill_all().expect("killed");
        let mut bomb = Shell::start(&group, "b() { b | b & b; }; b");
        bomb.go();
        let reading = group.readings().expect("readings").read().expect("reading");
        assert!(reading.pids <= 30, "{reading:?}");
        assert!(Command::new("/bin/true").status().expect("a neighbour can fork").success());
        group.kill_all().expect("killed");
        bomb.end();
        group.remove().expect("empty and removed");
    }
}

#[test]
fn a_memory_hog_is_killed_within_its_limit_and_that_is_counted() {
    let layout = Layout::find().expect("layout");
    let own = Own::new(&layout);
    let group = own.0.child("hog").expect("group");
    let mut memory = LinuxMemoryBuilder::default().limit(32 * MIB as i64);
    if layout.swap_limit() {
        memory = memory.swap(32 * MIB as i64);
    }
    group.apply(&resources().memory(memory.build().expect("memory")).build().expect("resources")).expect("applied");
    assert_eq!(group.oom_kills().expect("count"), 0);

    let mut hog = Shell::start(&group, "exec tail /dev/zero");
    hog.go();
    let (status, _) = hog.end();

    assert_eq!(signal_of(status), Some(9));
    assert_eq!(group.oom_kills().expect("count"), 1);
    let reading = group.readings().expect("readings").read().expect("reading");
    assert_eq!(reading.memory.oom_kills, 1);
    assert!(reading.memory.most_bytes.is_none_or(|most| most <= 32 * MIB), "{reading:?}");
}

#[test]
fn frozen_processes_do_nothing_until_thawed_and_can_be_killed() {
    for layout in layouts() {
        let own = Own::new(&layout);
        let group = own.0.child("c").expect("group");
        let mut shell = Shell::start(&group, "echo first; read again; echo second; sleep 100");
        shell.go();
        assert_eq!(shell.line(), "first");

        group.freeze().expect("frozen");
        assert!(group.is_frozen().expect("state"));
        shell.go();
        let output = shell.output.get_ref();
        let mut polled = [rustix::event::PollFd::new(output, rustix::event::PollFlags::IN)];
        let short = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        assert_eq!(rustix::event::poll(&mut polled, Some(&short)).expect("poll"), 0, "it answered while frozen");

        group.thaw().expect("thawed");
        assert!(!group.is_frozen().expect("state"));
        assert_eq!(shell.line(), "second");

        group.freeze().expect("frozen");
        group.kill_all().expect("killed");
        assert_eq!(signal_of(shell.end().0), Some(9));
    }
}

#[test]
fn what_a_group_uses_is_read_by_open_files() {
    for layout in layouts() {
        let own = Own::new(&layout);
        let group = own.0.child("c").expect("group");
        let readings = group.readings().expect("readings");
        assert_eq!(readings.read().expect("reading").pids, 0);
        let mut shell =
            Shell::start(&group, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; read again; exit 0");
        shell.go();
        assert_eq!(shell.line(), "done");

        let reading = readings.read().expect("reading");

        assert_eq!(reading.pids, 1);
        assert!(reading.cpu.usage_ns > 1_000_000, "{reading:?}");
        assert!(reading.cpu.user_ns > 0, "{reading:?}");
        assert!(reading.memory.usage_bytes > 0, "{reading:?}");
        let pressure = layout.unified().is_some() && std::path::Path::new("/proc/pressure/cpu").exists();
        assert_eq!(reading.cpu_pressure.is_some(), pressure);
        shell.go();
        assert_eq!(shell.end().0.code(), Some(0));
    }
}

#[test]
fn only_allowed_devices_can_be_opened() {
    let layout = Layout::find().expect("layout");
    let rule = |allow: bool| LinuxDeviceCgroupBuilder::default().allow(allow);
    let rules = vec![
        rule(false).access("rwm".to_owned()).build().expect("rule"),
        rule(true).typ(LinuxDeviceType::C).major(1).minor(3).access("rw".to_owned()).build().expect("rule"),
        rule(true).typ(LinuxDeviceType::C).major(1).minor(5).access("r".to_owned()).build().expect("rule"),
    ];
    let script = "for d in null zero full; do \
                  (: </dev/$d) 2>/dev/null && echo r$d; (: >/dev/$d) 2>/dev/null && echo w$d; done; echo end";
    let seen = |group: &Cgroup| {
        let mut shell = Shell::start(group, script);
        shell.go();
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "end") {
            lines.push(shell.line());
        }
        shell.end();
        lines
    };
    let own = Own::new(&layout);
    let by_default_way = own.0.child("a").expect("group");
    assert_eq!(seen(&by_default_way), ["rnull", "wnull", "rzero", "wzero", "rfull", "wfull", "end"]);
    by_default_way.apply(&resources().devices(rules.clone()).build().expect("resources")).expect("applied");
    assert_eq!(seen(&by_default_way), ["rnull", "wnull", "rzero", "end"]);

    if layout.unified().is_none() {
        return;
    }
    let by_program = own.0.child("b").expect("group");
    devices::set_program(&by_program, &devices::Rules::parse(&rules).expect("rules")).expect("attached");
    assert_eq!(seen(&by_program), ["rnull", "wnull", "rzero", "end"]);
    let more = vec![
        rule(true).build().expect("rule"),
        rule(false).typ(LinuxDeviceType::C).major(1).minor(7).access("w".to_owned()).build().expect("rule"),
    ];
    devices::set_program(&by_program, &devices::Rules::parse(&more).expect("rules")).expect("replaced");
    assert_eq!(seen(&by_program), ["rnull", "wnull", "rzero", "wzero", "rfull", "end"]);
}

#[test]
fn a_controller_that_is_missing_is_told_before_anything_is_written() {
    let layout = Layout::find().expect("layout");
    let own = Own::new(&layout);
    let group = own.0.child("c").expect("group");
    let huge = oci_spec::runtime::LinuxHugepageLimitBuilder::default()
        .page_size("3MB".to_owned())
        .limit(1)
        .build()
        .expect("limit");
    let pids = LinuxPidsBuilder::default().limit(3).build().expect("pids");
    let asked = resources().pids(pids).hugepage_limits(vec![huge]).build().expect("resources");

    let refused = group.apply(&asked).expect_err("refused");

    assert_eq!(refused.to_string(), "this host cannot limit huge pages of 3MB");
    assert_eq!(group.readings().expect("readings").read().expect("reading").pids_limit, None);
}
