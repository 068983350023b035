//! A spawner with everything around it: a data root with a small image, and stand-ins for keeper and the team's monitor.
//!
//! The test's process is the parent that keeper is in life, so it reaps the containers itself.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use oci_spec::runtime::{Process, Spec};
use sampan_runtime::sandbox::{Filter, LogLimits, NetworkMode, RestartPolicy, Root, Sandbox, Stdio as Streams, Team};
use sampan_runtime::wire::socket::{Connection, Listener};
use sampan_runtime::wire::spawner::{Answer, Features, Request, Started};
use sampan_runtime::wire::{Refusal, RefusalKind, VERSION, keeper, monitor};
use serde_json::json;

/// Programs of the host that the small image holds, with their libraries.
const PROGRAMS: [&str; 15] = [
    "sh", "cat", "sleep", "id", "ls", "stat", "touch", "mkdir", "mknod", "chown", "chmod", "ln", "rm", "readlink",
    "mount",
];

/// A running spawner and its surroundings; all of it goes with `Drop`.
pub struct Harness {
    /// Data root and state root lie in it.
    pub folder: tempfile::TempDir,
    pub features: Features,
    pub team: Team,
    instance: String,
    spawner: Child,
    connection: Connection,
    kept: Arc<Mutex<HashMap<String, Vec<OwnedFd>>>>,
    watched: Arc<Mutex<Vec<keeper::Watched>>>,
    adopted: Mutex<mpsc::Receiver<(monitor::Request, Vec<OwnedFd>)>>,
    next: std::cell::Cell<u32>,
}

/// A container that was started.
pub struct Run {
    pub id: String,
    pub started: Started,
    pub pidfd: OwnedFd,
    /// The outer ends: stdin if asked for, stdout and stderr, or the terminal's master.
    pub streams: Vec<OwnedFd>,
}

impl Harness {
    /// Starts a spawner; `without` as its argument.
    pub fn start(without: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path();
        for name in ["data/containers", "data/volumes", "data/layers", "state/monitor"] {
            fs::create_dir_all(path.join(name)).expect("folder");
        }
        make_image(&path.join("data/layers/image"));
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("uuid")[..8].to_owned();
        let instance = format!("rt{random}");
        let team = Team { key: format!("t{random}"), base_id: 1_990_000_000 };
        let (ours, theirs) = Connection::pair().expect("pair");
        let (kept, watched) = (Arc::default(), Arc::default());
        serve_keeper(ours, Arc::clone(&kept), Arc::clone(&watched));
        let adopted = serve_monitor(&path.join(format!("state/monitor/{}.sock", team.key)));
        let spawner = launch(path, &instance, without, theirs.into());
        let (connection, features) = connect(&path.join("state/spawner.sock"));
        Self {
            folder,
            features,
            team,
            instance,
            spawner,
            connection,
            kept,
            watched,
            adopted: Mutex::new(adopted),
            next: std::cell::Cell::new(0),
        }
    }

    /// Kills the spawner and starts another, as keeper does.
    pub fn restart_spawner(&mut self, without: &str) {
        self.spawner.kill().expect("kill");
        self.spawner.wait().expect("wait");
        let (ours, theirs) = Connection::pair().expect("pair");
        serve_keeper(ours, Arc::clone(&self.kept), Arc::clone(&self.watched));
        fs::remove_file(self.folder.path().join("state/spawner.sock")).expect("socket");
        self.spawner = launch(self.folder.path(), &self.instance, without, theirs.into());
        self.connection = connect(&self.folder.path().join("state/spawner.sock")).0;
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn spawner_pid(&self) -> u32 {
        self.spawner.id()
    }

    /// One request and its answer.
    pub fn ask(&self, request: &Request) -> Result<(Answer, Vec<OwnedFd>), Refusal> {
        self.ask_with(request, &[])
    }

    /// One request with descriptors.
    pub fn ask_with(
        &self,
        request: &Request,
        descriptors: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>), Refusal> {
        self.connection.send(request, descriptors).expect("send");
        match self.connection.receive::<Answer>().expect("receive").expect("an answer") {
            (Answer::Refused(refusal), _) => Err(refusal),
            answer => Ok(answer),
        }
    }

    /// A sandbox as the engine writes it: network none, no terminal.
    pub fn sandbox(&self) -> Sandbox {
        self.next.set(self.next.get() + 1);
        Sandbox {
            id: format!("{:064x}", self.next.get()),
            team: self.team.clone(),
            root: Root::Folders { lowers: vec!["layers/image".into()] },
            network: NetworkMode::None,
            mac: None,
            user_namespace: true,
            stdio: Streams::default(),
            restart: RestartPolicy::No,
            log: LogLimits::default(),
            files: Vec::new(),
            copy_up: Vec::new(),
            make_sources: Vec::new(),
            granted_sources: Vec::new(),
            init: false,
            groups: Vec::new(),
            filter: Filter::DockerDefault,
        }
    }

    /// Writes the two files.
    pub fn write(&self, sandbox: &Sandbox, spec: &Spec) {
        let folder = self.data().join("containers").join(&sandbox.id);
        fs::create_dir_all(&folder).expect("folder");
        fs::write(folder.join("sandbox.json"), serde_json::to_vec(sandbox).expect("json")).expect("sandbox");
        fs::write(folder.join("config.json"), serde_json::to_vec(spec).expect("json")).expect("config");
    }

    /// Creates and starts.
    pub fn run(&self, sandbox: &Sandbox, spec: &Spec) -> Result<Run, Refusal> {
        self.write(sandbox, spec);
        self.ask(&Request::Create { id: sandbox.id.clone() })?;
        self.start_again(sandbox)
    }

    /// Starts what was created.
    pub fn start_again(&self, sandbox: &Sandbox) -> Result<Run, Refusal> {
        self.start_before(sandbox, &[])
    }

    /// Starts what was created, and asks for cradles for those that come next.
    pub fn start_before(&self, sandbox: &Sandbox, next: &[&Sandbox]) -> Result<Run, Refusal> {
        let next = next.iter().map(|sandbox| sandbox.id.clone()).collect();
        let (Answer::Started(started), _) = self.ask(&Request::Start { id: sandbox.id.clone(), next })? else {
            panic!("not started");
        };
        let adopted = self.adopted.lock().expect("lock");
        let mut descriptors = loop {
            let (adopt, descriptors) = adopted.recv_timeout(Duration::from_secs(5)).expect("adopted");
            // Others are of starts that failed later, and were abandoned again.
            if matches!(&adopt, monitor::Request::Adopt { id, pid, .. } if *id == sandbox.id && *pid == started.pid) {
                break descriptors;
            }
        };
        let streams = descriptors.split_off(2);
        let pidfd = descriptors.pop().expect("pidfd");
        Ok(Run { id: sandbox.id.clone(), started, pidfd, streams })
    }

    /// Runs a shell script to its end: exit code (128+n) and all output.
    pub fn script(&self, script: &str) -> (i32, String) {
        self.script_in(&self.sandbox(), &spec(&["sh", "-c", script]))
    }

    /// Runs a container to its end: exit code (128+n) and all output.
    pub fn script_in(&self, sandbox: &Sandbox, spec: &Spec) -> (i32, String) {
        let run = self.run(sandbox, spec).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let output = run.output();
        let code = run.wait();
        self.ask(&Request::Remove { id: sandbox.id.clone() }).expect("removed");
        (code, output)
    }

    /// Keeper's stand-in forgets all, as keeper does when it dies.
    pub fn forget_kept(&self) {
        self.kept.lock().expect("lock").clear();
    }

    /// Names that are kept.
    pub fn kept(&self) -> Vec<String> {
        let mut names: Vec<String> = self.kept.lock().expect("lock").keys().cloned().collect();
        names.sort();
        names
    }

    /// What was watched so far.
    pub fn watched(&self) -> Vec<keeper::Watched> {
        self.watched.lock().expect("lock").clone()
    }

    /// Waits until no cgroup of a container is left: they go when the spawner has time.
    pub fn wait_until_no_cgroups(&self) {
        let begun = std::time::Instant::now();
        while !self.cgroups().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "left: {:?}", self.cgroups());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Cgroups of containers that are left.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find_cgroups(Path::new("/sys/fs/cgroup"), &format!("sampan-{}", self.instance), 3, &mut found);
        found
    }
}

fn find_cgroups(folder: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            for team in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                let below = fs::read_dir(team.path()).into_iter().flatten().flatten();
                found.extend(below.map(|one| one.path()).filter(|path| path.is_dir()));
            }
        } else if depth > 0 {
            find_cgroups(&entry.path(), name, depth - 1, found);
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // Taken out first: keeper's stand-in needs the lock to answer the spawner.
        let left: Vec<(String, OwnedFd)> = {
            let kept = self.kept.lock().expect("lock");
            let id = |name: &str| Some(name.strip_prefix("container/")?.strip_suffix("/pidfd")?.to_owned());
            kept.iter().filter_map(|(name, found)| Some((id(name)?, found[0].try_clone().ok()?))).collect()
        };
        for (id, pidfd) in left {
            if rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).is_ok() {
                reap(pidfd.as_fd());
            }
            let _ = self.connection.send(&Request::Remove { id }, &[]);
            let _ = self.connection.receive::<Answer>();
        }
        let _ = self.ask(&Request::RemoveTeam { team: self.team.clone() });
        let _ = self.spawner.kill();
        let _ = self.spawner.wait();
        remove_parent(Path::new("/sys/fs/cgroup"), &format!("sampan-{}", self.instance), 3);
    }
}

fn remove_parent(folder: &Path, name: &str, depth: u32) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            let _ = fs::remove_dir(entry.path());
        } else if depth > 0 {
            remove_parent(&entry.path(), name, depth - 1);
        }
    }
}

impl Run {
    /// All that it writes to stdout and stderr until it ends.
    pub fn output(&self) -> String {
        let mut text = String::new();
        let outputs = if self.streams.len() == 1 { 0 } else { self.streams.len() - 2 };
        for stream in &self.streams[outputs..] {
            text.push_str(&read_all(stream));
        }
        text
    }

    /// Waits for its end.
    pub fn wait(&self) -> i32 {
        reap(self.pidfd.as_fd())
    }
}

/// Everything until the end of the stream.
pub fn read_all(stream: &OwnedFd) -> String {
    let mut bytes = Vec::new();
    let mut file = fs::File::from(stream.try_clone().expect("clone"));
    match file.read_to_end(&mut bytes) {
        // A terminal whose other end is closed.
        Err(error) if error.raw_os_error() != Some(libc_eio()) => panic!("{error}"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

const fn libc_eio() -> i32 {
    5
}

/// Waits for a child by its pidfd.
pub fn reap(pidfd: std::os::fd::BorrowedFd<'_>) -> i32 {
    let exited = rustix::process::WaitIdOptions::EXITED;
    let status =
        rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd), exited).expect("waitid").expect("status");
    match status.exit_status() {
        Some(code) => code,
        None => 128 + status.terminating_signal().unwrap_or_default(),
    }
}

/// Waits for a child by its number.
pub fn reap_pid(pid: i32) -> i32 {
    let pid = rustix::process::Pid::from_raw(pid).expect("pid");
    reap(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("pidfd").as_fd())
}

/// The program: this crate's own, or, in the tests of another crate, the one beside their executable.
fn program() -> PathBuf {
    let beside =
        || std::env::current_exe().expect("own path").ancestors().nth(2).expect("folder").join("sampan-runtime");
    option_env!("CARGO_BIN_EXE_sampan-runtime").map_or_else(beside, PathBuf::from)
}

fn launch(path: &Path, instance: &str, without: &str, keeper: OwnedFd) -> Child {
    let keeper = rustix::io::fcntl_dupfd_cloexec(&keeper, 100).expect("dup");
    rustix::io::fcntl_setfd(&keeper, rustix::io::FdFlags::empty()).expect("inherit");
    let mut command = Command::new(program());
    command.arg("spawner").arg("--data-root").arg(path.join("data")).arg("--state-root").arg(path.join("state"));
    command.args(["--instance", instance, "--uid", "0", "--keeper-fd", &keeper.as_raw_fd().to_string()]);
    if !without.is_empty() {
        command.args(["--without", without]);
    }
    command.stdin(Stdio::null()).spawn().expect("spawner")
}

fn connect(socket: &Path) -> (Connection, Features) {
    for _ in 0..500 {
        if let Ok(connection) = Connection::connect(socket) {
            connection.send(&Request::Hello { version: VERSION }, &[]).expect("hello");
            match connection.receive::<Answer>().expect("receive").expect("welcome").0 {
                Answer::Welcome { features, .. } => return (connection, features),
                other => panic!("{other:?}"),
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the spawner does not listen");
}

fn serve_keeper(
    connection: Connection,
    kept: Arc<Mutex<HashMap<String, Vec<OwnedFd>>>>,
    watched: Arc<Mutex<Vec<keeper::Watched>>>,
) {
    std::thread::spawn(move || {
        while let Ok(Some((request, descriptors))) = connection.receive::<keeper::Request>() {
            let mut given = Vec::new();
            let answer = match request {
                keeper::Request::Hello { .. } => keeper::Answer::Welcome { version: VERSION },
                keeper::Request::Put { name } => {
                    kept.lock().expect("lock").insert(name, descriptors);
                    keeper::Answer::Done
                }
                keeper::Request::PutAll { names } => {
                    let mut descriptors = descriptors.into_iter();
                    for (name, count) in names {
                        kept.lock().expect("lock").insert(name, descriptors.by_ref().take(count).collect());
                    }
                    keeper::Answer::Done
                }
                keeper::Request::List { prefix } => keeper::Answer::Names {
                    names: kept
                        .lock()
                        .expect("lock")
                        .keys()
                        .filter(|name| name.starts_with(&prefix))
                        .cloned()
                        .collect(),
                },
                keeper::Request::Get { name } => match kept.lock().expect("lock").get(&name) {
                    Some(found) => {
                        given = found.iter().map(|one| one.try_clone().expect("clone")).collect();
                        keeper::Answer::Kept
                    }
                    None => keeper::Answer::Refused(Refusal { kind: RefusalKind::NotFound, message: name }),
                },
                keeper::Request::Drop { prefixes } => {
                    kept.lock()
                        .expect("lock")
                        .retain(|name, _| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
                    keeper::Answer::Done
                }
                keeper::Request::Watch { what, .. } => {
                    watched.lock().expect("lock").push(what);
                    keeper::Answer::Done
                }
                _ => keeper::Answer::Done,
            };
            let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
            if connection.send(&answer, &given).is_err() {
                return;
            }
        }
    });
}

fn serve_monitor(socket: &Path) -> mpsc::Receiver<(monitor::Request, Vec<OwnedFd>)> {
    let listener = Listener::bind(socket).expect("monitor");
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok(connection) = listener.accept() {
            let send = send.clone();
            std::thread::spawn(move || {
                while let Ok(Some((request, descriptors))) = connection.receive::<monitor::Request>() {
                    let answer = match &request {
                        monitor::Request::Hello { .. } => monitor::Answer::Welcome { version: VERSION },
                        _ => monitor::Answer::Done,
                    };
                    if matches!(request, monitor::Request::Adopt { .. }) && send.send((request, descriptors)).is_err() {
                        return;
                    }
                    if connection.send(&answer, &[]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    receive
}

fn make_image(image: &Path) {
    for name in ["bin", "etc", "tmp", "proc", "dev", "sys", "root", "srv"] {
        fs::create_dir_all(image.join(name)).expect("folder");
    }
    fs::set_permissions(image, fs::Permissions::from_mode(0o755)).expect("mode");
    fs::set_permissions(image.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("mode");
    fs::write(image.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n").expect("passwd");
    fs::write(image.join("etc/group"), "root:x:0:\nweb:x:33:\nlog:x:40:web\n").expect("group");
    for program in PROGRAMS {
        let from = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
        let from = from.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("the host has no {program}"));
        fs::copy(from, image.join("bin").join(program)).expect("program");
        copy_libraries(from, image);
    }
    // A release of our own program is static; what tests build is not.
    copy_libraries(&program(), image);
}

fn copy_libraries(program: &Path, image: &Path) {
    let listed = Command::new("ldd").arg(program).output().expect("ldd").stdout;
    for word in String::from_utf8_lossy(&listed).split_whitespace().filter(|word| word.starts_with('/')) {
        let target = image.join(word.trim_start_matches('/'));
        fs::create_dir_all(target.parent().expect("parent")).expect("folder");
        if !target.exists() {
            fs::copy(word, target).expect("library");
        }
    }
}

/// A description with Docker's shape.
pub fn spec(arguments: &[&str]) -> Spec {
    serde_json::from_value(spec_value(arguments)).expect("spec")
}

/// The same, to be changed.
pub fn spec_value(arguments: &[&str]) -> serde_json::Value {
    json!({
        "ociVersion": "1.2.0",
        "hostname": "boat",
        "root": {"path": "rootfs"},
        "process": process_value(arguments),
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]}
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "cgroup"}, {"type": "user"}],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

/// A process with Docker's capabilities.
pub fn process_value(arguments: &[&str]) -> serde_json::Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    json!({
        "terminal": false,
        "user": {"uid": 0, "gid": 0},
        "args": arguments,
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
        "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities}
    })
}

/// A process for exec.
pub fn process(arguments: &[&str]) -> Box<Process> {
    Box::new(serde_json::from_value(process_value(arguments)).expect("process"))
}
