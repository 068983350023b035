//! The registry and real clients: skopeo, crane, oras, cosign, podman, buildah, over plain HTTP and over TLS with the local authority.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::path::Path;
use std::process::{Command, Output};

use sampan_tests::client::{admin, docker_ok, token};
use sampan_tests::images;
use sampan_tests::registry::Client;
use sampan_tests::server::Server;
use serde_json::Value;

/// Runs a client with its settings in a folder of its own; what it says.
fn run(home: &Path, program: &str, arguments: &[&str]) -> String {
    let ended = ended(home, program, arguments);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(ended.stdout).unwrap().trim_end().to_owned()
}

fn ended(home: &Path, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "120", program]).args(arguments).env("HOME", home).env("DOCKER_CONFIG", home);
    command.env("REGISTRY_AUTH_FILE", home.join("config.json")).env("XDG_RUNTIME_DIR", home).env("COSIGN_PASSWORD", "");
    command.env("SSL_CERT_FILE", home.join("ca.pem")).current_dir(home);
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn house() -> (Server, String, tempfile::TempDir) {
    let server = Server::start_encrypted();
    let secret = token(&server, "amber", "default", "owner");
    let home = tempfile::tempdir().unwrap();
    let ca = Command::new(sampan_tests::server::program())
        .args(["admin", "ca", "--data-root"])
        .arg(server.data_root())
        .output()
        .unwrap();
    assert!(ca.status.success(), "{ca:?}");
    std::fs::write(home.path().join("ca.pem"), &ca.stdout).unwrap();
    std::fs::create_dir(home.path().join("certs")).unwrap();
    std::fs::write(home.path().join("certs/ca.crt"), &ca.stdout).unwrap();
    (server, secret, home)
}

#[test]
fn skopeo_pushes_and_pulls_over_both_addresses() {
    let (server, secret, home) = house();
    let home = home.path();
    let busybox = format!("docker-archive:{}", images::busybox().display());
    let login = format!("amber:{secret}");
    let certs = home.join("certs").display().to_string();
    for (host, tls) in [(server.http(), "false"), (server.https(), "true")] {
        let image = format!("docker://{host}/default/skopeo/{tls}:1");
        let dest = format!("--dest-tls-verify={tls}");
        run(home, "skopeo", &["copy", &dest, "--dest-cert-dir", &certs, "--dest-creds", &login, &busybox, &image]);
        let layout = format!("oci:{}:1", home.join(tls).display());
        let src = format!("--src-tls-verify={tls}");
        run(home, "skopeo", &["copy", &src, "--src-cert-dir", &certs, "--src-creds", &login, &image, &layout]);
        let verify = format!("--tls-verify={tls}");
        let repository = image.rsplit_once(':').unwrap().0;
        let tags = run(home, "skopeo", &["list-tags", &verify, "--cert-dir", &certs, "--creds", &login, repository]);
        assert_eq!(serde_json::from_str::<Value>(&tags).unwrap()["Tags"], serde_json::json!(["1"]));
        // A second push copies nothing and mounts what the other repository has.
        run(
            home,
            "skopeo",
            &[
                "copy",
                &src,
                &dest,
                "--src-cert-dir",
                &certs,
                "--dest-cert-dir",
                &certs,
                "--src-creds",
                &login,
                "--dest-creds",
                &login,
                &image,
                &format!("{repository}/again:1"),
            ],
        );
        run(
            home,
            "skopeo",
            &["delete", &verify, "--cert-dir", &certs, "--creds", &login, &format!("{repository}/again:1")],
        );
        let wrong =
            ended(home, "skopeo", &["inspect", &verify, "--cert-dir", &certs, "--creds", "amber:spn_wrong", &image]);
        assert!(!wrong.status.success());
    }
    // Without the authority nobody trusts us.
    let image = format!("docker://{}/default/skopeo/true:1", server.https());
    let empty = home.join("none");
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(home.join("ca.pem"), "").unwrap();
    let ended =
        ended(home, "skopeo", &["inspect", "--cert-dir", &empty.display().to_string(), "--creds", &login, &image]);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("certificate"), "{ended:?}");
}

#[test]
fn crane_logs_in_pushes_copies_lists_and_deletes() {
    let (server, secret, home) = house();
    let home = home.path();
    let host = server.https().to_string();
    run(home, "crane", &["auth", "login", &host, "-u", "amber", "-p", &secret]);
    let busybox = images::busybox().display().to_string();
    let image = format!("{host}/default/crane:1");
    run(home, "crane", &["push", &busybox, &image]);
    let digest = run(home, "crane", &["digest", &image]);
    run(home, "crane", &["copy", &image, &format!("{host}/default/copied:1")]);
    run(home, "crane", &["tag", &image, "2"]);
    assert_eq!(run(home, "crane", &["ls", &format!("{host}/default/crane")]), "1\n2");
    assert_eq!(run(home, "crane", &["catalog", &host]), "default/copied\ndefault/crane");
    run(
        home,
        "crane",
        &["pull", &format!("{host}/default/copied@{digest}"), &home.join("pulled.tar").display().to_string()],
    );
    run(home, "crane", &["validate", "--remote", &image]);
    run(home, "crane", &["delete", &format!("{host}/default/crane@{digest}")]);
    assert!(!ended(home, "crane", &["digest", &image]).status.success());
}

#[test]
fn oras_pushes_artifacts_and_finds_what_is_about_them() {
    let (server, secret, home) = house();
    let home = home.path();
    let host = server.http().to_string();
    run(home, "oras", &["login", "--plain-http", "-u", "amber", "-p", &secret, &host]);
    std::fs::write(home.join("hello.txt"), "hello").unwrap();
    std::fs::write(home.join("sbom.json"), "{}").unwrap();
    let artifact = format!("{host}/default/artifact:1");
    run(
        home,
        "oras",
        &["push", "--plain-http", "--artifact-type", "application/vnd.test", &artifact, "hello.txt:text/plain"],
    );
    run(home, "oras", &["attach", "--plain-http", "--artifact-type", "application/vnd.sbom", &artifact, "sbom.json"]);
    let found = run(home, "oras", &["discover", "--plain-http", "--format", "json", &artifact]);
    assert!(found.contains("application/vnd.sbom"), "{found}");
    // It asked the registry for referrers and made no tag of its own for them.
    let amber = Client::basic(&server, "amber", &secret);
    assert_eq!(amber.get("/v2/default/artifact/tags/list").json()["tags"], serde_json::json!(["1"]));
    std::fs::remove_file(home.join("hello.txt")).unwrap();
    run(home, "oras", &["pull", "--plain-http", &artifact]);
    assert_eq!(std::fs::read_to_string(home.join("hello.txt")).unwrap(), "hello");
    run(home, "oras", &["manifest", "delete", "--plain-http", "--force", &artifact]);
}

#[test]
fn cosign_signs_and_verifies_with_a_local_key() {
    let (server, secret, home) = house();
    let home = home.path();
    let host = server.https().to_string();
    run(home, "crane", &["auth", "login", &host, "-u", "amber", "-p", &secret]);
    let image = format!("{host}/default/signed:1");
    run(home, "crane", &["push", &images::busybox().display().to_string(), &image]);
    let digest = run(home, "crane", &["digest", &image]);
    run(home, "cosign", &["generate-key-pair"]);
    let by_digest = format!("{host}/default/signed@{digest}");
    // Without the public log, which is not in reach of a test.
    run(
        home,
        "cosign",
        &["sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", &by_digest],
    );
    run(home, "cosign", &["verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", &by_digest]);
}

/// With stores of their own, as plain folders: no other user of this host is touched.
fn stored(home: &Path, program: &str, arguments: &[&str]) -> Output {
    let (root, run) = (home.join("store").display().to_string(), home.join("run").display().to_string());
    let own = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
    ended(home, program, &[&own, arguments].concat())
}

#[test]
fn podman_and_buildah_log_in_push_pull_and_build_over_tls() {
    let (server, secret, home) = house();
    let home = home.path();
    let certs = home.join("certs").display().to_string();
    let host = server.https().to_string();
    let ok = |program: &str, arguments: &[&str]| {
        let ended = stored(home, program, arguments);
        assert!(ended.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap().trim_end().to_owned()
    };
    let login = |program: &str, secret: &str| {
        stored(home, program, &["login", "--cert-dir", &certs, "-u", "amber", "-p", secret, &host]).status.success()
    };
    assert!(!login("podman", "spn_wrong"));
    assert!(login("podman", &secret));
    let image = format!("{host}/default/podman:1");
    // Which registry a short name belongs to is its own matter.
    let loaded = ok("podman", &["load", "-q", "-i", images::busybox().to_str().unwrap()]);
    ok("podman", &["tag", loaded.rsplit(' ').next().unwrap(), &image]);
    // The authority is told by the folder; without it nobody is trusted, whatever name is shown.
    let empty = home.join("none");
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(home.join("ca.pem"), "").unwrap();
    assert!(!stored(home, "podman", &["push", "--cert-dir", empty.to_str().unwrap(), &image]).status.success());
    ok("podman", &["push", "-q", "--cert-dir", &certs, &image]);
    let id = ok("podman", &["image", "inspect", "-f", "{{.Id}}", &image]);
    ok("podman", &["rmi", "-af"]);
    assert_eq!(ok("podman", &["pull", "-q", "--cert-dir", &certs, &image]), id);

    assert!(login("buildah", &secret));
    let made = ok("buildah", &["from", "-q", "--cert-dir", &certs, &image]);
    std::fs::write(home.join("hello"), "made by buildah\n").unwrap();
    ok("buildah", &["copy", "-q", &made, "hello", "/hello"]);
    ok("buildah", &["config", "--cmd", "cat /hello", &made]);
    let built = format!("{host}/default/buildah:1");
    ok("buildah", &["commit", "-q", &made, &built]);
    ok("buildah", &["push", "-q", "--cert-dir", &certs, &built]);
    ok("buildah", &["rm", "-a"]);
    // What they pushed runs here, and another may have it from here.
    assert_eq!(docker_ok(&server, 60, &["run", "--rm", "--network", "none", &built]), "made by buildah");
    let digest =
        run(home, "skopeo", &["inspect", "--cert-dir", &certs, "-f", "{{.Digest}}", &format!("docker://{built}")]);
    ok("buildah", &["rmi", "-a"]);
    ok("buildah", &["pull", "-q", "--cert-dir", &certs, &format!("{host}/default/buildah@{digest}")]);
    ok("podman", &["logout", &host]);
    assert!(!stored(home, "podman", &["pull", "-q", "--cert-dir", &certs, &image]).status.success());
}

/// The listener outlives the server as the other one does, and a certificate of the administrator's is shown instead.
#[test]
fn the_address_over_tls_is_there_again_with_the_same_certificate_after_a_restart() {
    let (mut server, secret, home) = house();
    let home = home.path();
    let host = server.https().to_string();
    run(home, "crane", &["auth", "login", &host, "-u", "amber", "-p", &secret]);
    run(home, "crane", &["catalog", &host]);
    server.signal(nix::sys::signal::Signal::SIGKILL);
    server.again();
    run(home, "crane", &["catalog", &host]);
    // One that speaks no TLS, and one that says nothing, get nothing.
    let nobody = std::net::TcpStream::connect(server.https()).unwrap();
    let mut plain = std::net::TcpStream::connect(server.https()).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    nobody.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let begun = std::time::Instant::now();
    let closed = std::io::Read::read(&mut &nobody, &mut [0; 1]).unwrap();
    assert_eq!(closed, 0);
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(admin(&server, &["ca"], "").ends_with("-----END CERTIFICATE-----"));
}
