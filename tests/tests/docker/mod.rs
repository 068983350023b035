//! The docker CLI as a test's hand.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sampan_tests::server::Server;
use serde_json::Value;

/// The longest that any one command of these tests may take: a guard against hanging, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command came to.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The docker CLI at one server's socket.
pub struct Docker {
    server: Server,
}

impl Docker {
    /// A fresh server with the busybox image.
    pub fn start() -> Self {
        Self::start_with(Server::start())
    }

    /// A fresh server without any image.
    pub fn start_empty() -> Self {
        Self { server: Server::start() }
    }

    /// The same with a storage backend, `erofs` or `folders`.
    pub fn start_on(storage: &'static str) -> Self {
        Self::start_with(Server::start_on(Some(storage)))
    }

    fn start_with(server: Server) -> Self {
        let docker = Self { server };
        let archive = sampan_tests::images::busybox();
        docker.ok(&["load", "-q", "-i", archive.to_str().expect("path")]);
        docker
    }

    /// Kills its server and starts another on the same roots, with a storage backend.
    pub fn again_on(&mut self, storage: &'static str) {
        self.server.signal(nix::sys::signal::Signal::SIGKILL);
        self.server.again_on(storage);
    }

    /// The server itself.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// The same, to look at.
    pub fn server_ref(&self) -> &Server {
        &self.server
    }

    /// Its socket.
    pub fn socket(&self) -> String {
        self.server.docker_socket().to_str().expect("path").to_owned()
    }

    /// A command, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.socket())).args(arguments);
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, b"")
    }

    /// Runs it to its end with an input; the input is closed behind it.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker is on PATH");
        let mut stdin = child.stdin.take().expect("stdin");
        let input = input.to_vec();
        let writing = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let ended = end(child, arguments);
        writing.join().expect("writer");
        ended
    }

    /// Runs it, must succeed; gives its output without the last line feed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "docker {arguments:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs it, must fail with this code; gives what it says.
    pub fn fails(&self, arguments: &[&str], code: i32) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, code, "docker {arguments:?}: {}{}", ended.stdout, ended.stderr);
        ended.stderr
    }

    /// One value of `inspect`, as JSON.
    pub fn inspect(&self, name: &str, template: &str) -> Value {
        let text = self.ok(&["inspect", "--format", &format!("{{{{json {template}}}}}"), name]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Waits until a condition holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// At most a second from now, as seconds since 1970: the `--until` of events that were told already. The CLI makes whole
/// seconds of "0s", which leaves out what happened in the present one.
pub fn soon() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    (now.as_secs() + 1).to_string()
}

/// Waits for the end of a command and reads all it said.
pub fn end(mut child: Child, arguments: &[&str]) -> Ended {
    let mut stdout = child.stdout.take().expect("stdout");
    let mut stderr = child.stderr.take().expect("stderr");
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.read_to_end(&mut text);
        text
    });
    let reading_errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        text
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("docker {arguments:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().expect("reader")).into_owned()
    };
    Ended { code: status.code().unwrap_or(-1), stdout: text(reading), stderr: text(reading_errors) }
}
