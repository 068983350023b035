//! A keeper of its own with real children, in a state root of its own.
//!
//! Spawner's part is played by the test, but for the births: a shell script started by keeper in spawner's place makes
//! each process an orphan, so that keeper becomes its parent.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use sampan_runtime::journal;
use sampan_runtime::log::{Position, Reader, Stream};
use sampan_runtime::sandbox::{LogLimits, NetworkMode, RestartPolicy, Root, Sandbox, Stdio as Streams, Team};
use sampan_runtime::wire::socket::Connection;
use sampan_runtime::wire::{VERSION, keeper, monitor};

/// The instance's user: nobody's.
pub const UID: u32 = 61_234;
const TEAM: &str = "blue";
const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    place: tempfile::TempDir,
    keeper: Mutex<Child>,
    /// All that were born, to be ended at the end.
    born: Mutex<Vec<OwnedFd>>,
}

/// A container's main process that waits for [`Born::go`].
pub struct Born {
    pub id: String,
    pub pid: i32,
    pidfd: OwnedFd,
    streams: Vec<OwnedFd>,
    go: PathBuf,
}

impl House {
    pub fn new() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        for folder in ["inner/state", "data/containers"] {
            std::fs::create_dir_all(place.path().join(folder)).expect("a folder");
        }
        chown(place.path().join("inner/state"), Some(UID), Some(UID)).expect("chown");
        mkfifo(&place.path().join("control"));
        let script = place.path().join("spawner");
        let text = format!(
            "#!/bin/sh\nexec 3>&-\nwhile read -r line; do sh -c \"$line\"; done <> {}\n",
            place.path().join("control").display()
        );
        std::fs::write(&script, text).expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        let keeper = Mutex::new(start_keeper(place.path()));
        let house = Self { place, keeper, born: Mutex::default() };
        house.wait_for("keeper", || Connection::connect(&house.state().join("keeper.sock")).ok());
        house
    }

    pub fn state(&self) -> PathBuf {
        self.place.path().join("inner/state")
    }

    pub fn folder(&self, id: &str) -> PathBuf {
        self.place.path().join("data/containers").join(id)
    }

    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills keeper and starts another; nobody reaps what ends in between but init.
    pub fn replace_keeper(&self, between: impl FnOnce()) {
        let mut keeper = self.keeper.lock().expect("the keeper");
        let spawner = child_of(keeper.id(), "spawner");
        keeper.kill().expect("kill");
        keeper.wait().expect("wait");
        // A real spawner that listens is ended by the next keeper.
        rustix::process::kill_process(Pid::from_raw(spawner).expect("a pid"), Signal::TERM).expect("kill");
        between();
        *keeper = start_keeper(self.place.path());
    }

    /// Pid of the team's monitor.
    pub fn monitor_pid(&self) -> i32 {
        self.to_monitor().peer().expect("a peer").pid
    }

    pub fn kill_monitor(&self) {
        let pid = self.monitor_pid();
        rustix::process::kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("kill");
        self.wait_for("another monitor", || {
            let connection = Connection::connect(&self.state().join("monitor/blue.sock")).ok()?;
            (connection.peer().ok()?.pid != pid).then_some(())
        });
    }

    /// A greeted connection to keeper.
    pub fn to_keeper(&self, role: keeper::Role) -> Connection {
        self.wait_for("keeper's answer", || {
            let connection = Connection::connect(&self.state().join("keeper.sock")).ok()?;
            connection.send(&keeper::Request::Hello { version: VERSION, role: role.clone() }, &[]).ok()?;
            let (answer, _) = connection.receive::<keeper::Answer>().ok()??;
            matches!(answer, keeper::Answer::Welcome { .. }).then_some(connection)
        })
    }

    /// A greeted connection to the team's monitor, which is started if need be.
    pub fn to_monitor(&self) -> Connection {
        let keeper = self.to_keeper(keeper::Role::Serve);
        let team = Team { key: TEAM.to_owned(), base_id: 1_879_048_192 };
        keeper_done(&keeper, &keeper::Request::EnsureMonitor { team }, &[]);
        self.wait_for("the monitor's answer", || {
            let connection = Connection::connect(&self.state().join("monitor/blue.sock")).ok()?;
            connection.send(&monitor::Request::Hello { version: VERSION }, &[]).ok()?;
            let (answer, _) = connection.receive::<monitor::Answer>().ok()??;
            matches!(answer, monitor::Answer::Welcome { .. }).then_some(connection)
        })
    }

    /// Makes the container's folder as `serve` would.
    pub fn make_folder(&self, id: &str, restart: RestartPolicy, stdio: Streams) {
        let folder = self.folder(id);
        std::fs::create_dir_all(&folder).expect("a folder");
        chown(&folder, Some(UID), Some(UID)).expect("chown");
        let sandbox = serde_json::to_value(Sandbox {
            id: id.to_owned(),
            team: Team { key: TEAM.to_owned(), base_id: 1_879_048_192 },
            root: Root::Ready { path: "/".into() },
            network: NetworkMode::None,
            user_namespace: true,
            stdio,
            restart,
            log: LogLimits::default(),
            files: Vec::new(),
            copy_up: Vec::new(),
            init: false,
            ..minimal_sandbox()
        });
        std::fs::write(folder.join("sandbox.json"), sandbox.expect("json").to_string()).expect("a file");
        chown(folder.join("sandbox.json"), Some(UID), Some(UID)).expect("chown");
    }

    /// Makes a child of keeper that will run `script` when it may.
    pub fn bear(&self, id: &str, script: &str) -> Born {
        let folder = self.folder(id);
        for name in ["out", "err", "go", "in"] {
            let _ = std::fs::remove_file(folder.join(name));
            mkfifo(&folder.join(name));
        }
        let stdin = open(&folder.join("in"), OFlags::RDWR);
        let streams = vec![
            open(&folder.join("out"), OFlags::RDONLY | OFlags::NONBLOCK),
            open(&folder.join("err"), OFlags::RDONLY | OFlags::NONBLOCK),
        ];
        drop(stdin);
        let pid = self.birth(&folder, &format!("read _ <{0}/go; {script}", folder.display()), "<&-");
        self.born(id, pid, streams)
    }

    /// The same with an open standard input.
    pub fn bear_with_stdin(&self, id: &str, program: &str) -> Born {
        let folder = self.folder(id);
        for name in ["out", "err", "go", "in"] {
            mkfifo(&folder.join(name));
        }
        let both = open(&folder.join("in"), OFlags::RDWR);
        let script = format!("exec <{0}/in; read _ <{0}/go; exec {program}", folder.display());
        let streams = vec![
            open(&folder.join("in"), OFlags::WRONLY),
            open(&folder.join("out"), OFlags::RDONLY | OFlags::NONBLOCK),
            open(&folder.join("err"), OFlags::RDONLY | OFlags::NONBLOCK),
        ];
        let pid = self.birth(&folder, &script, "");
        // The process opens its end while we hold both, then only the write end is left.
        self.wait_for("the process's standard input", || {
            std::fs::read_link(format!("/proc/{pid}/fd/0")).ok().filter(|path| path.ends_with("in"))
        });
        drop(both);
        self.born(id, pid, streams)
    }

    /// On a terminal.
    pub fn bear_on_terminal(&self, id: &str, script: &str) -> Born {
        let folder = self.folder(id);
        mkfifo(&folder.join("go"));
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY);
        let master = master.expect("a terminal");
        rustix::pty::unlockpt(&master).expect("unlock");
        let slave = rustix::pty::ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let script = format!("read _ <{}/go; exec <{slave} >{slave} 2>&1; {script}", folder.display());
        let pid = self.birth(&folder, &script, "<&-");
        self.born(id, pid, vec![master])
    }

    fn birth(&self, folder: &Path, script: &str, redirection: &str) -> i32 {
        let place = folder.display();
        let _ = std::fs::remove_file(folder.join("pid"));
        std::fs::write(folder.join("script"), script).expect("a script");
        let output = if folder.join("out").exists() { format!(">{place}/out 2>{place}/err") } else { String::new() };
        let line =
            format!("sh {place}/script {redirection} {output} & echo $! >{place}/new; mv {place}/new {place}/pid\n");
        let control = self.place.path().join("control");
        let mut control = self.wait_for("the script in spawner's place", || {
            File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&control).ok()
        });
        control.write_all(line.as_bytes()).expect("a line");
        self.wait_for("a pid", || std::fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok())
    }

    fn born(&self, id: &str, pid: i32, streams: Vec<OwnedFd>) -> Born {
        let keeper = self.keeper.lock().expect("the keeper").id().to_string();
        self.wait_for("keeper as the parent", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            status.lines().find(|line| line.starts_with("PPid:"))?.ends_with(&format!("\t{keeper}")).then_some(())
        });
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid).expect("a pid"), PidfdFlags::empty());
        let pidfd = pidfd.expect("a pidfd");
        self.born.lock().expect("the born").push(pidfd.try_clone().expect("a copy"));
        Born { id: id.to_owned(), pid, pidfd, streams, go: self.folder(id).join("go") }
    }

    /// What spawner says to keeper before the program runs.
    pub fn keep(&self, born: &Born) {
        let keeper = self.to_keeper(keeper::Role::Spawner);
        let folder = open(&self.folder(&born.id), OFlags::PATH | OFlags::DIRECTORY);
        let streams: Vec<BorrowedFd<'_>> = born.streams.iter().map(AsFd::as_fd).collect();
        for (what, descriptors) in
            [("folder", vec![folder.as_fd()]), ("pidfd", vec![born.pidfd.as_fd()]), ("stdio", streams)]
        {
            let put = keeper::Request::Put { name: format!("container/{}/{what}", born.id) };
            keeper_done(&keeper, &put, &descriptors);
        }
    }

    pub fn watch(&self, born: &Born) {
        let keeper = self.to_keeper(keeper::Role::Spawner);
        let what = keeper::Watched::Container { id: born.id.clone() };
        let watch = keeper::Request::Watch { pid: born.pid, team: TEAM.to_owned(), what };
        keeper_done(&keeper, &watch, &[born.pidfd.as_fd()]);
    }

    pub fn adopt(&self, born: &Born, restart: RestartPolicy, stdio: Streams) -> monitor::Answer {
        let folder = open(&self.folder(&born.id), OFlags::PATH | OFlags::DIRECTORY);
        let mut descriptors = vec![folder.as_fd(), born.pidfd.as_fd()];
        descriptors.extend(born.streams.iter().map(AsFd::as_fd));
        let adopt = monitor::Request::Adopt {
            id: born.id.clone(),
            pid: born.pid,
            stdio,
            restart,
            log: LogLimits::default(),
            at_ns: sampan_runtime::time::now_ns(),
        };
        ask_monitor(&self.to_monitor(), &adopt, &descriptors).0
    }

    /// All of it: born, kept, adopted, watched, let go.
    pub fn run(&self, id: &str, script: &str) -> i32 {
        self.make_folder(id, RestartPolicy::No, Streams::default());
        let born = self.bear(id, script);
        self.keep(&born);
        assert_eq!(self.adopt(&born, RestartPolicy::No, Streams::default()), monitor::Answer::Done);
        self.watch(&born);
        born.go();
        born.pid
    }

    /// The journal's entries, once the last of them is one that `wanted` takes.
    pub fn journal_until(&self, id: &str, wanted: impl Fn(&monitor::Happening) -> bool) -> Vec<monitor::Happening> {
        self.wait_for("the journal", || {
            let entries = journal::read_after(&self.folder(id), 0).expect("a journal");
            let what: Vec<monitor::Happening> = entries.into_iter().map(|entry| entry.what).collect();
            what.last().is_some_and(&wanted).then_some(what)
        })
    }

    pub fn output(&self, id: &str, stream: Stream) -> Vec<u8> {
        let mut reader = Reader::open(&self.folder(id)).expect("a log");
        let end = reader.committed().expect("a head");
        let mut position = Position::default();
        let mut found = Vec::new();
        loop {
            let step = reader.step(&mut position, end, 1 << 20).expect("a step");
            if step.is_empty() {
                return found;
            }
            found.extend(step.frames().filter(|frame| frame.stream == stream).flat_map(|frame| frame.data.to_vec()));
        }
    }
}

impl Born {
    /// The program runs.
    pub fn go(&self) {
        let mut go = File::options().write(true).open(&self.go).expect("the process waits");
        go.write_all(b"\n").expect("a line");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for pidfd in self.born.get_mut().into_iter().flatten() {
            // Most have ended long ago.
            let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        }
        let Ok(keeper) = self.keeper.get_mut() else { return };
        let pid = Pid::from_child(keeper);
        if rustix::process::kill_process(pid, Signal::TERM).is_ok() {
            let _ = keeper.wait();
        }
    }
}

/// A child of `parent` by a word of its command line.
fn child_of(parent: u32, word: &str) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).expect("children");
    let is_it = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').any(|argument| argument == word)
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_it).expect("the child")
}

fn start_keeper(place: &Path) -> Child {
    let number = UID.to_string();
    Command::new(env!("CARGO_BIN_EXE_sampan-runtime"))
        .args([
            "keeper",
            "--instance",
            "test",
            "--cgroup-parent",
            "sampan-test-none",
            "--uid",
            &number,
            "--gid",
            &number,
        ])
        .arg("--data-root")
        .arg(place.join("data"))
        .arg("--state-root")
        .arg(place.join("inner/state"))
        .arg("--spawner")
        .arg(place.join("spawner"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::options().create(true).append(true).open(place.join("keeper.log")).expect("a log"))
        .spawn()
        .expect("keeper starts")
}

fn keeper_done(keeper: &Connection, request: &keeper::Request, descriptors: &[BorrowedFd<'_>]) {
    keeper.send(request, descriptors).expect("keeper takes it");
    loop {
        match keeper.receive::<keeper::Answer>().expect("keeper answers").expect("keeper lives").0 {
            keeper::Answer::Ended { .. } => {}
            answer => return assert_eq!(answer, keeper::Answer::Done, "{request:?}"),
        }
    }
}

pub fn ask_monitor(
    monitor: &Connection,
    request: &monitor::Request,
    descriptors: &[BorrowedFd<'_>],
) -> (monitor::Answer, Vec<OwnedFd>) {
    monitor.send(request, descriptors).expect("the monitor takes it");
    monitor.receive().expect("the monitor answers").expect("the monitor lives")
}

fn mkfifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR).expect("a pipe");
}

fn open(path: &Path, flags: OFlags) -> OwnedFd {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).expect("it opens")
}

fn minimal_sandbox() -> Sandbox {
    let json = serde_json::json!({
        "id": "", "team": {"key": "a", "base_id": 0}, "root": {"backend": "ready", "path": "/"},
        "network": {"mode": "none"}, "user_namespace": true,
        "stdio": {"tty": false, "stdin": false, "stdin_once": false},
        "restart": {"name": "no"}, "log": {"file_bytes": 1, "files": 1}
    });
    serde_json::from_value(json).expect("a sandbox")
}
