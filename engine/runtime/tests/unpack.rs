//! Layers unpacked by a spawner over its socket: what the folder holds, alone and over the layers below, and what is left
//! when something is killed on the way.

mod harness;

use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirEntryExt, FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Harness, spec};
use sampan_runtime::sandbox::Root;
use sampan_runtime::wire::socket::Connection;
use sampan_runtime::wire::spawner::{Answer, Request};
use sampan_runtime::wire::{Refusal, RefusalKind, VERSION};

/// A folder to make tars of.
struct Source(tempfile::TempDir);

impl Source {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("source")).expect("folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("source").join(name)
    }

    /// A file with its folders.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(&path, text).expect("file");
        path
    }

    /// A tar of just these names and what is in them.
    fn tar(&self, names: &[&str]) -> PathBuf {
        let tar = self.0.path().join("tar");
        run(Command::new("tar").arg("-C").arg(self.path("")).args(["--no-recursion", "-cf"]).arg(&tar).args(names));
        tar
    }
}

fn run(command: &mut Command) {
    assert!(command.status().expect("run").success(), "{command:?}");
}

fn unpack(harness: &Harness, target: &str, below: &[&str], tar: &Path) -> Result<(), Refusal> {
    let file = File::open(tar).expect("tar");
    harness.ask_with(&request(target, below), &[file.as_fd()]).map(|_| ())
}

fn request(target: &str, below: &[&str]) -> Request {
    Request::Unpack { target: target.into(), below: below.iter().map(PathBuf::from).collect() }
}

fn is_mark(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}

#[test]
fn a_layer_is_unpacked_whole_or_not_at_all() {
    let harness = Harness::start("");
    let folder = tempfile::tempdir().expect("folder");
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("etc/deep")).expect("source");
    fs::write(source.join("etc/deep/file"), "text").expect("file");
    fs::hard_link(source.join("etc/deep/file"), source.join("twin")).expect("twin");
    fs::write(source.join("etc/.wh.passwd"), "").expect("mark");
    fs::write(source.join("etc/deep/.wh..wh..opq"), "").expect("mark");
    symlink("/etc/passwd", source.join("link")).expect("link");
    chown(source.join("etc/deep/file"), Some(33), Some(34)).expect("owner");
    let tar = folder.path().join("tar");
    let made = Command::new("tar").arg("-C").arg(&source).arg("-cf").arg(&tar).arg(".").status();
    assert!(made.expect("tar").success());
    unpack(&harness, "layers/new", &["layers/image"], &tar).expect("unpacked");

    let new = harness.data().join("layers/new");
    let file = fs::metadata(new.join("etc/deep/file")).expect("file");
    assert_eq!((file.uid(), file.gid(), file.nlink()), (33, 34, 2));
    assert!(is_mark(&new.join("etc/passwd")));
    let mut value = [0_u8; 8];
    let length = rustix::fs::getxattr(new.join("etc/deep"), "trusted.overlay.opaque", &mut value[..]).expect("opaque");
    assert_eq!(&value[..length], b"y");
    assert_eq!(fs::read_link(new.join("link")).expect("link").to_str(), Some("/etc/passwd"));
    assert_eq!(unpack(&harness, "layers/new", &["layers/image"], &tar).unwrap_err().kind, RefusalKind::Conflict);

    let hostile = folder.path().join("hostile");
    let made =
        Command::new("tar").arg("-C").arg(source.join("etc")).args(["-P", "-cf"]).arg(&hostile).arg("../twin").status();
    assert!(made.expect("tar").success());
    let refusal = unpack(&harness, "layers/other", &[], &hostile).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Invalid, "{refusal}");
    fs::write(&hostile, &fs::read(&tar).expect("tar")[..1_300]).expect("cut");
    assert_eq!(unpack(&harness, "layers/other", &[], &hostile).unwrap_err().kind, RefusalKind::Invalid);
    let left: Vec<_> = fs::read_dir(harness.data().join("layers")).expect("list").flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    harness.ask(&Request::RemoveLayer { target: "layers/new".into() }).expect("removed");
    assert!(!new.exists());
}

#[test]
fn folders_that_a_layer_only_implies_look_like_those_that_they_cover() {
    let harness = Harness::start("");
    let (lower, upper) = (Source::new(), Source::new());
    lower.file("etc/app/old", "old");
    lower.file("etc/hidden/deep/old", "old");
    chown(lower.path("etc/app"), Some(5), Some(6)).expect("owner");
    fs::set_permissions(lower.path("etc/app"), Permissions::from_mode(0o2750)).expect("mode");
    rustix::fs::setxattr(lower.path("etc/app"), "user.note", b"kept", rustix::fs::XattrFlags::empty()).expect("note");
    fs::set_permissions(lower.path("etc/hidden/deep"), Permissions::from_mode(0o700)).expect("mode");
    fs::set_permissions(lower.path(""), Permissions::from_mode(0o711)).expect("mode");
    let names =
        ["--xattrs", ".", "etc", "etc/app", "etc/app/old", "etc/hidden", "etc/hidden/deep", "etc/hidden/deep/old"];
    unpack(&harness, "layers/1", &[], &lower.tar(&names)).expect("unpacked");
    upper.file("etc/app/new/file", "new");
    upper.file("etc/hidden/.wh..wh..opq", "");
    upper.file("etc/hidden/deep/new", "new");
    let tar = upper.tar(&["etc/app/new/file", "etc/hidden/deep/new", "etc/hidden/.wh..wh..opq"]);

    unpack(&harness, "layers/2", &["layers/1"], &tar).expect("unpacked");

    let about = |name: &str| fs::metadata(harness.data().join("layers/2").join(name)).expect("there");
    let (app, below) = (about("etc/app"), fs::metadata(harness.data().join("layers/1/etc/app")).expect("below"));
    assert_eq!((app.uid(), app.gid(), app.mode() & 0o7777), (5, 6, 0o2750));
    assert_eq!((app.mtime(), app.mtime_nsec()), (below.mtime(), below.mtime_nsec()));
    let mut note = [0_u8; 8];
    let length =
        rustix::fs::getxattr(harness.data().join("layers/2/etc/app"), "user.note", &mut note[..]).expect("note");
    assert_eq!(&note[..length], b"kept");
    assert_eq!(about("").mode() & 0o7777, 0o711);
    // Nothing below is seen there, so it covers nothing.
    assert_eq!((about("etc/hidden/deep").mode() & 0o7777, about("etc/hidden/deep").mtime()), (0o755, 0));
    assert_eq!((about("etc/app/new").mode() & 0o7777, about("etc/app/new").mtime()), (0o755, 0));
}

#[test]
fn a_link_to_a_file_below_is_a_link_to_a_copy_that_takes_its_name_too() {
    let harness = Harness::start("");
    let (lower, upper) = (Source::new(), Source::new());
    chown(lower.file("usr/lib/target", "text"), Some(7), Some(8)).expect("owner");
    symlink("target", lower.path("usr/lib/link")).expect("link");
    unpack(&harness, "layers/1", &[], &lower.tar(&["usr", "usr/lib", "usr/lib/target", "usr/lib/link"])).expect("1");
    unpack(&harness, "layers/2", &["layers/1"], &Source::new().tar(&["--files-from=/dev/null"])).expect("2");
    let target = upper.file("usr/lib/target", "text");
    fs::create_dir_all(upper.path("usr/bin")).expect("folder");
    for name in ["usr/bin/one", "usr/bin/two"] {
        fs::hard_link(&target, upper.path(name)).expect("link");
    }
    let tar = upper.tar(&["usr/lib/target", "usr/bin/one", "usr/bin/two"]);
    run(Command::new("tar").arg("--delete").arg("-f").arg(&tar).arg("usr/lib/target"));

    unpack(&harness, "layers/3", &["layers/2", "layers/1"], &tar).expect("3");
    let dangling = unpack(&harness, "layers/4", &[], &tar).unwrap_err();

    let about = |name: &str| fs::metadata(harness.data().join("layers/3").join(name)).expect("there");
    let one = about("usr/bin/one");
    assert_eq!((one.uid(), one.gid(), one.nlink(), one.len()), (7, 8, 3, 4));
    assert_eq!((about("usr/bin/two").ino(), about("usr/lib/target").ino()), (one.ino(), one.ino()));
    assert_eq!(dangling.kind, RefusalKind::Invalid, "{dangling}");
}

#[test]
fn marks_that_hide_nothing_are_left_out_and_an_opaque_root_hides_name_by_name() {
    let harness = Harness::start("");
    let (lower, upper, top) = (Source::new(), Source::new(), Source::new());
    lower.file("etc/gone", "");
    lower.file("var/kept", "");
    unpack(&harness, "layers/1", &[], &lower.tar(&["etc", "etc/gone", "var", "var/kept"])).expect("1");
    for mark in ["etc/.wh.gone", "etc/.wh.never", "new/.wh.never", "new/.wh..wh..opq"] {
        upper.file(mark, "");
    }
    let tar = upper.tar(&["etc/.wh.gone", "etc/.wh.never", "new/.wh.never", "new/.wh..wh..opq"]);
    unpack(&harness, "layers/2", &["layers/1"], &tar).expect("2");
    top.file(".wh..wh..opq", "");
    top.file("etc/own", "");
    unpack(&harness, "layers/3", &["layers/2", "layers/1"], &top.tar(&[".wh..wh..opq", "etc/own"])).expect("3");

    let layer = |name: &str| harness.data().join("layers").join(name);
    assert!(is_mark(&layer("2/etc/gone")));
    assert!(layer("2/new").is_dir() && fs::symlink_metadata(layer("2/etc/never")).is_err());
    assert!(fs::symlink_metadata(layer("2/new/never")).is_err());
    assert!(is_mark(&layer("3/var")) && is_mark(&layer("3/new")));
    let lowers = ["layers/3", "layers/2", "layers/1", "layers/image"].map(PathBuf::from).to_vec();
    let (_, seen) = script_over(&harness, lowers, "ls /etc; ls -d /var /new");
    // The others are what every container mounts on.
    assert!(seen.starts_with("hostname\nhosts\nown\nresolv.conf\n"), "{seen}");
    assert!(!seen.contains("gone") && !seen.contains("never") && !seen.contains("\n/"), "{seen}");
}

fn script_over(harness: &Harness, lowers: Vec<PathBuf>, script: &str) -> (i32, String) {
    let mut sandbox = harness.sandbox();
    sandbox.root = Root::Folders { lowers };
    harness.script_in(&sandbox, &spec(&["sh", "-c", script]))
}

#[test]
fn a_folder_that_was_removed_and_made_again_is_not_shown_by_its_old_mount() {
    for without in ["", "detached-mounts"] {
        let harness = Harness::start(without);
        let source = Source::new();
        let lowers = || ["layers/1", "layers/image"].map(PathBuf::from).to_vec();
        for text in ["first", "second"] {
            source.file("note", text);
            unpack(&harness, "layers/1", &["layers/image"], &source.tar(&["note"])).expect("unpacked");

            assert_eq!(script_over(&harness, lowers(), "cat /note").1, text);

            harness.ask(&Request::RemoveLayer { target: "layers/1".into() }).expect("removed");
        }
    }
}

/// Enough files that an unpacking can be caught in the middle.
fn large() -> (Source, PathBuf) {
    let source = Source::new();
    for number in 0..3_000 {
        source.file(&format!("many/{number}"), "text");
    }
    let tar = source.0.path().join("large");
    run(Command::new("tar").arg("-C").arg(source.path("")).arg("-cf").arg(&tar).arg("."));
    (source, tar)
}

fn connect(harness: &Harness) -> Connection {
    let connection = Connection::connect(&harness.folder.path().join("state/spawner.sock")).expect("connect");
    connection.send(&Request::Hello { version: VERSION }, &[]).expect("hello");
    connection.receive::<Answer>().expect("receive").expect("welcome");
    connection
}

fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(10), "did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_spawner_that_is_killed_leaves_no_layer_and_the_next_one_clears_up() {
    let mut harness = Harness::start("");
    let (_source, tar) = large();
    fs::create_dir(harness.data().join("layers/folders")).expect("folder");
    let unfinished = harness.data().join("layers/folders/.unpacking-1");
    let connection = connect(&harness);
    connection.send(&request("layers/folders/1", &[]), &[File::open(&tar).expect("tar").as_fd()]).expect("send");
    wait_for(|| unfinished.join("many").exists());

    // Deleted in the spawner it would hold up starts: it is only moved, and lies in the trash until the spawner rests.
    let (trash, inode) = (harness.data().join("trash"), fs::metadata(&unfinished).expect("there").ino());
    let seen = std::thread::spawn(move || {
        let has_it = || fs::read_dir(&trash).is_ok_and(|entries| entries.flatten().any(|entry| entry.ino() == inode));
        wait_for(has_it);
    });
    harness.restart_spawner("");

    assert!(!unfinished.exists());
    seen.join().expect("seen in the trash");
    wait_for(|| fs::read_dir(harness.data().join("trash")).is_ok_and(|entries| entries.count() == 0));
    let left: Vec<_> = fs::read_dir(harness.data().join("layers/folders")).expect("list").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    unpack(&harness, "layers/folders/1", &[], &tar).expect("unpacked");
    assert_eq!(fs::read_dir(harness.data().join("layers/folders/1/many")).expect("list").count(), 3_000);
}

#[test]
fn who_asks_for_a_layer_that_is_under_way_waits_for_it() {
    let harness = Harness::start("");
    let (_source, tar) = large();
    let connections = [connect(&harness), connect(&harness)];
    for connection in &connections {
        connection.send(&request("layers/1", &[]), &[File::open(&tar).expect("tar").as_fd()]).expect("send");
    }

    for connection in &connections {
        assert_eq!(connection.receive::<Answer>().expect("receive").expect("an answer").0, Answer::Done);
        assert_eq!(fs::read_dir(harness.data().join("layers/1/many")).expect("list").count(), 3_000);
    }
}
