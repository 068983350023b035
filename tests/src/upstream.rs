//! A registry of others for one test: Debian's `docker-registry`, and one that sends slowly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The only user of one that asks for a name.
pub const USER: &str = "amber";
/// Their password.
pub const PASSWORD: &str = "hunter2hunter2";
const LINE: &str = "amber:$2y$05$abcdefghijklmnopqrstuuHNzobToyoUx/XDeHA.0qHXOcixZPlSm\n";

/// A running registry; ends with the test.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Registry {
    /// One that everybody may use.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// One that asks for [`USER`] and [`PASSWORD`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_private() -> Self {
        Self::start_with("auth:\n  htpasswd:\n    realm: test\n    path: FOLDER/users\n")
    }

    fn start_with(auth: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sampan-registry-").tempdir().expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
        let root = folder.path().display().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: FOLDER\n  delete:\n    enabled: true\n\
            http:\n  addr: {address}\n{auth}"
        );
        std::fs::write(folder.path().join("config.yml"), config.replace("FOLDER", &root)).expect("configuration");
        std::fs::write(folder.path().join("users"), LINE).expect("users");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed: tools/host-packages tests");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, address, _folder: folder }
    }

    /// `127.0.0.1:port`, as in names of images.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Another address of it that gives so many bytes a second; it ends with the process.
    ///
    /// # Panics
    /// When there is no port.
    pub fn slowly(&self, bytes_per_second: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let target = self.address;
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(target) else { continue };
                let (from, to) = (client.try_clone(), server.try_clone());
                std::thread::spawn(move || pass(from.ok(), Some(server), None));
                std::thread::spawn(move || pass(to.ok(), Some(client), Some(bytes_per_second)));
            }
        });
        address.to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn pass(from: Option<TcpStream>, to: Option<TcpStream>, bytes_per_second: Option<usize>) {
    let (Some(mut from), Some(mut to)) = (from, to) else { return };
    let mut piece = vec![0; bytes_per_second.map_or(64 << 10, |rate| (rate / 50).max(1))];
    while let Ok(length) = from.read(&mut piece) {
        if length == 0 || to.write_all(&piece[..length]).is_err() {
            break;
        }
        if bytes_per_second.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
