//! A disk that is full: what needs space says so and leaves nothing half made, what runs goes on, and when there is space
//! again all works without a restart.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::fcntl::posix_fallocate;
use sampan_tests::client::{self, ask, token};
use sampan_tests::images;
use sampan_tests::server::Server;
use tempfile::TempDir;

/// Size of the disk.
const DISK_BYTES: u64 = 288 << 20;
/// What a container's log may lag behind.
const SOON: Duration = Duration::from_secs(20);

/// A small ext4 on a file, mounted until the end.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sampan-disk-").tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
        std::fs::create_dir(folder.path().join("mounted")).unwrap();
        let disk = Self { folder };
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.mounted()));
        disk
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn free_bytes(&self) -> u64 {
        let disk = nix::sys::statvfs::statvfs(&self.mounted()).unwrap();
        disk.blocks_available() as u64 * disk.fragment_size() as u64
    }

    fn filler(&self) -> PathBuf {
        self.mounted().join("filler")
    }

    /// Takes all space but so much.
    fn leave(&self, bytes: u64) {
        let filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        // What was written a moment ago gets its blocks first.
        nix::unistd::syncfs(&filler).unwrap();
        let mut piece = self.free_bytes().saturating_sub(bytes);
        while piece >= 4096 {
            let end = filler.metadata().unwrap().len();
            let taken = posix_fallocate(&filler, end.try_into().unwrap(), piece.try_into().unwrap());
            piece = if taken.is_ok() { self.free_bytes().saturating_sub(bytes) } else { piece / 2 };
        }
    }

    fn give_back(&self) {
        std::fs::remove_file(self.filler()).unwrap();
        // A file that was taken away gives its blocks back with the journal's next entry.
        let begun = Instant::now();
        while self.free_bytes() < 32 << 20 {
            assert!(begun.elapsed() < SOON, "the space does not come back");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.mounted()).status();
    }
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn ok(server: &Server, arguments: &[&str]) -> String {
    client::docker_ok(server, 60, arguments)
}

/// What a refusal says.
fn refused(server: &Server, arguments: &[&str]) -> String {
    let ended = client::docker(server, 60, arguments);
    assert!(!ended.status.success(), "{arguments:?} went well on a full disk");
    String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout)
}

fn assert_tells_of_space(said: &str) {
    let said = said.to_lowercase();
    assert!(said.contains("no space left") || said.contains("disk is full"), "{said}");
}

/// That the server says what to do, which what a program in a container says does not.
fn assert_tells_what_to_do(said: &str) {
    assert_tells_of_space(said);
    assert!(said.contains("`docker system prune` removes what nobody uses"), "{said}");
}

/// Signs in on the page as a person does: the status, and where it leads.
fn sign_in(server: &Server, name: &str) -> (String, String) {
    let (address, body) = (server.http(), format!("name={name}&password=correct+horse"));
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\nconnection: close\r\n\
        content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    (status, answer)
}

fn ballast(server: &Server) -> u64 {
    std::fs::metadata(server.data_root().join("ballast")).unwrap().len()
}

/// Names of all files below, so that what is left behind shows.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let disk = Disk::new();
    let server = Server::start_at(&disk.mounted().join("data"));
    let data = server.data_root();
    ok(&server, &["load", "-qi", images::busybox().to_str().unwrap()]);
    let ticks = "i=0; while :; do i=$((i+1)); echo tick $i; usleep 100000; done";
    ok(&server, &["run", "-d", "--name", "ticks", "--network", "none", "busybox", "sh", "-c", ticks]);
    ok(&server, &["run", "-d", "--name", "quiet", "--network", "none", "busybox", "sleep", "1000"]);
    let owner = token(&server, "amber", "default", "owner");
    ok(&server, &["tag", "busybox", "other"]);
    let debian = images::archive("debian");
    let last = |server: &Server| ok(server, &["logs", "--tail", "1", "ticks"]);

    // An archive stops in the middle.
    disk.leave(8 << 20);
    let (before, free) = (files(&data.join("layers")), disk.free_bytes());
    assert_tells_of_space(&refused(&server, &["load", "-qi", debian.to_str().unwrap()]));
    assert_eq!(ok(&server, &["images", "-q"]).lines().count(), 2);
    assert_eq!(files(&data.join("layers")), before);
    assert!(disk.free_bytes() + (1 << 20) > free, "{} of {free} bytes are free", disk.free_bytes());

    // Nothing is left at all.
    let held_back = ballast(&server);
    assert!(held_back > 8 << 20, "{held_back} bytes are held back");
    disk.leave(0);
    assert_tells_what_to_do(&refused(&server, &["load", "-qi", debian.to_str().unwrap()]));
    assert_tells_what_to_do(&refused(&server, &["run", "--network", "none", "busybox", "true"]));
    assert_eq!(ballast(&server), held_back, "what only wants room gets none of it");
    let (status, problem) = ask(&server, "POST", "/api/v1/images", &owner, &std::fs::read(&debian).unwrap());
    assert_eq!((status, &problem["title"]), (507, &"the disk is full".into()), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("/api/v1/images/prune"), "{problem}");
    assert_eq!(ok(&server, &["ps", "-a", "--format", "{{.Names}}"]), "quiet\nticks");
    let volume = client::docker(&server, 60, &["volume", "create", "kept"]);
    let kept = ok(&server, &["volume", "ls", "-q"]).contains("kept");
    assert_eq!(volume.status.success(), kept, "{}", String::from_utf8_lossy(&volume.stderr));
    if !kept {
        assert_tells_of_space(&String::from_utf8_lossy(&volume.stderr));
    }

    // Room is given back to come in, and again to remove things.
    let acts = 40;
    for _ in 0..acts {
        ok(&server, &["pause", "quiet"]);
        ok(&server, &["unpause", "quiet"]);
    }
    disk.leave(0);
    for _ in 0..2 {
        let (status, answer) = sign_in(&server, "amber");
        assert_eq!(status, "303", "{answer}");
    }
    let after = ballast(&server);
    assert!(after < held_back, "{after} of {held_back} bytes are held back");
    disk.leave(0);
    ok(&server, &["container", "prune", "-f"]);
    assert_eq!(ok(&server, &["image", "rm", "other"]), "Untagged: other:latest");

    // What runs goes on: it is told itself that it cannot write, and hears no more of it.
    let said = refused(&server, &["exec", "quiet", "dd", "if=/dev/zero", "of=/large", "bs=1M", "count=64"]);
    assert_tells_of_space(&said);
    assert_eq!(ok(&server, &["exec", "quiet", "echo", "here"]), "here");
    let processor = |server: &Server| ok(server, &["exec", "ticks", "cat", "/proc/1/stat"]);
    let at = processor(&server);
    std::thread::sleep(Duration::from_secs(1));
    assert_ne!(processor(&server), at, "the writer of a log stands still");
    assert_eq!(ok(&server, &["inspect", "-f", "{{.State.Running}}", "ticks"]), "true");

    // Space again, also for what the database wanted to write.
    ok(&server, &["exec", "quiet", "rm", "-f", "/large"]);
    disk.give_back();
    let pid = server.pid();
    let (begun, old) = (Instant::now(), last(&server));
    while last(&server) == old {
        assert!(begun.elapsed() < SOON, "the log does not go on after {old}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(ok(&server, &["run", "--rm", "--network", "none", "busybox", "echo", "again"]), "again");
    ok(&server, &["volume", "create", "again"]);
    ok(&server, &["load", "-qi", debian.to_str().unwrap()]);
    assert_eq!(ok(&server, &["run", "--rm", "--network", "none", "debian:bookworm", "echo", "whole"]), "whole");
    let audited = |server: &Server| ask(server, "GET", "/api/v1/audit", &owner, b"").1.to_string();
    let begun = Instant::now();
    while !audited(&server).contains(r#""target":"again""#) {
        assert!(begun.elapsed() < SOON, "{}", audited(&server));
        std::thread::sleep(Duration::from_millis(100));
    }
    let pauses = audited(&server).matches(r#""action":"pause""#).count();
    assert_eq!(pauses, acts, "what was done on the full disk stands in the trail");
    assert_eq!(ok(&server, &["stop", "-t", "0", "ticks"]), "ticks");
    let begun = Instant::now();
    while ballast(&server) < held_back {
        assert!(begun.elapsed() < SOON, "{} of {held_back} bytes are held back again", ballast(&server));
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(server.pid(), pid);
}
