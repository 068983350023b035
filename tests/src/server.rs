//! A server of its own for one test: fresh roots, a free port, its own socket; all of it gone at the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long a server may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `sampan serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
    data_root: PathBuf,
    http: SocketAddr,
    storage: Option<&'static str>,
    https: Option<SocketAddr>,
    variables: Vec<(String, String)>,
}

impl Server {
    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start: the test cannot go on.
    pub fn start() -> Self {
        Self::start_on(None)
    }

    /// The same with a storage backend, `erofs` or `folders`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_on(storage: Option<&'static str>) -> Self {
        let folder = new_folder();
        let data_root = folder.path().join("data");
        Self::start_in(folder, data_root, storage)
    }

    /// The same with its data elsewhere, which stays.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_at(data_root: &Path) -> Self {
        Self::start_in(new_folder(), data_root.to_owned(), None)
    }

    /// The same with an `--https` address, too.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_encrypted() -> Self {
        let folder = new_folder();
        let data_root = folder.path().join("data");
        Self::start_on_both(folder, data_root, None, Some(free_address()))
    }

    /// The same with fault points: `faults` in its data root says which there are and which were passed, and is told
    /// what is to happen where (engine/src/fault.rs).
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_to_fail(storage: Option<&'static str>) -> Self {
        let folder = new_folder();
        let data_root = folder.path().join("data");
        Self::start_on_all(folder, data_root, storage, (free_address(), None), &[("SAMPAN_FAULTS", "1")])
    }

    /// The same on all addresses of this host.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_everywhere() -> Self {
        let folder = new_folder();
        let data_root = folder.path().join("data");
        let everywhere = |address: SocketAddr| SocketAddr::from(([0, 0, 0, 0], address.port()));
        Self::start_on_all(folder, data_root, None, (everywhere(free_address()), Some(everywhere(free_address()))), &[])
    }

    /// One that is told more by variables of its environment.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(variables: &[(&str, &str)]) -> Self {
        let folder = new_folder();
        let data_root = folder.path().join("data");
        Self::start_on_all(folder, data_root, None, (free_address(), None), variables)
    }

    fn start_in(folder: TempDir, data_root: PathBuf, storage: Option<&'static str>) -> Self {
        Self::start_on_both(folder, data_root, storage, None)
    }

    fn start_on_both(
        folder: TempDir,
        data_root: PathBuf,
        storage: Option<&'static str>,
        https: Option<SocketAddr>,
    ) -> Self {
        Self::start_on_all(folder, data_root, storage, (free_address(), https), &[])
    }

    fn start_on_all(
        folder: TempDir,
        data_root: PathBuf,
        storage: Option<&'static str>,
        (http, https): (SocketAddr, Option<SocketAddr>),
        variables: &[(&str, &str)],
    ) -> Self {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = serve(folder.path(), &data_root, (http, https), storage, &variables);
        let mut server = Self { child, folder, data_root, http, storage, https, variables };
        server.wait_until_ready();
        server
    }

    /// Its address over TLS.
    ///
    /// # Panics
    /// When it has none.
    pub fn https(&self) -> SocketAddr {
        self.https.expect("an https address")
    }

    /// The docker socket.
    pub fn docker_socket(&self) -> PathBuf {
        self.folder.path().join("state/docker.sock")
    }

    /// The data root.
    pub fn data_root(&self) -> PathBuf {
        self.data_root.clone()
    }

    /// The state root.
    pub fn state_root(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Address of pages and REST.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Pid of `sampan serve`.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Pid of one of its helpers by its role: guard, keeper, spawner, net, monitor.
    pub fn helper(&self, role: &str) -> Option<i32> {
        self.helpers(role).first().copied()
    }

    /// Pids of all helpers of one role.
    pub fn helpers(&self, role: &str) -> Vec<i32> {
        let instance = std::fs::read_to_string(self.data_root().join("instance")).unwrap_or_default();
        let is_it = |pid: &i32| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&str> = line.split('\0').collect();
            words.get(1) == Some(&role) && words.windows(2).any(|pair| pair == ["--instance", instance.trim()])
        };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_it).collect()
    }

    /// Kills a helper and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_helper(&self, role: &str) {
        let pid = self.helper(role).unwrap_or_else(|| panic!("{role} does not run"));
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
        let begun = Instant::now();
        while self.helper(role) == Some(pid) {
            assert!(begun.elapsed() < PATIENCE, "{role} is not gone");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until `sampan serve` has ended by itself; whether it says that all was well.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.success();
            }
            assert!(begun.elapsed() < PATIENCE, "sampan serve does not end\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether `sampan serve` ends by itself, or is killed, in that time.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn ends_within(&mut self, most: Duration) -> bool {
        let begun = Instant::now();
        while self.child.try_wait().expect("wait").is_none() {
            if begun.elapsed() > most {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Sends a signal to `sampan serve` and waits for its end; what it started stays.
    ///
    /// # Panics
    /// When it does not end.
    pub fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("signal");
        let begun = Instant::now();
        while self.child.try_wait().expect("wait").is_none() {
            assert!(begun.elapsed() < PATIENCE, "sampan serve does not end\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts `sampan serve` again on the same roots.
    ///
    /// # Panics
    /// When it does not start.
    pub fn again(&mut self) {
        let listeners = (self.http, self.https);
        self.child = serve(self.folder.path(), &self.data_root, listeners, self.storage, &self.variables);
        self.wait_until_ready();
    }

    /// The same with another storage backend.
    ///
    /// # Panics
    /// When it does not start.
    pub fn again_on(&mut self, storage: &'static str) {
        self.storage = Some(storage);
        self.again();
    }

    /// What it wrote to its log.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("serve.log")).unwrap_or_default()
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        while !is_ready(self.http) {
            if let Some(status) = self.child.try_wait().expect("wait") {
                panic!("sampan serve ended with {status}\n{}", self.said());
            }
            assert!(begun.elapsed() < PATIENCE, "sampan serve is not ready\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.said());
        }
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Containers, helpers, bridge, table, cgroups and the block of ids.
        let mut down = Command::new(program());
        down.args(["down", "--purge"])
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--state-root")
            .arg(self.state_root());
        match down.stdin(Stdio::null()).output() {
            Ok(ended) if ended.status.success() => {}
            other => eprintln!("sampan down: {other:?}"),
        }
    }
}

/// `sampan` beside the tests.
///
/// # Panics
/// When it was not built.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let program = own.parent().and_then(Path::parent).expect("target folder").join("sampan");
    assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
    program
}

fn new_folder() -> TempDir {
    tempfile::Builder::new().prefix("sampan-test-").tempdir().expect("a folder")
}

fn serve(
    folder: &Path,
    data_root: &Path,
    (http, https): (SocketAddr, Option<SocketAddr>),
    storage: Option<&str>,
    variables: &[(String, String)],
) -> Child {
    let https = https.map(|https| ["--https".to_owned(), https.to_string()]);
    let storage = storage.map(|storage| ["--storage", storage]);
    let log = std::fs::File::options().create(true).append(true).open(folder.join("serve.log")).expect("log");
    Command::new(program())
        .arg("serve")
        .arg("--data-root")
        .arg(data_root)
        .arg("--state-root")
        .arg(folder.join("state"))
        .arg("--http")
        .arg(http.to_string())
        .arg("--docker-sock")
        .arg(folder.join("state/docker.sock"))
        .args(https.into_iter().flatten())
        .args(storage.into_iter().flatten())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("log"))
        .stderr(log)
        .spawn()
        .expect("sampan starts")
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address")
}

fn is_ready(http: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect_timeout(&http, Duration::from_secs(1)) else { return false };
    let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    socket.write_all(request.as_bytes()).is_ok()
        && socket.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
