//! Host folders that an administrator granted a team.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sampan_tests::client::{admin, ask, token};

use super::docker::{Docker, Ended, end};

/// The first host id of the team `default`: each instance takes a row of ranges that nobody else has.
fn first_id(docker: &Docker) -> u32 {
    let map = docker.ok(&["run", "--rm", "--network", "none", "busybox", "awk", "{ print $2 }", "/proc/self/uid_map"]);
    map.parse().expect("a host id")
}

/// The docker CLI as a process of a team's range: with its own copy of the program, since it cannot enter root's home.
struct Team {
    uid: u32,
    own: tempfile::TempDir,
}

impl Team {
    fn new(docker: &Docker, uid: u32) -> Self {
        let own = tempfile::Builder::new().prefix("sampan-team-").tempdir().expect("folder");
        std::fs::set_permissions(own.path(), PermissionsExt::from_mode(0o755)).expect("open to the team");
        let path = std::env::var_os("PATH").expect("PATH");
        let program =
            std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|program| program.is_file());
        std::fs::copy(program.expect("docker is on PATH"), own.path().join("docker")).expect("a copy of docker");
        std::fs::hard_link(docker.socket(), own.path().join("docker.sock"))
            .expect("the socket where it can be reached");
        Self { uid, own }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={}", self.uid), format!("--regid={}", self.uid), "--clear-groups".to_owned()]);
        command.arg(self.own.path().join("docker"));
        command.arg("-H").arg(format!("unix://{}", self.own.path().join("docker.sock").display())).args(arguments);
        command.env_clear().env("HOME", self.own.path()).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("setpriv");
        end(child, arguments)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "docker {arguments:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout.trim_end_matches('\n').to_owned()
    }

    /// Must be refused with these words.
    fn refused(&self, arguments: &[&str], words: &str) {
        let ended = self.run(arguments);
        assert_ne!(ended.code, 0, "docker {arguments:?}: {}", ended.stdout);
        assert!(ended.stderr.contains(words), "docker {arguments:?}: {}", ended.stderr);
    }

    /// `docker run` of a shell with one mount.
    fn sh(&self, mount: &str, line: &str) -> Ended {
        self.run(&["run", "--rm", "--network", "none", "-v", mount, "busybox", "sh", "-c", line])
    }
}

/// A folder on the host that anybody may enter, with `shared` in it, and something beside.
struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    /// Shared by a team whose first host id is `base`.
    fn new(base: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("sampan-host-").tempdir().expect("folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("open to all");
        let host = Self { folder };
        for name in ["shared", "shared/deeper", "beside"] {
            std::fs::create_dir(host.path(name)).expect("folder");
        }
        for name in ["shared", "shared/deeper"] {
            chown(host.path(name), Some(base), Some(base)).expect("the team's");
        }
        std::fs::write(host.path("shared/seen"), "seen").expect("file");
        std::fs::write(host.path("beside/secret"), "secret").expect("file");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    fn grant(&self, docker: &Docker, name: &str, more: &[&str]) {
        let path = self.text(name);
        let arguments = [&["grant-folder", "default", &path], more].concat();
        admin(docker.server_ref(), &arguments, "");
    }
}

fn owner(path: &Path) -> (u32, u32, u32) {
    let found = std::fs::symlink_metadata(path).expect("made");
    (found.uid(), found.gid(), found.permissions().mode() & 0o7777)
}

#[test]
fn a_granted_folder_is_the_teams_with_its_own_ids_and_for_no_other_team() {
    let docker = Docker::start();
    let base = first_id(&docker);
    let (host, team) = (Host::new(base), Team::new(&docker, base));
    let shared = host.text("shared");
    let line = format!("sampan admin grant-folder default {shared}");
    team.refused(&["create", "-v", &format!("{shared}:/x"), "busybox"], &line);
    team.refused(&["create", "-v", "/:/x", "busybox"], "for an administrator only");
    std::fs::write(host.path("shared/roots"), "roots").expect("file");
    std::fs::set_permissions(host.path("shared/roots"), PermissionsExt::from_mode(0o600)).expect("closed");
    host.grant(&docker, "shared", &[]);

    // Container root is the team's first host id there: it uses host root's files as anybody, and its own are the team's.
    let mount = format!("{shared}:/x");
    let used = team.sh(
        &mount,
        "cat /x/seen; stat -c ' %u' /x/seen; cat /x/roots 2>/dev/null || echo closed; chown 0 /x/seen 2>/dev/null || \
         echo not mine; cp /bin/busybox /x/setuid; chmod 4755 /x/setuid; chown 7:8 /x/setuid; chmod 6755 /x/setuid; \
         cp /bin/busybox /x/roots-to-be; chmod 4755 /x/roots-to-be; mknod /x/null c 1 3 2>/dev/null || echo no node; \
         grep ' /x ' /proc/self/mountinfo | cut -d ' ' -f 6",
    );
    assert_eq!(used.code, 0, "{}", used.stderr);
    let words = "seen 65534\nclosed\nnot mine\nno node\n";
    let options = used.stdout.strip_prefix(words).unwrap_or_else(|| panic!("{}", used.stdout));
    assert!(options.contains("rw") && options.contains("nosuid") && options.contains("nodev"), "{options}");
    assert_eq!(owner(&host.path("shared/setuid")), (base + 7, base + 8, 0o6755));
    assert_eq!(owner(&host.path("shared/roots-to-be")), (base, base, 0o4755));
    assert_eq!(owner(&host.path("shared/seen")), (0, 0, 0o644));

    // What lies beneath is granted too, nothing else, and what is missing is not made.
    assert_eq!(team.sh(&format!("{shared}/deeper:/x:ro"), "touch /x/a 2>/dev/null || echo not").stdout, "not\n");
    team.refused(&["create", "-v", &format!("{shared}/../beside:/x"), "busybox"], "for an administrator only");
    team.refused(&["create", "-v", &format!("{shared}-other:/x"), "busybox"], "for an administrator only");
    team.refused(&["create", "-v", &format!("{shared}/missing:/x"), "busybox"], "bind source path does not exist");
    assert!(!host.path("shared/missing").exists());
    let propagated = format!("type=bind,source={shared},target=/x,bind-propagation=rshared");
    team.refused(&["create", "--mount", &propagated, "busybox"], "with mounts that propagate");

    // Only to read.
    host.grant(&docker, "beside", &["--read-only"]);
    let beside = host.text("beside");
    team.refused(&["create", "-v", &format!("{beside}:/x"), "busybox"], "only to read");
    let read = team.sh(&format!("{beside}:/x:ro"), "cat /x/secret; touch /x/a 2>/dev/null || echo ' not'");
    assert_eq!(read.stdout, "secret not\n");

    // Another team has nothing of it, and an administrator's bind is the host root's as before.
    admin(docker.server_ref(), &["create-team", "red"], "");
    let red = Team::new(&docker, base + 65_536);
    red.refused(&["create", "-v", &mount, "busybox"], "the team red was not granted it");
    let roots = format!("{beside}:/x");
    docker.ok(&["run", "--rm", "--network", "none", "-v", &roots, "busybox", "touch", "/x/administrators"]);
    assert_eq!(owner(&host.path("beside/administrators")).0, 0);
}

#[test]
fn nothing_leads_out_of_a_granted_folder() {
    let docker = Docker::start();
    let base = first_id(&docker);
    let (host, team) = (Host::new(base), Team::new(&docker, base));
    host.grant(&docker, "shared", &[]);
    let of = |name: &str| format!("{}/{name}:/x", host.text("shared"));
    for (name, target) in [("far", "/etc"), ("near", "../beside"), ("magic", "/proc/self/root")] {
        symlink(target, host.path("shared").join(name)).expect("link");
        team.refused(&["create", "-v", &of(name), "busybox"], "leads out of the folder");
        team.refused(&["create", "-v", &of(&format!("{name}/.")), "busybox"], "leads out of the folder");
    }
    symlink("deeper", host.path("shared/within")).expect("link");
    assert_eq!(team.sh(&of("within"), "touch /x/a && echo made").stdout, "made\n");
    assert!(host.path("shared/deeper/a").exists());

    // Swapped between create and start: by a link in the place of what was there, and of the granted folder itself.
    team.ok(&["create", "--name", "web", "--network", "none", "-v", &of("deeper"), "busybox", "true"]);
    team.ok(&["start", "-a", "web"]);
    std::fs::rename(host.path("shared/deeper"), host.path("shared/away")).expect("away");
    symlink("/etc", host.path("shared/deeper")).expect("link");
    team.refused(&["start", "web"], "leads out of the folder");
    std::fs::remove_file(host.path("shared/deeper")).expect("link");
    std::fs::rename(host.path("shared/away"), host.path("shared/deeper")).expect("back");
    team.ok(&["start", "-a", "web"]);
    std::fs::rename(host.path("shared"), host.path("moved")).expect("away");
    symlink("moved", host.path("shared")).expect("link");
    team.refused(&["start", "web"], "is or lies behind a symbolic link");
}

#[test]
fn a_revoked_folder_is_gone_with_the_next_start() {
    let docker = Docker::start();
    let base = first_id(&docker);
    let (host, team) = (Host::new(base), Team::new(&docker, base));
    let server = docker.server_ref();
    admin(server, &["create-user", "root", "--admin", "--password-stdin"], "correct horse");
    admin(server, &["add-member", "default", "root", "owner"], "");
    let root = admin(server, &["create-token", "root", "--team", "default"], "");
    let amber = token(server, "amber", "default", "owner");
    let shared = host.text("shared");
    let body = format!(r#"{{"path":"{shared}"}}"#);
    let folders = "/api/v1/teams/default/folders";
    assert_eq!(ask(server, "POST", folders, &amber, body.as_bytes()).0, 403);
    assert_eq!(ask(server, "POST", folders, &root, body.as_bytes()).0, 204);
    assert_eq!(ask(server, "GET", folders, &amber, b"").1["items"][0]["path"], shared.as_str());
    let mount = format!("{shared}:/x");
    team.ok(&["run", "-d", "--name", "web", "--restart", "always", "-v", &mount, "busybox", "sleep", "1000"]);
    team.ok(&["create", "--name", "other", "-v", &mount, "busybox", "true"]);

    let revoked = ask(server, "DELETE", &format!("{folders}?path={shared}"), &root, b"");
    assert_eq!(revoked.0, 204, "{}", revoked.1);
    assert_eq!(ask(server, "DELETE", &format!("{folders}?path={shared}"), &root, b"").0, 404);
    assert_eq!(team.ok(&["exec", "web", "cat", "/x/seen"]), "seen", "what runs keeps it");
    team.refused(&["start", "other"], "is not granted the host's");
    // Its policy would start it again, without the server.
    let pid = docker.inspect("web", ".State.Pid").as_i64().expect("a pid");
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL).expect("kill");
    docker.until("the restart is refused", |docker| {
        docker.inspect("web", ".State.Error").as_str().is_some_and(|error| error.contains("is not granted the host's"))
    });
    assert_eq!(docker.inspect("web", ".State.Pid"), 0);

    admin(server, &["grant-folder", "default", &shared], "");
    team.ok(&["start", "-a", "other"]);
    let trail = ask(server, "GET", "/api/v1/audit", &amber, b"").1;
    let acts: Vec<&str> = trail["items"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| entry["noun"] == "host folder" && entry["target"] == shared.as_str())
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    assert_eq!(acts, ["create", "remove", "create"]);
}
