//! Two teams at one registry, one of them hostile: what the other has is not there for it, whatever it knows.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use sampan_tests::client::{admin, ask};
use sampan_tests::registry::{Client, MANIFEST, digest, manifest};
use sampan_tests::server::Server;
use serde_json::json;

fn unknown(refusal: (u16, String)) -> bool {
    refusal == (404, "NAME_UNKNOWN".to_owned())
}

#[test]
fn nothing_of_one_team_is_there_for_another_nor_for_nobody() {
    let server = Server::start();
    let amber = Client::user(&server, "amber", "blue", "owner");
    let cobalt = Client::user(&server, "cobalt", "red", "owner");
    let secret = b"a layer that only blue has";
    let image = amber.push_image("blue/app", "1", secret);
    let (layer, manifest_digest) = (digest(secret), digest(&image));
    let upload = amber.begin_upload("blue/app");
    for (method, path) in [
        ("GET", "/v2/blue/app/tags/list".to_owned()),
        ("GET", "/v2/blue/app/manifests/1".to_owned()),
        ("GET", format!("/v2/blue/app/manifests/{manifest_digest}")),
        ("GET", format!("/v2/blue/app/blobs/{layer}")),
        ("GET", format!("/v2/blue/app/referrers/{manifest_digest}")),
        ("PUT", "/v2/blue/app/manifests/2".to_owned()),
        ("DELETE", "/v2/blue/app/manifests/1".to_owned()),
        ("DELETE", format!("/v2/blue/app/blobs/{layer}")),
        ("POST", "/v2/blue/app/blobs/uploads/".to_owned()),
        ("GET", upload.clone()),
        ("PATCH", upload.clone()),
        ("PUT", format!("{upload}?digest={layer}")),
        ("DELETE", upload.clone()),
    ] {
        let refusal = cobalt.send(method, &path, &[], b"").refusal();
        assert!(unknown(refusal.clone()), "{method} {path}: {refusal:?}");
        // A repository that does not exist looks the same, to strangers and to nobody.
        let other = path.replace("blue/app", "blue/none");
        assert_eq!(cobalt.send(method, &other, &[], b"").refusal(), refusal, "{method} {other}");
        let (nobody, other) = (
            Client::nobody(&server).send(method, &path, &[], b""),
            Client::nobody(&server).send(method, &other, &[], b""),
        );
        assert_eq!((nobody.status, other.status), (401, 401), "{method} {path}");
        let scope =
            |answer: &sampan_tests::registry::Answer| answer.header("www-authenticate").unwrap().replace("none", "app");
        assert_eq!(scope(&nobody), scope(&other));
    }
    assert_eq!(cobalt.send("HEAD", &format!("/v2/blue/app/blobs/{layer}"), &[], b"").status, 404);
    assert_eq!(cobalt.get("/v2/_catalog").json()["repositories"], json!([]));
    assert_eq!(amber.get("/v2/_catalog").json()["repositories"], json!(["blue/app"]));

    // A digest that is known is no key: not by mount, with a source or without, not by a manifest, not by an upload of
    // another blob's name.
    for query in
        [format!("mount={layer}&from=blue/app"), format!("mount={layer}"), format!("mount={layer}&from=blue/none")]
    {
        let answer = cobalt.send("POST", &format!("/v2/red/app/blobs/uploads/?{query}"), &[], b"");
        assert_eq!(answer.status, 202, "{query}");
    }
    assert_eq!(cobalt.send("HEAD", &format!("/v2/red/app/blobs/{layer}"), &[], b"").status, 404);
    cobalt.push_blob("red/app", b"{}");
    let stolen = manifest(&[secret]).to_string();
    let refused = cobalt.push_manifest("red/app", "stolen", MANIFEST, stolen.as_bytes());
    assert_eq!(refused.refusal(), (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let empty = cobalt.send("POST", &format!("/v2/red/app/blobs/uploads/?digest={layer}"), &[], b"");
    assert_eq!(empty.refusal(), (400, "DIGEST_INVALID".to_owned()));
    // An upload is one of its own repository only.
    let moved = upload.replace("blue/app", "red/app");
    assert_eq!(cobalt.get(&moved).refusal(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));

    // Who has the bytes may bring them; that tells nothing about blue, and deleting them takes nothing from blue.
    cobalt.push_blob("red/app", secret);
    assert_eq!(cobalt.send("DELETE", &format!("/v2/red/app/blobs/{layer}"), &[], b"").status, 202);
    assert_eq!(amber.get(&format!("/v2/blue/app/blobs/{layer}")).body, secret);
}

#[test]
fn viewers_pull_developers_push_and_owners_delete() {
    let server = Server::start();
    let owner = Client::user(&server, "owner", "blue", "owner");
    owner.push_image("blue/app", "1", b"layer");
    let user = |name: &str, role: &str| {
        admin(&server, &["create-user", name, "--password-stdin"], "correct horse");
        admin(&server, &["add-member", "blue", name, role], "");
        Client::basic(&server, name, &admin(&server, &["create-token", name, "--team", "blue"], ""))
    };
    let (viewer, developer) = (user("viewer", "viewer"), user("developer", "developer"));
    let reader =
        admin(&server, &["create-token", "owner", "--team", "blue", "--scopes", "read", "--name", "reader"], "");
    let reader = Client::basic(&server, "owner", &reader);
    for (who, pull, push, delete) in
        [(&viewer, 200, 403, 403), (&reader, 200, 403, 403), (&developer, 200, 202, 403), (&owner, 200, 202, 202)]
    {
        assert_eq!(who.get("/v2/blue/app/manifests/1").status, pull);
        assert_eq!(who.send("POST", "/v2/blue/app/blobs/uploads/", &[], b"").status, push);
        assert_eq!(who.send("DELETE", "/v2/blue/app/manifests/1", &[], b"").status, delete);
    }
}

#[test]
fn a_token_carries_what_was_asked_and_is_allowed_and_no_more() {
    let server = Server::start();
    let amber = Client::user(&server, "amber", "blue", "developer");
    let cobalt = Client::user(&server, "cobalt", "red", "owner");
    amber.push_image("blue/app", "1", b"layer");
    let pull = Client::bearer(&server, &amber.registry_token("repository:blue/app:pull"));
    assert_eq!(pull.get("/v2/").status, 200);
    assert_eq!(pull.get("/v2/blue/app/manifests/1").status, 200);
    let push = pull.send("POST", "/v2/blue/app/blobs/uploads/", &[], b"");
    assert_eq!(push.refusal(), (401, "UNAUTHORIZED".to_owned()));
    let challenge = push.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("scope=\"repository:blue/app:pull,push\",error=\"insufficient_scope\""), "{challenge}");
    assert_eq!(pull.get("/v2/_catalog").status, 401);
    let all = Client::bearer(&server, &amber.registry_token("repository:blue/app:*%20registry:catalog:*"));
    assert_eq!(all.send("POST", "/v2/blue/app/blobs/uploads/", &[], b"").status, 202);
    assert_eq!(all.get("/v2/_catalog").json()["repositories"], json!(["blue/app"]));
    assert_eq!(all.send("DELETE", "/v2/blue/app/manifests/1", &[], b"").status, 403);
    let foreign = Client::bearer(&server, &cobalt.registry_token("repository:blue/app:pull,push"));
    assert!(unknown(foreign.get("/v2/blue/app/manifests/1").refusal()));
    // A mount asks for both repositories.
    amber.push_blob("blue/other", b"x");
    let one = Client::bearer(&server, &amber.registry_token("repository:blue/app:pull,push"));
    let query = format!("/v2/blue/app/blobs/uploads/?mount={}&from=blue/other", digest(b"x"));
    assert_eq!(one.send("POST", &query, &[], b"").status, 202);
    let both = amber.registry_token("repository:blue/app:pull,push&scope=repository:blue/other:pull");
    assert_eq!(Client::bearer(&server, &both).send("POST", &query, &[], b"").status, 201);

    // Wrong secrets; OAuth 2's form; a token whose API token is gone.
    for (name, secret) in [("amber", "wrong password"), ("amber", "spn_wrong"), ("cobalt", "correct horsf"), ("", "")] {
        let wrong = Client::basic(&server, name, secret);
        assert_eq!(wrong.get("/v2/token?service=x").status, 401, "{name}");
        assert_eq!(wrong.get("/v2/").refusal(), (401, "UNAUTHORIZED".to_owned()));
    }
    let form = |password: &str| {
        let body =
            format!("grant_type=password&username=amber&password={password}&service=x&scope=repository:blue/app:pull");
        Client::nobody(&server).send(
            "POST",
            "/v2/token",
            &[("content-type", "application/x-www-form-urlencoded")],
            body.as_bytes(),
        )
    };
    let by_password = form("correct%20horse");
    assert_eq!(by_password.status, 200);
    let token = by_password.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(Client::bearer(&server, &token).get("/v2/blue/app/manifests/1").status, 200);
    assert_eq!(form("wrong%20one").status, 401);
    admin(&server, &["reset-password", "amber", "--password-stdin"], "another horse");
    assert_eq!(Client::bearer(&server, &token).get("/v2/blue/app/manifests/1").status, 401);
}

#[test]
fn what_is_public_is_pulled_by_anybody_and_changed_by_nobody_else() {
    let server = Server::start();
    let token = sampan_tests::client::token(&server, "amber", "blue", "owner");
    let amber = Client::basic(&server, "amber", &token);
    let cobalt = Client::user(&server, "cobalt", "red", "owner");
    amber.push_image("blue/site/open", "1", b"layer");
    amber.push_image("blue/closed", "1", b"layer");
    let (status, view) = ask(&server, "PATCH", "/api/v1/repositories/site%2Fopen", &token, br#"{"public":true}"#);
    assert_eq!((status, &view["public"]), (200, &json!(true)), "{view}");
    let nobody = Client::nobody(&server);
    let anonymous = Client::bearer(&server, &nobody.registry_token("repository:blue/site/open:pull,push"));
    for who in [&nobody, &anonymous, &cobalt] {
        assert_eq!(who.get("/v2/blue/site/open/manifests/1").status, 200);
        assert_eq!(who.get(&format!("/v2/blue/site/open/blobs/{}", digest(b"layer"))).body, b"layer");
        assert_eq!(who.get("/v2/blue/site/open/tags/list").json()["tags"], json!(["1"]));
        assert!(matches!(who.get("/v2/blue/closed/manifests/1").status, 401 | 404));
        assert!(matches!(who.send("POST", "/v2/blue/site/open/blobs/uploads/", &[], b"").status, 401 | 404));
        assert!(matches!(who.send("DELETE", "/v2/blue/site/open/manifests/1", &[], b"").status, 401 | 404));
    }
    assert_eq!(anonymous.get("/v2/").status, 200);
    assert_eq!(cobalt.get("/v2/_catalog").json()["repositories"], json!(["blue/site/open"]));
}

#[test]
fn a_robot_does_what_it_is_for_and_nothing_else() {
    let server = Server::start();
    let token = sampan_tests::client::token(&server, "amber", "blue", "owner");
    let amber = Client::basic(&server, "amber", &token);
    for name in ["blue/apps/web", "blue/other"] {
        amber.push_image(name, "1", b"layer");
    }
    let robot = |body: &str| {
        let (status, issued) = ask(&server, "POST", "/api/v1/robots", &token, body.as_bytes());
        assert_eq!(status, 201, "{issued}");
        let secret = issued["secret"].as_str().unwrap();
        (issued["id"].clone(), Client::basic(&server, issued["user_name"].as_str().unwrap(), secret), secret.to_owned())
    };
    let (_, reader, secret) = robot(r#"{"name":"reader"}"#);
    let (id, builder, _) = robot(r#"{"name":"builder","push":true,"repositories":"apps/"}"#);
    assert_eq!(reader.get("/v2/blue/other/manifests/1").status, 200);
    assert_eq!(reader.send("POST", "/v2/blue/other/blobs/uploads/", &[], b"").status, 403);
    assert_eq!(builder.get("/v2/blue/apps/web/manifests/1").status, 200);
    assert!(unknown(builder.get("/v2/blue/other/manifests/1").refusal()));
    assert_eq!(builder.send("POST", "/v2/blue/apps/new/blobs/uploads/", &[], b"").status, 202);
    assert_eq!(builder.send("DELETE", "/v2/blue/apps/web/manifests/1", &[], b"").status, 403);
    let carried = Client::bearer(&server, &builder.registry_token("repository:blue/apps/web:pull,push,delete"));
    assert_eq!(carried.get("/v2/blue/apps/web/manifests/1").status, 200);
    assert_eq!(carried.send("DELETE", "/v2/blue/apps/web/manifests/1", &[], b"").status, 403);
    // Nothing but the registry, and nothing once it is gone.
    assert_eq!(ask(&server, "GET", "/api/v1/containers", &secret, b"").0, 401);
    let (_, list) = ask(&server, "GET", "/api/v1/robots", &token, b"");
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains(&secret));
    assert_eq!(ask(&server, "DELETE", &format!("/api/v1/robots/{id}"), &token, b"").0, 204);
    assert_eq!((builder.get("/v2/").status, carried.get("/v2/blue/apps/web/manifests/1").status), (401, 401));
}

#[test]
fn repositories_are_listed_changed_and_removed_by_rest() {
    let server = Server::start();
    let token = sampan_tests::client::token(&server, "amber", "blue", "owner");
    let amber = Client::basic(&server, "amber", &token);
    let rest =
        |method: &str, path: &str, body: &str| ask(&server, method, &format!("/api/v1{path}"), &token, body.as_bytes());
    for name in ["a", "b", "c/d"] {
        amber.push_image(&format!("blue/{name}"), "1", b"layer");
    }
    let (_, first) = rest("GET", "/repositories?limit=2", "");
    let names = |page: &serde_json::Value| {
        page["items"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let (_, rest_of) = rest("GET", &format!("/repositories?cursor={}", first["next"].as_str().unwrap()), "");
    assert_eq!((names(&rest_of), &rest_of["next"]), (vec![json!("c/d")], &json!(null)));
    let (_, one) = rest("GET", "/repositories/c%2Fd", "");
    assert_eq!(
        (&one["tags"], &one["manifests"], &one["size_bytes"], &one["public"]),
        (&json!(1), &json!(1), &json!(7), &json!(false))
    );
    // Two blobs, each counted once for the team.
    assert_eq!(rest("GET", "/registry", "").1, json!({ "repositories": 3, "size_bytes": 7 }));
    let (_, tags) = rest("GET", "/repositories/a/tags", "");
    let digest = tags["items"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!((&tags["items"][0]["name"], &tags["items"][0]["tagged_by"]), (&json!("1"), &json!("amber")));
    let (_, manifests) = rest("GET", "/repositories/a/manifests", "");
    assert_eq!((&manifests["items"][0]["digest"], &manifests["items"][0]["tags"]), (&json!(digest), &json!(["1"])));

    // Immutable: another manifest under the same tag is denied in words.
    assert_eq!(
        rest("PATCH", "/repositories/a", r#"{"immutable_tags":true,"keep_tags":1,"keep_untagged_days":0}"#).0,
        200
    );
    let other = manifest(&[]).to_string();
    let denied = amber.push_manifest("blue/a", "1", MANIFEST, other.as_bytes());
    assert_eq!(denied.refusal(), (403, "DENIED".to_owned()));
    assert!(denied.json()["errors"][0]["message"].as_str().unwrap().contains("immutable"));
    assert_eq!(amber.push_manifest("blue/a", "2", MANIFEST, other.as_bytes()).status, 201);
    let (_, gone) = rest("POST", "/repositories/a/retain", "");
    assert_eq!(gone["tags"], json!(["1"]));
    assert_eq!(rest("PATCH", "/repositories/a", r#"{"keep_tags":0}"#).0, 400);
    assert_eq!(rest("PATCH", "/repositories/a", r#"{"keep_tags":null}"#).1["keep_tags"], json!(null));

    assert_eq!(rest("DELETE", "/repositories/b/tags/1", "").0, 204);
    assert_eq!(rest("DELETE", &format!("/repositories/b/manifests/{digest}"), "").0, 204);
    assert_eq!(rest("DELETE", "/repositories/b/tags/1", "").0, 404);
    assert_eq!(rest("DELETE", "/repositories/b", "").0, 204);
    assert_eq!((rest("GET", "/repositories/b", "").0, amber.get("/v2/blue/b/tags/list").status), (404, 404));

    // Pushes and removals stand in the trail, pulls do not.
    amber.get("/v2/blue/c/d/manifests/1");
    let begun = std::time::Instant::now();
    loop {
        let trail = rest("GET", "/audit", "").1;
        let acts: Vec<String> = trail["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["noun"] == "repository")
            .map(|one| {
                format!(
                    "{} {} by {}",
                    one["action"].as_str().unwrap(),
                    one["target"].as_str().unwrap(),
                    one["door"].as_str().unwrap()
                )
            })
            .collect();
        if acts.contains(&"push blue/a by registry".to_owned()) && acts.contains(&"remove blue/b by rest".to_owned()) {
            assert!(!acts.iter().any(|act| act.starts_with("pull")), "{acts:?}");
            break;
        }
        assert!(begun.elapsed().as_secs() < 10, "{acts:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A server that is killed in the middle of an upload goes on with it.
#[test]
fn an_upload_outlives_the_server() {
    use std::io::Write as _;
    let mut server = Server::start();
    let amber = Client::user(&server, "amber", "blue", "developer");
    let bytes: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let location = amber.begin_upload("blue/app");
    let mut stream = amber.begin("PATCH", &location, &[], Some(bytes.len()));
    stream.write_all(&bytes[..3_000_000]).unwrap();
    let at = |amber: &Client| {
        amber.get(&location).header("range").unwrap().rsplit('-').next().unwrap().parse::<usize>().unwrap() + 1
    };
    while at(&amber) < 1_000_000 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    server.signal(nix::sys::signal::Signal::SIGKILL);
    drop(stream);
    server.again();
    let here = at(&amber);
    assert!((1_000_000..=3_000_000).contains(&here), "{here}");
    let whole = digest(&bytes);
    let range = format!("{here}-{}", bytes.len() - 1);
    let put = amber.send("PUT", &format!("{location}?digest={whole}"), &[("content-range", &range)], &bytes[here..]);
    assert_eq!(put.status, 201, "{put:?}");
    assert!(amber.get(&format!("/v2/blue/app/blobs/{whole}")).body == bytes);
}
