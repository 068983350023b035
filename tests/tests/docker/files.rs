//! Files in and out of containers: cp, diff, export, import, commit.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use super::docker::{Docker, soon};

/// The storage backends.
const BOTH: [&str; 2] = ["erofs", "folders"];

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// What a command writes, as bytes.
fn bytes(docker: &Docker, arguments: &[&str]) -> Vec<u8> {
    let output = docker.command(arguments).stderr(Stdio::inherit()).output().expect("docker is on PATH");
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

/// Names in a tar, as GNU tar reads it.
fn names(tar: &[u8]) -> Vec<String> {
    let mut child = Command::new("tar").arg("-t").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tar");
    let mut stdin = child.stdin.take().expect("stdin");
    let tar = tar.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&tar));
    let output = child.wait_with_output().expect("tar");
    writing.join().expect("writer").expect("tar takes all");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn files_are_copied_in_and_out_of_running_and_stopped_containers() {
    for storage in BOTH {
        let docker = Docker::start_on(storage);
        let folder = tempfile::tempdir().expect("folder");
        let here = folder.path();
        std::fs::create_dir_all(here.join("in/deep")).expect("in");
        std::fs::write(here.join("in/deep/file"), "hello").expect("file");
        std::fs::set_permissions(here.join("in/deep/file"), PermissionsExt::from_mode(0o640)).expect("mode");
        std::os::unix::fs::symlink("deep/file", here.join("in/link")).expect("link");
        docker.ok(&["run", "-d", "--name", "up", "busybox", "sleep", "1000"]);
        docker.ok(&["create", "--name", "down", "busybox", "cat", "/usr/in/deep/file"]);
        for name in ["up", "down"] {
            docker.ok(&["cp", &text(&here.join("in")), &format!("{name}:/usr/")]);
            docker.ok(&["cp", &format!("{name}:/usr/in"), &text(&here.join(name))]);
            let copied = here.join(name).join("deep/file");
            assert_eq!(std::fs::read_to_string(&copied).expect("copied"), "hello", "{storage} {name}");
            assert_eq!(std::fs::metadata(&copied).expect("copied").mode() & 0o7777, 0o640);
            let link = std::fs::read_link(here.join(name).join("link")).expect("link");
            assert_eq!(link.to_str(), Some("deep/file"));
            // The inside of a folder, and a link that is followed.
            let inside = here.join(format!("{name}-inside"));
            std::fs::create_dir(&inside).expect("inside");
            docker.ok(&["cp", &format!("{name}:/usr/in/."), &text(&inside)]);
            assert!(inside.join("deep/file").exists());
            docker.ok(&["cp", "-L", &format!("{name}:/usr/in/link"), &text(&inside.join("followed"))]);
            assert_eq!(std::fs::read_to_string(inside.join("followed")).expect("followed"), "hello");
            let said = docker.fails(&["cp", &format!("{name}:/nothing"), "-"], 1);
            assert!(said.contains(&format!("Could not find the file /nothing in container {name}")), "{said}");
            let said = docker.fails(&["cp", &text(&here.join("in")), &format!("{name}:/bin/busybox")], 1);
            assert!(said.contains("cannot copy directory") || said.contains("not a directory"), "{said}");
        }
        assert_eq!(docker.ok(&["exec", "up", "cat", "/usr/in/link"]), "hello");
        assert_eq!(docker.ok(&["start", "-a", "down"]), "hello");
        // Streams: what goes out comes in again.
        let tar = bytes(&docker, &["cp", "up:/usr/in", "-"]);
        assert_eq!(names(&tar), ["in/", "in/deep/", "in/deep/file", "in/link"]);
        let ended = docker.run_with(&["cp", "-", "up:/tmp"], &tar);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(docker.ok(&["exec", "up", "cat", "/tmp/in/deep/file"]), "hello");
        let owner = docker.ok(&["exec", "up", "stat", "-c", "%u:%g", "/tmp/in/deep/file"]);
        assert_eq!(owner, "0:0", "the tar's own ids");
    }
}

#[test]
fn a_copy_sees_volumes_and_binds_and_respects_what_is_read_only() {
    let docker = Docker::start();
    let folder = tempfile::tempdir().expect("folder");
    let here = folder.path();
    std::fs::create_dir_all(here.join("bind")).expect("bind");
    std::fs::write(here.join("bind/known"), "bound").expect("known");
    std::fs::write(here.join("file"), "new").expect("file");
    let bind = format!("{}:/bind", text(&here.join("bind")));
    docker.ok(&[
        "create",
        "--name",
        "box",
        "-v",
        "data:/data",
        "-v",
        &bind,
        "-v",
        "sealed:/sealed:ro",
        "--read-only",
        "busybox",
        "true",
    ]);
    assert_eq!(names(&bytes(&docker, &["cp", "box:/bind", "-"])), ["bind/", "bind/known"]);
    docker.ok(&["cp", &text(&here.join("file")), "box:/data/"]);
    docker.ok(&["cp", &text(&here.join("file")), "box:/bind/"]);
    assert_eq!(std::fs::read_to_string(here.join("bind/file")).expect("in the bind"), "new");
    assert_eq!(docker.ok(&["run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/file"]), "new");
    let said = docker.fails(&["cp", &text(&here.join("file")), "box:/sealed/"], 1);
    assert!(said.contains("mounted volume is marked read-only"), "{said}");
    let said = docker.fails(&["cp", &text(&here.join("file")), "box:/etc/"], 1);
    assert!(said.contains("container rootfs is marked read-only"), "{said}");
    // The user's, where that is asked for.
    docker.ok(&["create", "--name", "user", "--user", "7:8", "busybox", "stat", "-c", "%u:%g", "/tmp/file"]);
    docker.ok(&["cp", "-a", &text(&here.join("file")), "user:/tmp/"]);
    assert_eq!(docker.ok(&["start", "-a", "user"]), "7:8");
}

/// CVE-2018-15664: a container that swaps a folder for a link to the host's root while files are copied.
#[test]
fn a_container_that_swaps_links_meanwhile_leads_a_copy_nowhere() {
    let docker = Docker::start();
    let folder = tempfile::tempdir().expect("folder");
    let here = folder.path();
    let secret = here.join("secret");
    std::fs::create_dir(&secret).expect("secret");
    std::fs::write(secret.join("file"), "the host's").expect("file");
    // Open to everybody: it is not its mode that keeps it safe.
    for (path, mode) in [(here.to_owned(), 0o777), (secret.clone(), 0o777), (secret.join("file"), 0o666)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("mode");
    }
    std::fs::write(here.join("file"), "the container's").expect("file");
    let path = text(&secret);
    // The same path inside, as a folder and as a link out, in turns.
    let swap = format!(
        "mkdir -p /swap/true /stash{path}; echo mine >/swap/true/file; while :; do \
         ln -sfn {path} /swap/turn; ln -sfn ../../../../../../../..{path} /swap/turn; ln -sfn true /swap/turn; done"
    );
    docker.ok(&["run", "-d", "--name", "evil", "busybox", "sh", "-c", &swap]);
    docker.until("it swaps", |docker| docker.run(&["exec", "evil", "readlink", "/swap/turn"]).code == 0);
    let mut copied = 0;
    for turn in 0..300 {
        if turn >= 30 && copied > 0 {
            break;
        }
        let out = docker.run(&["cp", "evil:/swap/turn/file", "-"]);
        assert!(!out.stdout.contains("the host's"), "read from the host");
        // Its own, or what a copy has put in its place.
        copied += usize::from(out.stdout.contains("mine") || out.stdout.contains("the container's"));
        // It may find no folder at that moment.
        docker.run(&["cp", &text(&here.join("file")), "evil:/swap/turn/"]);
    }
    assert!(copied > 0, "some met the folder");
    assert_eq!(std::fs::read_to_string(secret.join("file")).expect("secret"), "the host's", "written to the host");
    assert_eq!(std::fs::read_dir(&secret).expect("secret").count(), 1);
}

#[test]
fn a_hostile_archive_touches_the_container_alone() {
    let docker = Docker::start();
    docker.ok(&["create", "--name", "box", "busybox", "true"]);
    let folder = tempfile::tempdir().expect("folder");
    let script = r#"
import io, sys, tarfile
out = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT)
def add(name, kind=tarfile.REGTYPE, data=b"", link=""):
    info = tarfile.TarInfo(name); info.type = kind; info.size = len(data); info.linkname = link
    out.addfile(info, io.BytesIO(data))
for line in sys.argv[2:]:
    name, kind, link = line.split(":")
    add(name, {"f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}[kind], b"evil" if kind == "f" else b"", link)
out.close()
"#;
    let tar = |entries: &[&str]| {
        let path = folder.path().join("tar");
        let made = Command::new("python3").arg("-c").arg(script).arg(&path).args(entries).status().expect("python3");
        assert!(made.success());
        std::fs::read(&path).expect("tar")
    };
    for climbing in ["../../evil:f:", "a/../../../evil:f:", "x:h:../../../etc/passwd"] {
        let ended = docker.run_with(&["cp", "-", "box:/tmp"], &tar(&[climbing]));
        assert_eq!(ended.code, 1, "{climbing}");
        assert!(ended.stderr.contains("leads out of the folder"), "{}", ended.stderr);
    }
    // A link out of the container is one inside of it, for the entries behind it too.
    let target = folder.path().join("out");
    std::fs::create_dir(&target).expect("out");
    let link = format!("way:l:{}", text(&target));
    docker.run_with(&["cp", "-", "box:/tmp"], &tar(&[&link, "way/evil:f:"]));
    let link = format!("up:l:../../../../../../../..{}", text(&target));
    docker.run_with(&["cp", "-", "box:/tmp"], &tar(&[&link, "up/evil:f:"]));
    assert_eq!(std::fs::read_dir(&target).expect("out").count(), 0);
    for broken in [&b"no tar at all, but long enough to be looked at as the header of one"[..], &[0xff; 2048]] {
        assert_eq!(docker.run_with(&["cp", "-", "box:/tmp"], &broken.repeat(9)).code, 1);
    }
}

#[test]
fn what_a_container_changed_is_listed_committed_and_runs() {
    for storage in BOTH {
        let docker = Docker::start_on(storage);
        docker.ok(&["load", "-q", "-i", &text(&sampan_tests::images::archive("deep"))]);
        docker.ok(&["create", "--name", "deepest", "deep", "true"]);
        let said = docker.fails(&["commit", "deepest"], 1);
        assert!(said.contains("127 layers already"), "{said}");
        docker.ok(&["create", "--name", "new", "busybox", "true"]);
        assert_eq!(docker.ok(&["diff", "new"]), "", "{storage}: nothing ran");
        docker.ok(&["run", "--name", "base", "busybox", "sh", "-c", "mkdir -p /deep/126; touch /deep/1 /deep/126/x"]);
        docker.ok(&["commit", "base", "layered"]);
        let script = "rm -r /deep; mkdir /deep; echo 1 >/deep/only; echo x >/a; ln /a /b; ln -s a /c; mkfifo /p; chmod 700 /tmp; \
            rm /etc/passwd; echo hi >/data/volume; truncate -s 200M /sparse; echo end >>/sparse; sleep 1000";
        docker.ok(&[
            "run",
            "-d",
            "--name",
            "box",
            "-v",
            "/data",
            "-e",
            "WHO=me",
            "-p",
            "81",
            "--entrypoint",
            "sh",
            "layered",
            "-c",
            script,
        ]);
        docker.until("it changed all", |docker| docker.run(&["exec", "box", "test", "-s", "/sparse"]).code == 0);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let listed = docker.ok(&["diff", "box"]);
        for line in [
            "A /a",
            "A /b",
            "A /c",
            "A /p",
            "A /deep/only",
            "D /deep/1",
            "D /deep/126",
            "D /etc/passwd",
            "C /etc",
            "C /tmp",
            "C /deep",
        ] {
            assert!(listed.lines().any(|other| other == line), "{storage}: {line} in {listed}");
        }
        assert!(!listed.contains("volume") && !listed.contains("hosts"), "{listed}");

        let id = docker.ok(&[
            "commit",
            "-a",
            "Ann",
            "-m",
            "a remark",
            "-c",
            "CMD [\"-c\", \"cat /a\"]",
            "-c",
            "ENV MORE=\"two words\"",
            "-c",
            "LABEL tier=front",
            "box",
            "made:1",
        ]);
        assert_eq!(docker.ok(&["inspect", "--format", "{{.State.Status}}", "box"]), "running");
        assert_eq!(docker.ok(&["exec", "box", "echo", "on"]), "on", "it goes on");
        assert_eq!(docker.ok(&["image", "inspect", "--format", "{{.Id}}", "made:1"]), id);
        assert_eq!(docker.ok(&["run", "--rm", "made:1"]), "x");
        let look = "ls /deep; stat -c '%h' /a; stat -c '%a' /a /tmp; readlink /c; test -p /p && echo pipe; cat /etc/passwd 2>&1; \
            stat -c '%s' /sparse; tail -c 4 /sparse; ls -A /data; echo $WHO $MORE";
        let shown = docker.ok(&["run", "--rm", "made:1", "-c", look]);
        let wanted = "only\n2\n644\n700\na\npipe\ncat: can't open '/etc/passwd': No such file or directory\n209715204\nend\nme two words";
        assert_eq!(shown, wanted, "{storage}");
        let size: u64 = docker.ok(&["image", "inspect", "--format", "{{.Size}}", "made:1"]).parse().expect("bytes");
        assert!(size < 100 << 20, "{size}: a hole is none of its bytes");
        assert_eq!(
            docker.ok(&["image", "inspect", "--format", "{{.Author}} {{.Comment}} {{.Config.Labels.tier}}", "made:1"]),
            "Ann a remark front"
        );
        assert_eq!(docker.ok(&["history", "--format", "{{.Comment}}", "made:1"]).lines().next(), Some("a remark"));
        // One of a container that changed nothing has no further layer.
        docker.ok(&["commit", "new", "same"]);
        let layers = |name| docker.ok(&["image", "inspect", "--format", "{{len .RootFS.Layers}}", name]);
        assert_eq!(layers("same"), layers("busybox"));
        let said = docker.fails(&["commit", "-c", "RUN true", "box", "no"], 1);
        assert!(said.contains("RUN is not a valid change command"), "{said}");
        docker.fails(&["image", "inspect", "no"], 1);
    }
}

#[test]
fn a_container_is_exported_and_imported_as_an_image() {
    for storage in BOTH {
        let docker = Docker::start_on(storage);
        docker.ok(&[
            "run",
            "--name",
            "box",
            "-v",
            "/data",
            "busybox",
            "sh",
            "-c",
            "echo made >/made; echo kept >/data/kept",
        ]);
        let tar = bytes(&docker, &["export", "box"]);
        let list = names(&tar);
        assert!(list.contains(&"made".to_owned()) && list.contains(&"bin/busybox".to_owned()), "{list:?}");
        assert!(!list.iter().any(|name| name.contains("kept")), "volumes stay out");
        let ended = docker.run_with(
            &["import", "-m", "from afar", "-c", "CMD [\"cat\", \"/made\"]", "-c", "ENV A=b", "-", "flat:1"],
            &tar,
        );
        assert_eq!(ended.code, 0, "{ended:?}");
        let id = docker.ok(&["image", "inspect", "--format", "{{.Id}}", "flat:1"]);
        assert_eq!(ended.stdout.trim(), id);
        assert_eq!(docker.ok(&["run", "--rm", "flat:1"]), "made", "{storage}");
        assert_eq!(docker.ok(&["history", "--format", "{{.Comment}}", "flat:1"]), "from afar");
        let mut packed =
            Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
        let mut stdin = packed.stdin.take().expect("stdin");
        let copy = tar.clone();
        let writing = std::thread::spawn(move || stdin.write_all(&copy));
        let packed = packed.wait_with_output().expect("gzip").stdout;
        writing.join().expect("writer").expect("gzip takes all");
        assert_eq!(docker.run_with(&["import", "-", "packed"], &packed).code, 0);
        let layers = |name| docker.ok(&["image", "inspect", "--format", "{{.RootFS.Layers}}", name]);
        assert_eq!(layers("packed"), layers("flat:1"), "the same layer");
        let said = docker.run_with(&["import", "-", "broken"], &tar[..tar.len() / 2]);
        assert_eq!(said.code, 1, "{said:?}");
        docker.fails(&["image", "inspect", "broken"], 1);
        let said = docker.fails(&["import", "http://nowhere.example/x.tar"], 1);
        assert!(said.contains("importing from an address is not offered"), "{said}");
    }
}

/// What a container's own layer has of them goes with it: commit, save, and load elsewhere.
#[test]
fn capabilities_attributes_and_device_nodes_survive_commit_save_and_load() {
    let (docker, other) = (Docker::start(), Docker::start_empty());
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| text(&folder.path().join(name));
    docker.ok(&["create", "--name", "base", "busybox", "true"]);
    docker.ok(&["export", "-o", &path("base.tar"), "base"]);
    // Beside busybox: a program that may ping (cap_net_raw=ep, revision 2), a file with an attribute, /dev/null's twin.
    let add = r#"
import io, struct, sys, tarfile
with tarfile.open(sys.argv[1], "a", format=tarfile.PAX_FORMAT) as tar:
    def put(name, kind=tarfile.REGTYPE, data=b"", **headers):
        entry = tarfile.TarInfo(name); entry.type = kind; entry.mode = 0o755; entry.size = len(data)
        entry.devmajor, entry.devminor = (1, 3) if kind == tarfile.CHRTYPE else (0, 0)
        entry.pax_headers = {"SCHILY.xattr." + key.replace("__", "."): value.decode("utf-8", "surrogateescape") for key, value in headers.items()}
        tar.addfile(entry, io.BytesIO(data))
    put("odd/ping", data=b"ping", security__capability=struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    put("odd/note", data=b"note", user__note=b"hello")
    put("odd/null", kind=tarfile.CHRTYPE)
"#;
    python(add, &[&path("base.tar")]);
    docker.ok(&["import", &path("base.tar"), "odd:1"]);
    // Moved, so that they are the container's own.
    let moves = "cd /odd; for one in *; do mv $one moved-$one; done";
    docker.ok(&["run", "--name", "mover", "--network", "none", "odd:1", "sh", "-c", moves]);
    docker.ok(&["commit", "mover", "odd:2"]);
    docker.ok(&["save", "-o", &path("odd.tar"), "odd:2"]);
    let id = docker.ok(&["image", "inspect", "-f", "{{.Id}}", "odd:2"]);
    other.ok(&["load", "-q", "-i", &path("odd.tar")]);
    assert_eq!(other.ok(&["image", "inspect", "-f", "{{.Id}}", "odd:2"]), id);
    other.ok(&["create", "--name", "box", "odd:2", "true"]);
    other.ok(&["export", "-o", &path("back.tar"), "box"]);
    let look = r#"
import sys, tarfile
for entry in tarfile.open(sys.argv[1]):
    if entry.name.startswith("odd/") and not entry.isdir():
        attributes = {key[13:]: value.encode("utf-8", "surrogateescape").hex() for key, value in sorted(entry.pax_headers.items()) if key.startswith("SCHILY.xattr.")}
        print(entry.name, entry.type.decode(), entry.devmajor, entry.devminor, attributes)
"#;
    let mut found: Vec<String> = python(look, &[&path("back.tar")]).lines().map(str::to_owned).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "odd/moved-note 0 0 0 {'user.note': '68656c6c6f'}",
            "odd/moved-null 3 1 3 {}",
            "odd/moved-ping 0 0 0 {'security.capability': '0100000200200000000000000000000000000000'}",
        ]
    );
}

fn python(program: &str, arguments: &[&str]) -> String {
    let ended = std::process::Command::new("python3").arg("-c").arg(program).args(arguments).output().expect("python3");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text")
}

#[test]
fn events_tell_of_files() {
    let docker = Docker::start();
    docker.ok(&["create", "--name", "box", "busybox", "true"]);
    let folder = tempfile::tempdir().expect("folder");
    docker.ok(&["cp", "box:/etc", &text(folder.path())]);
    docker.ok(&["cp", &text(folder.path()), "box:/tmp"]);
    bytes(&docker, &["export", "box"]);
    docker.ok(&["commit", "box", "made"]);
    bytes(&docker, &["save", "made"]);
    let told = docker.ok(&["events", "--since", "1", "--until", &soon(), "--format", "{{.Type}} {{.Action}}"]);
    for line in
        ["container archive-path", "container extract-to-dir", "container export", "container commit", "image save"]
    {
        assert!(told.lines().any(|other| other == line), "{line} in {told}");
    }
}

/// What nobody waits for ends, and a container can be started while its files are copied.
#[test]
fn a_copy_ends_with_its_client_and_is_in_nobodys_way() {
    use std::io::Read;
    let mut docker = Docker::start();
    docker.ok(&[
        "run",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "test -e /big || dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; echo run >>/runs; wc -l </runs",
    ]);
    let mut child = docker.command(&["cp", "box:/big", "-"]).stdout(Stdio::piped()).spawn().expect("docker");
    let mut stdout = child.stdout.take().expect("stdout");
    stdout.read_exact(&mut [0; 4096]).expect("a beginning");
    // Over the same writable layer, while the copy stands still.
    assert_eq!(docker.ok(&["start", "-a", "box"]), "2");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    assert!(child.wait().expect("wait").success());
    assert!(rest.len() + 4096 > 64 << 20, "{}", rest.len());
    assert_eq!(docker.ok(&["start", "-a", "box"]), "3");

    let mut child = docker.command(&["export", "box"]).stdout(Stdio::piped()).spawn().expect("docker");
    let mut stdout = child.stdout.take().expect("stdout");
    stdout.read_exact(&mut [0; 512]).expect("a beginning");
    // Cradles bear spawner's name as well; they have no children of that kind.
    let spawners = docker.server().helpers("spawner");
    let children = || -> String {
        let of = |pid| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        spawners.iter().map(of).collect()
    };
    assert!(!children().trim().is_empty());
    child.kill().expect("kill");
    child.wait().expect("wait");
    docker.until("its child is gone", |_| children().trim().is_empty());
    // A server that is killed takes them along as well.
    let mut child = docker.command(&["export", "box"]).stdout(Stdio::piped()).spawn().expect("docker");
    let mut stdout = child.stdout.take().expect("stdout");
    stdout.read_exact(&mut [0; 512]).expect("a beginning");
    assert!(!children().trim().is_empty());
    docker.again_on("erofs");
    docker.until("its child is gone", |_| children().trim().is_empty());
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// Nothing half made is left by a server that is killed in the middle of a commit or an import.
#[test]
fn a_killed_server_leaves_no_half_made_image_and_no_container_standing_still() {
    let mut docker = Docker::start();
    docker.ok(&[
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "dd if=/dev/urandom of=/big bs=1M count=200 2>/dev/null; echo ok >/ready; sleep 1000",
    ]);
    docker.until("it is ready", |docker| docker.run(&["exec", "box", "test", "-e", "/ready"]).code == 0);
    let images = docker.ok(&["images", "-aq"]);
    let files = |docker: &mut Docker| {
        let root = docker.server().data_root();
        let count = |folder: &str| std::fs::read_dir(root.join(folder)).map(|list| list.count()).unwrap_or_default();
        (count("layers"), count("layers/tmp"), count("layers/merged"))
    };
    let before = files(&mut docker);
    for pause_ms in [30, 150, 400] {
        let mut child = docker.command(&["commit", "box", "half"]).spawn().expect("docker");
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        docker.server().signal(nix::sys::signal::Signal::SIGKILL);
        // Before the next server is there, which it would ask as well.
        child.kill().expect("kill");
        child.wait().expect("wait");
        docker.server().again_on("erofs");
        if docker.run(&["image", "inspect", "half"]).code == 0 {
            // It was quicker.
            docker.ok(&["rmi", "half"]);
        }
        docker.until("its processes go on", |docker| docker.run(&["exec", "box", "true"]).code == 0);
        assert_eq!(docker.ok(&["images", "-aq"]), images);
    }
    let mut child = docker.command(&["import", "-", "half"]).stdin(Stdio::piped()).spawn().expect("docker");
    let mut stdin = child.stdin.take().expect("stdin");
    let tar = std::fs::read(sampan_tests::images::busybox()).expect("a tar");
    stdin.write_all(&tar[..tar.len() / 2]).expect("half of it");
    docker.again_on("erofs");
    drop(stdin);
    child.wait().expect("wait");
    assert_eq!(docker.ok(&["images", "-aq"]), images);
    for _ in 0..100 {
        // The sweep comes behind the start.
        if files(&mut docker) == before {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(files(&mut docker), before, "layers, unfinished, merged");
}

/// Many files and a large one go through every way, and the server's memory stays what it was.
#[test]
fn many_files_and_a_large_one_take_no_memory_of_the_server() {
    let mut docker = Docker::start();
    let script = "mkdir /many; cd /many; for i in $(seq 100); do mkdir $i; cd $i; touch $(seq 1000); cd ..; done; \
        dd if=/dev/urandom of=/piece bs=1M count=8 2>/dev/null; for i in $(seq 128); do cat /piece; done >/large; rm /piece";
    // As long as it takes.
    let made = docker.command(&["run", "--name", "box", "busybox", "sh", "-c", script]).status().expect("docker");
    assert!(made.success());
    let pid = docker.server().pid();
    let most = |begin: bool| {
        if begin {
            std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("clear_refs");
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") >> 10
    };
    let folder = tempfile::tempdir().expect("folder");
    let file = text(&folder.path().join("tar"));
    for (what, script) in [
        ("cp out", "docker cp box:/large - | wc -c"),
        ("cp of many", "docker cp box:/many - | tar -t | wc -l"),
        ("diff", "docker diff box | wc -l"),
        ("export", "docker export box | tee $FILE | wc -c"),
        ("cp in", "docker create --name other busybox true && docker cp - other:/tmp <$FILE && echo done"),
        ("commit", "docker commit box made"),
        ("save", "docker save made | wc -c"),
        ("import", "docker import - flat <$FILE"),
    ] {
        let before = most(true);
        let begun = std::time::Instant::now();
        let ended = Command::new("bash")
            .args(["-ec", &format!("set -o pipefail; {script}")])
            .env("DOCKER_HOST", format!("unix://{}", docker.socket()))
            .env("FILE", &file)
            .output()
            .expect("bash");
        assert!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&ended.stderr));
        let after = most(false);
        eprintln!("{what}: {:.1} s, {before} to {after} MiB", begun.elapsed().as_secs_f64());
        assert!(after < before + 64, "{what}: {before} to {after} MiB");
    }
    assert_eq!(
        docker.ok(&["run", "--rm", "made", "sh", "-c", "find /many -type f | wc -l; wc -c </large"]),
        "100000\n1073741824"
    );
}
