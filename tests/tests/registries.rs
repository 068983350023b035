//! Pull, push and login by the docker CLI and by REST against Debian's docker-registry.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sampan_tests::client::{admin, ask, docker, docker_ok, token};
use sampan_tests::images;
use sampan_tests::proxy::Proxy;
use sampan_tests::server::Server;
use sampan_tests::upstream::{PASSWORD, Registry, USER};
use serde_json::{Value, json};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn load(server: &Server, image: &str) {
    docker_ok(server, 120, &["load", "-q", "-i", images::archive(image).to_str().unwrap()]);
}

/// The CLI with a folder of its own for what it keeps of logins.
fn docker_with(server: &Server, folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let socket = format!("unix://{}", server.docker_socket().display());
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "60", "docker", "-H", &socket]).args(arguments);
    command.env("DOCKER_CONFIG", folder.path()).output().unwrap()
}

#[test]
fn an_image_goes_to_a_registry_and_comes_back_as_it_was() {
    let (server, registry) = (Server::start(), Registry::start());
    load(&server, "busybox");
    let id = docker_ok(&server, 60, &["image", "inspect", "--format", "{{.Id}}", "busybox"]);
    let name = format!("{}/some/box:1", registry.host());
    docker_ok(&server, 60, &["tag", "busybox", &name]);
    let pushed = docker_ok(&server, 60, &["push", &name]);
    assert!(pushed.starts_with(&format!("The push refers to repository [{}/some/box]", registry.host())), "{pushed}");
    assert!(pushed.contains(": Pushed"), "{pushed}");
    let digest = pushed.split("digest: ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(docker_ok(&server, 60, &["push", &name]).contains(": Layer already exists"));
    docker_ok(&server, 60, &["tag", "busybox", &format!("{}/some/box:2", registry.host())]);
    docker_ok(&server, 60, &["push", "-a", &format!("{}/some/box", registry.host())]);
    docker_ok(&server, 60, &["rmi", "-f", &id]);

    let pulled = docker_ok(&server, 60, &["pull", &name]);
    for line in [
        "1: Pulling from some/box",
        ": Pulling fs layer",
        ": Pull complete",
        &format!("Digest: {digest}"),
        &format!("Status: Downloaded newer image for {name}"),
    ] {
        assert!(pulled.contains(line), "{line}: {pulled}");
    }
    assert_eq!(docker_ok(&server, 60, &["image", "inspect", "--format", "{{.Id}}", &name]), id);
    assert_eq!(docker_ok(&server, 60, &["run", "--rm", "--network", "none", &name, "echo", "hello"]), "hello");
    let again = docker_ok(&server, 60, &["pull", &name]);
    assert!(again.contains(&format!("Status: Image is up to date for {name}")), "{again}");
    let by_digest = format!("{}/some/box@{digest}", registry.host());
    docker_ok(&server, 60, &["pull", &by_digest]);
    let listed = docker_ok(&server, 60, &["images", "--digests", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}"]);
    assert_eq!(listed, format!("{name} {digest}"));
    docker_ok(&server, 60, &["pull", "-a", &format!("{}/some/box", registry.host())]);
    let removed = docker_ok(&server, 60, &["rmi", &name]);
    assert_eq!(removed, format!("Untagged: {name}"));
    let removed = docker_ok(&server, 60, &["rmi", &format!("{}/some/box:2", registry.host())]);
    assert!(removed.contains(&format!("Untagged: {by_digest}\nDeleted: {id}")), "{removed}");
    // `run` pulls what is not there.
    assert_eq!(docker_ok(&server, 60, &["run", "--rm", "-q", "--network", "none", &name, "echo", "hello"]), "hello");
}

#[test]
fn what_is_not_there_or_not_allowed_is_said_in_dockers_words() {
    let (server, registry) = (Server::start(), Registry::start());
    load(&server, "busybox");
    let unknown = format!("{}/some/box:1", registry.host());
    let pulled = docker(&server, 60, &["pull", &unknown]);
    let told = said(&pulled);
    assert!(
        !pulled.status.success() && told.contains(&format!("manifest for {unknown} not found: manifest unknown")),
        "{told}"
    );
    let pushed = said(&docker(&server, 60, &["push", &unknown]));
    let sentence = format!("An image does not exist locally with the tag: {}/some/box", registry.host());
    assert!(pushed.contains(&sentence), "{pushed}");
    let gone = said(&docker(&server, 60, &["pull", "127.0.0.1:1/a"]));
    assert!(gone.contains("127.0.0.1:1") && gone.to_lowercase().contains("refused"), "{gone}");
    let search = said(&docker(&server, 60, &["search", &format!("{}/box", registry.host())]));
    assert!(search.contains("offers no search"), "{search}");
    docker_ok(&server, 60, &["tag", "busybox", &unknown]);
    docker_ok(&server, 60, &["push", &unknown]);
    let other = said(&docker(&server, 60, &["pull", "--platform", "linux/s390x", &unknown]));
    assert!(other.contains("was found but does not match the specified platform"), "{other}");
}

#[test]
fn a_registry_that_asks_for_a_name_gets_the_right_one() {
    let (server, registry, folder) = (Server::start(), Registry::start_private(), tempfile::tempdir().unwrap());
    load(&server, "busybox");
    let name = format!("{}/box:1", registry.host());
    docker_ok(&server, 60, &["tag", "busybox", &name]);
    let denied = said(&docker_with(&server, &folder, &["push", &name]));
    assert!(denied.contains("unauthorized") || denied.contains("no basic auth credentials"), "{denied}");
    let login =
        |password: &str| docker_with(&server, &folder, &["login", "-u", USER, "-p", password, &registry.host()]);
    let wrong = login("wrong");
    assert!(!wrong.status.success() && said(&wrong).contains("unauthorized"), "{}", said(&wrong));
    assert!(said(&login(PASSWORD)).contains("Login Succeeded"));
    let pushed = docker_with(&server, &folder, &["push", &name]);
    assert!(pushed.status.success(), "{}", said(&pushed));
    docker_ok(&server, 60, &["rmi", &name]);
    let denied = said(&docker(&server, 60, &["pull", &name]));
    let words = format!(
        "pull access denied for {}/box, repository does not exist or may require 'docker login'",
        registry.host()
    );
    assert!(denied.contains(&words), "{denied}");
    assert!(docker_with(&server, &folder, &["pull", &name]).status.success());
    assert!(docker_with(&server, &folder, &["logout", &registry.host()]).status.success());

    // By REST, with the team's own name at the registry, which is never told back.
    let owner = token(&server, "cobalt", "blue", "owner");
    let body = json!({ "username": USER, "password": PASSWORD }).to_string();
    let place = format!("/api/v1/credentials/{}", registry.host());
    assert_eq!(ask(&server, "PUT", &place, &owner, body.as_bytes()).0, 204);
    let (_, listed) = ask(&server, "GET", "/api/v1/credentials", &owner, b"");
    assert_eq!(listed["items"][0]["username"], json!(USER));
    assert!(!listed.to_string().contains(PASSWORD));
    let database = std::fs::read(server.data_root().join("sampan.db")).unwrap();
    assert!(!database.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
    // The registry is on this host: a team reaches it when an administrator says so.
    let refused = pull(&server, &owner, &name);
    assert_eq!(refused["state"], json!("failed"));
    assert!(refused["error"].as_str().unwrap().contains("is not reached"), "{refused}");
    admin(&server, &["create-user", "root2", "--admin", "--password-stdin"], "correct horse");
    let root = admin(&server, &["create-token", "root2", "--team", "default"], "");
    let rule = json!({ "plain_http": true, "teams_may": true }).to_string();
    let place = format!("/api/v1/registries/{}", registry.host());
    assert_eq!(ask(&server, "PUT", &place, &owner, rule.as_bytes()).0, 403);
    assert_eq!(ask(&server, "PUT", &place, &root, rule.as_bytes()).0, 204);
    let done = pull(&server, &owner, &name);
    assert_eq!(
        (&done["state"], &done["layers"][0]["state"]),
        (&json!("done"), &json!("exists")),
        "the default team got it from there: {done}"
    );
    let (_, fetches) = ask(&server, "GET", "/api/v1/fetches", &owner, b"");
    assert_eq!(fetches["items"][0]["endpoint"], json!(format!("http://{}", registry.host())));
    let body = json!({ "image": name.replace(":1", ":2"), "pull": "missing" }).to_string();
    assert_eq!(ask(&server, "POST", "/api/v1/containers", &owner, body.as_bytes()).0, 404);
}

/// A pull as an operation, to its end.
fn pull(server: &Server, token: &str, name: &str) -> Value {
    let body = json!({ "reference": name }).to_string();
    let (status, begun) = ask(server, "POST", "/api/v1/images/pull", token, body.as_bytes());
    assert_eq!(status, 202, "{begun}");
    let place = format!("/api/v1/operations/{}", begun["id"]);
    let since = Instant::now();
    loop {
        let (_, now) = ask(server, "GET", &place, token, b"");
        if now["state"] != json!("running") {
            return now;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Killed while bytes come, and given up by its client: nothing half made is left, and the next pull is whole.
#[test]
fn a_pull_that_ends_early_leaves_nothing() {
    let (mut server, registry) = (Server::start(), Registry::start());
    load(&server, "nginx");
    let fast = format!("{}/nginx:1", registry.host());
    let image = docker_ok(&server, 60, &["images", "-q"]);
    docker_ok(&server, 60, &["tag", &image, &fast]);
    docker_ok(&server, 120, &["push", &fast]);
    docker_ok(&server, 60, &["rmi", "-f", &image]);
    let slow = format!("{}/nginx:1", registry.slowly(2_000_000));
    let begin = |server: &Server| {
        let socket = format!("unix://{}", server.docker_socket().display());
        let nothing = std::process::Stdio::null;
        let mut command = Command::new("docker");
        command.args(["-H", &socket, "pull", "-q", &slow]).stdin(nothing()).stdout(nothing()).stderr(nothing());
        command.spawn().unwrap()
    };
    let unfinished = |server: &Server| std::fs::read_dir(server.data_root().join("layers/tmp")).unwrap().count();
    let layers = |server: &Server| {
        let entries = std::fs::read_dir(server.data_root().join("layers")).unwrap().flatten();
        entries.filter(|entry| entry.file_name().len() == 64).count()
    };
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut client = begin(&server);
    until("layers come", &|| unfinished(&server) > 0);
    client.kill().unwrap();
    client.wait().unwrap();
    until("what came is gone", &|| unfinished(&server) == 0);

    for later in [0, 900] {
        let mut client = begin(&server);
        until("layers come", &|| unfinished(&server) > 0);
        std::thread::sleep(Duration::from_millis(later));
        server.signal(Signal::SIGKILL);
        client.wait().unwrap();
        server.again();
        until("what came is gone", &|| unfinished(&server) == 0 && layers(&server) == 0);
        assert_eq!(docker_ok(&server, 60, &["images", "-q"]), "");
    }
    docker_ok(&server, 120, &["pull", "-q", &fast]);
    docker_ok(&server, 60, &["run", "--rm", "--network", "none", &fast, "nginx", "-v"]);
}

/// The rule about a registry, as an administrator says it.
fn rule(server: &Server, host: &str, rule: &Value) {
    let root = admin(server, &["create-token", "root2", "--team", "default"], "");
    let place = format!("/api/v1/registries/{host}");
    assert_eq!(ask(server, "PUT", &place, &root, rule.to_string().as_bytes()).0, 204);
}

/// Another instance's registry: over plain HTTP on this host, and over TLS by its own authority and by no other.
#[test]
fn another_instance_is_a_registry_as_any_other() {
    let (here, there, folder) = (Server::start_encrypted(), Server::start_encrypted(), tempfile::tempdir().unwrap());
    load(&here, "busybox");
    let secret = token(&there, "amber", "default", "developer");
    admin(&here, &["create-user", "root2", "--admin", "--password-stdin"], "correct horse");
    let mut names = Vec::new();
    for host in [there.http().to_string(), there.https().to_string()] {
        let name = format!("{host}/default/box:1");
        docker_ok(&here, 60, &["tag", "busybox", &name]);
        if host == there.https().to_string() {
            // Loopback is asked without TLS, where nothing is said.
            assert!(!docker_with(&here, &folder, &["push", &name]).status.success());
            rule(&here, &host, &json!({ "plain_http": false }));
            let unknown = said(&docker_with(&here, &folder, &["push", &name]));
            assert!(unknown.contains("certificate"), "{unknown}");
            rule(&here, &host, &json!({ "ca_pem": certificate(&here) }));
            let wrong = said(&docker_with(&here, &folder, &["push", &name]));
            assert!(wrong.contains("certificate"), "{wrong}");
            rule(&here, &host, &json!({ "ca_pem": certificate(&there) }));
        }
        let refused = docker_with(&here, &folder, &["login", "-u", "amber", "-p", "spn_wrong", &host]);
        assert!(said(&refused).contains("unauthorized"), "{}", said(&refused));
        let login = docker_with(&here, &folder, &["login", "-u", "amber", "-p", &secret, &host]);
        assert!(login.status.success(), "{}", said(&login));
        let pushed = docker_with(&here, &folder, &["push", &name]);
        assert!(pushed.status.success(), "{}", said(&pushed));
        let tags = docker_with(&here, &folder, &["pull", "-a", &format!("{host}/default/box")]);
        assert!(tags.status.success(), "{}", said(&tags));
        names.push(name);
    }
    docker_ok(&here, 60, &["rmi", "-f", "busybox", &names[0], &names[1]]);
    for name in &names {
        let run = docker_with(&here, &folder, &["run", "--rm", "--network", "none", name, "echo", "hello"]);
        assert!(said(&run).contains("hello"), "{}", said(&run));
        docker_ok(&here, 60, &["rmi", "-f", name]);
    }
    // And in ours a login is answered without a request: our own authority is nobody's to trust here.
    let own = here.https().to_string();
    let secret = token(&here, "cobalt", "red", "developer");
    assert!(said(&docker_with(&here, &folder, &["login", "-u", "cobalt", "-p", &secret, &own])).contains("Succeeded"));
    assert!(
        said(&docker_with(&here, &folder, &["login", "-u", "cobalt", "-p", "wrong", &own])).contains("unauthorized")
    );
}

fn certificate(server: &Server) -> String {
    let mut command = Command::new(sampan_tests::server::program());
    let ca = command.args(["admin", "ca", "--data-root"]).arg(server.data_root()).output().unwrap();
    String::from_utf8(ca.stdout).unwrap()
}

#[test]
fn a_proxy_is_used_but_for_those_that_are_reached_without() {
    let (proxy, registry, there) = (Proxy::start(), Registry::start(), Server::start_encrypted());
    let through = [("SAMPAN_HTTP_PROXY", proxy.url()), ("SAMPAN_HTTPS_PROXY", proxy.url())];
    let through: Vec<(&str, &str)> = through.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Server::start_with(&through);
    load(&server, "busybox");
    admin(&server, &["create-user", "root2", "--admin", "--password-stdin"], "correct horse");
    let name = format!("{}/box:1", registry.host());
    docker_ok(&server, 60, &["tag", "busybox", &name]);
    docker_ok(&server, 60, &["push", &name]);
    docker_ok(&server, 60, &["rmi", "-f", "busybox", &name]);
    docker_ok(&server, 60, &["pull", &name]);
    let targets = proxy.targets();
    assert!(targets.iter().any(|target| target.ends_with(&format!(" {}", registry.host()))), "{targets:?}");
    // TLS goes through it unseen.
    let host = there.https().to_string();
    rule(&server, &host, &json!({ "ca_pem": certificate(&there) }));
    let unknown = said(&docker(&server, 60, &["pull", &format!("{host}/default/none:1")]));
    assert!(unknown.contains("pull access denied") || unknown.contains("not found"), "{unknown}");
    let targets = proxy.targets();
    assert!(targets.contains(&format!("CONNECT {host}")), "{targets:?}");

    let none = [through.clone(), vec![("SAMPAN_NO_PROXY", "localhost,127.0.0.0/8")]].concat();
    let direct = Server::start_with(&none);
    docker_ok(&direct, 60, &["pull", &name]);
    assert_eq!(proxy.targets(), targets);
}

/// As Docker Hub has it: `/v1/search`.
#[test]
fn a_search_tells_what_the_registry_found() {
    use std::io::{Read, Write};
    let server = Server::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let hits = json!({ "num_results": 2, "results": [
            { "name": "some/box", "description": "a box", "star_count": 7, "is_official": true },
            { "name": "other/box", "description": "another", "star_count": 1 },
        ]})
        .to_string();
        let mut paths = Vec::new();
        for mut client in listener.incoming().take(2).flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            paths.push(String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned());
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{hits}",
                hits.len()
            );
            client.write_all(answer.as_bytes()).unwrap();
        }
        paths
    });
    let term = format!("{host}/box");
    let format = ["--format", "{{.Name}} {{.StarCount}} {{.IsOfficial}}"];
    let found = docker_ok(&server, 30, &[&["search", "--limit", "5"], &format[..], &[&term]].concat());
    assert_eq!(found, format!("{host}/some/box 7 [OK]\n{host}/other/box 1"));
    let filtered = docker_ok(&server, 30, &[&["search", "--filter", "stars=3"], &format[..], &[&term]].concat());
    assert_eq!(filtered, format!("{host}/some/box 7 [OK]"));
    assert_eq!(asked.join().unwrap(), ["/v1/search?q=box&n=5", "/v1/search?q=box&n=25"]);
}

/// As Docker sends them: ids, names and order. Source: moby daemon/images, LogImageEvent.
#[test]
fn what_happens_to_images_is_told_as_docker_tells_it() {
    let (server, registry) = (Server::start(), Registry::start());
    load(&server, "busybox");
    let id = docker_ok(&server, 60, &["image", "inspect", "--format", "{{.Id}}", "busybox"]);
    let name = format!("{}/box:1", registry.host());
    docker_ok(&server, 60, &["tag", "busybox", &name]);
    docker_ok(&server, 60, &["push", "-q", &name]);
    docker_ok(&server, 60, &["rmi", &name]);
    docker_ok(&server, 60, &["rmi", "busybox"]);
    docker_ok(&server, 60, &["pull", "-q", &name]);
    docker_ok(&server, 60, &["image", "prune", "-af"]);
    let until = (std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1).to_string();
    let format = "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}";
    let told = docker_ok(
        &server,
        30,
        &["events", "--since", "1", "--until", &until, "--filter", "type=image", "--format", format],
    );
    let repository = name.trim_end_matches(":1");
    let own = |action: &str, name: &str| format!("{action} {id} {name}");
    let moved = |action: &str| format!("{action} {name} {repository}");
    let expected = [
        own("load", &id),
        own("tag", &name),
        moved("push"),
        // Its tag, and its digest there.
        own("untag", &id),
        own("untag", &id),
        own("untag", &id),
        own("delete", &id),
        moved("pull"),
        own("untag", &id),
        own("untag", &id),
        own("delete", &id),
    ];
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..expected.len()], expected, "{told}");
    assert!(lines[expected.len()].starts_with("prune "), "{told}");
}

/// Docker 28 says a platform as JSON; an image here is for one.
#[test]
fn a_push_for_a_platform_takes_an_image_of_that_platform_alone() {
    let (server, registry) = (Server::start(), Registry::start());
    load(&server, "busybox");
    let name = format!("{}/box:1", registry.host());
    docker_ok(&server, 60, &["tag", "busybox", &name]);
    let own = docker_ok(&server, 60, &["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", "busybox"]);
    docker_ok(&server, 60, &["push", "--platform", &own, &name]);
    let other = said(&docker(&server, 60, &["push", "--platform", "linux/s390x", &name]));
    assert!(other.contains("does not match the specified platform"), "{other}");
    let post = |platform: &str| {
        let ended = Command::new("curl")
            .args(["-sS", "-X", "POST", "-o", "/dev/null", "-w", "%{http_code}", "-G", "--unix-socket"])
            .arg(server.docker_socket())
            .args(["--data-urlencode", &format!("platform={platform}"), "--data-urlencode", "tag=1"])
            .arg(format!("http://d/images/{}/box/push", registry.host()))
            .output()
            .unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!((post("linux/amd64"), post("{\"os\":\"linux\"}")), ("400".to_owned(), "400".to_owned()));
}
