//! The registry against its specification, requirement by requirement, over a socket.
//! Spec: OCI distribution-spec 1.1, spec.md; the sections are its own.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::Write;

use sampan_tests::registry::{Answer, Client, INDEX, MANIFEST, descriptor, digest, manifest, read};
use sampan_tests::server::Server;
use serde_json::{Value, json};

const APP: &str = "default/app";

fn house() -> (Server, Client) {
    let server = Server::start();
    let amber = Client::user(&server, "amber", "default", "owner");
    (server, amber)
}

fn path_of(answer: &Answer) -> String {
    answer.header("location").unwrap().to_owned()
}

// ---- Determining Support (end-1)

#[test]
fn the_base_answers_200_and_names_its_version_and_401_with_a_challenge_to_nobody() {
    let (server, amber) = house();
    for path in ["/v2/", "/v2"] {
        let known = amber.get(path);
        assert_eq!((known.status, known.header("docker-distribution-api-version")), (200, Some("registry/2.0")));
    }
    let nobody = Client::nobody(&server).get("/v2/");
    assert_eq!(nobody.refusal(), (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(nobody.header("docker-distribution-api-version"), Some("registry/2.0"));
    let host = server.http();
    let challenge = format!("Bearer realm=\"http://{host}/v2/token\",service=\"{host}\"");
    assert_eq!(nobody.header("www-authenticate"), Some(challenge.as_str()));
}

// ---- Pulling blobs (end-2), Checking if content exists

#[test]
fn a_blob_is_given_out_whole_in_part_and_by_its_head() {
    let (_server, amber) = house();
    let bytes: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = amber.push_blob(APP, &bytes);
    let path = format!("/v2/{APP}/blobs/{digest}");
    let whole = amber.get(&path);
    assert_eq!((whole.status, whole.header("docker-content-digest")), (200, Some(digest.as_str())));
    assert!(whole.body == bytes);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));

    let head = amber.send("HEAD", &path, &[], b"");
    let length = bytes.len().to_string();
    assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
    assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));

    // RFC 9110, section 14.
    for (range, first, end) in [
        ("bytes=0-9", 0, 10),
        ("bytes=300000-899999", 300_000, 900_000),
        ("bytes=2799990-", 2_799_990, 2_800_000),
        ("bytes=-5", 2_799_995, 2_800_000),
    ] {
        let part = amber.send("GET", &path, &[("range", range)], b"");
        assert_eq!(part.status, 206, "{range}");
        assert!(part.body == bytes[first..end], "{range}");
        let expected = format!("bytes {first}-{}/{length}", end - 1);
        assert_eq!(part.header("content-range"), Some(expected.as_str()));
    }
    let beyond = amber.send("GET", &path, &[("range", "bytes=2800000-")], b"");
    let expected = format!("bytes */{length}");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(expected.as_str())));
    // RFC 9110, sections 13.1.2 and 13.1.5.
    let tag = format!("\"{digest}\"");
    assert_eq!(whole.header("etag"), Some(tag.as_str()));
    let known = amber.send("GET", &path, &[("if-none-match", &tag)], b"");
    assert_eq!((known.status, known.body.len()), (304, 0));
    let other = amber.send("GET", &path, &[("range", "bytes=0-9"), ("if-range", "\"other\"")], b"");
    assert_eq!((other.status, other.body.len()), (200, bytes.len()));
}

#[test]
fn what_is_not_there_is_404_with_its_code_and_what_is_no_digest_400() {
    let (_server, amber) = house();
    amber.push_image(APP, "1", b"layer");
    let none = digest(b"none");
    let refusal = |path: String| amber.get(&path).refusal();
    assert_eq!(refusal(format!("/v2/{APP}/blobs/{none}")), (404, "BLOB_UNKNOWN".to_owned()));
    assert_eq!(refusal(format!("/v2/{APP}/manifests/{none}")), (404, "MANIFEST_UNKNOWN".to_owned()));
    assert_eq!(refusal(format!("/v2/{APP}/manifests/none")), (404, "MANIFEST_UNKNOWN".to_owned()));
    assert_eq!(refusal(format!("/v2/default/none/blobs/{none}")), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(refusal("/v2/default/none/manifests/1".to_owned()), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(refusal("/v2/default/none/tags/list".to_owned()), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(refusal(format!("/v2/{APP}/blobs/sha256:bad")), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(refusal(format!("/v2/{APP}/manifests/sha256:bad")), (400, "DIGEST_INVALID".to_owned()));
    let sha512 = format!("sha512:{}", "a".repeat(128));
    assert_eq!(refusal(format!("/v2/{APP}/blobs/{sha512}")), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(refusal("/v2/default/UPPER/tags/list".to_owned()), (400, "NAME_INVALID".to_owned()));
    assert_eq!(refusal("/v2/alone/tags/list".to_owned()), (400, "NAME_INVALID".to_owned()));
    assert_eq!(amber.send("HEAD", &format!("/v2/{APP}/blobs/{none}"), &[], b"").status, 404);
    assert_eq!(amber.send("PATCH", &format!("/v2/{APP}/blobs/{none}"), &[], b"").refusal().0, 405);
    assert_eq!(amber.get("/v2/default/app/nothing").refusal().0, 404);
}

// ---- Pulling manifests (end-3)

#[test]
fn a_manifest_is_given_out_by_tag_and_digest_exactly_as_it_was_pushed() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    // Another spelling of the same JSON, with a field that nobody knows.
    let text = manifest(&[])
        .to_string()
        .replace("\":", "\" :\n ")
        .replace("\"schemaVersion\"", "\"extra\" : 1, \"schemaVersion\"");
    let pushed = amber.push_manifest(APP, "v1", MANIFEST, text.as_bytes());
    let digest = digest(text.as_bytes());
    assert_eq!((pushed.status, pushed.header("docker-content-digest")), (201, Some(digest.as_str())));
    let location = amber.get(&path_of(&pushed));
    assert_eq!((location.status, &location.body[..]), (200, text.as_bytes()));
    for reference in ["v1", &digest] {
        let path = format!("/v2/{APP}/manifests/{reference}");
        let got = amber.get(&path);
        assert_eq!((got.status, &got.body[..]), (200, text.as_bytes()));
        assert_eq!(
            (got.header("content-type"), got.header("docker-content-digest")),
            (Some(MANIFEST), Some(digest.as_str()))
        );
        let head = amber.send("HEAD", &path, &[], b"");
        let length = text.len().to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
        assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));
        assert_eq!(amber.send("GET", &path, &[("if-none-match", &format!("\"{digest}\""))], b"").status, 304);
    }
}

// ---- Pushing a blob monolithically (end-4a, end-4b, end-6)

#[test]
fn a_blob_is_pushed_by_post_and_put_or_by_one_post() {
    let (_server, amber) = house();
    let digest = digest(b"hello");
    let location = amber.begin_upload(APP);
    let id = location.rsplit('/').next().unwrap();
    assert_eq!(id.len(), 36, "a UUID: {id}");
    let put = amber.send(
        "PUT",
        &format!("{location}?digest={digest}"),
        &[("content-type", "application/octet-stream")],
        b"hello",
    );
    assert_eq!(put.status, 201);
    assert_eq!(path_of(&put), format!("/v2/{APP}/blobs/{digest}"));
    assert_eq!(amber.get(&path_of(&put)).body, b"hello");
    let post = amber.send("POST", &format!("/v2/default/one/blobs/uploads/?digest={digest}"), &[], b"hello");
    assert_eq!((post.status, path_of(&post)), (201, format!("/v2/default/one/blobs/{digest}")));
    assert_eq!(amber.get(&path_of(&post)).body, b"hello");
    // Nothing at all is a blob, too.
    let empty = amber.push_blob(APP, b"");
    assert_eq!(amber.get(&format!("/v2/{APP}/blobs/{empty}")).status, 200);
}

#[test]
fn a_digest_that_is_not_that_of_the_bytes_is_400_and_leaves_nothing() {
    let (_server, amber) = house();
    let wrong = digest(b"other");
    let location = amber.begin_upload(APP);
    for digest in [wrong.as_str(), "sha256:bad", &format!("sha512:{}", "a".repeat(128)), ""] {
        let location = amber.begin_upload(APP);
        let put = amber.send("PUT", &format!("{location}?digest={digest}"), &[], b"hello");
        assert_eq!(put.refusal(), (400, "DIGEST_INVALID".to_owned()), "{digest}");
    }
    let post = amber.send("POST", &format!("/v2/{APP}/blobs/uploads/?digest={wrong}"), &[], b"hello");
    assert_eq!(post.refusal(), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(amber.get(&format!("/v2/{APP}/blobs/{wrong}")).status, 404);
    assert_eq!(amber.get(&location).status, 204, "an upload beside it goes on");
    let algorithm = amber.send("POST", &format!("/v2/{APP}/blobs/uploads/?digest-algorithm=sha512"), &[], b"");
    assert_eq!(algorithm.refusal(), (400, "UNSUPPORTED".to_owned()));
}

// ---- Pushing a blob in chunks (end-5, end-13)

#[test]
fn chunks_come_in_order_and_what_does_not_follow_is_416() {
    let (_server, amber) = house();
    let location = amber.begin_upload(APP);
    assert_eq!(amber.get(&location).status, 204);
    let first = amber.send("PATCH", &location, &[("content-range", "0-4")], b"hello");
    assert_eq!((first.status, first.header("range")), (202, Some("0-4")));
    for range in ["0-5", "6-11", "4-9"] {
        let wrong = amber.send("PATCH", &path_of(&first), &[("content-range", range)], b" world");
        assert_eq!((wrong.status, wrong.header("range")), (416, Some("0-4")), "{range}");
    }
    for range in ["x", "5", "bytes 5-10/11"] {
        assert_eq!(
            amber.send("PATCH", &path_of(&first), &[("content-range", range)], b" world").status,
            416,
            "{range}"
        );
    }
    let short = amber.send("PATCH", &path_of(&first), &[("content-range", "5-9")], b" world");
    assert_eq!(short.refusal(), (400, "SIZE_INVALID".to_owned()));
    let status = amber.get(&path_of(&first));
    assert_eq!((status.status, status.header("range")), (204, Some("0-4")));
    let second = amber.send("PATCH", &path_of(&status), &[("content-range", "5-10")], b" world");
    assert_eq!((second.status, second.header("range")), (202, Some("0-10")));
    let digest = digest(b"hello world!");
    let wrong =
        amber.send("PUT", &format!("{}?digest={digest}", path_of(&second)), &[("content-range", "12-12")], b"!");
    assert_eq!(wrong.status, 416);
    let put = amber.send("PUT", &format!("{}?digest={digest}", path_of(&second)), &[("content-range", "11-11")], b"!");
    assert_eq!(put.status, 201);
    assert_eq!(amber.get(&path_of(&put)).body, b"hello world!");
    assert_eq!(amber.get(&location).refusal(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
}

#[test]
fn a_stream_without_a_range_or_a_length_is_a_chunk_too() {
    let (_server, amber) = house();
    let location = amber.begin_upload(APP);
    let mut stream = amber.begin("PATCH", &location, &[("content-type", "application/octet-stream")], None);
    stream.write_all(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").unwrap();
    let patched = read(&mut stream, "PATCH");
    assert_eq!((patched.status, patched.header("range")), (202, Some("0-10")));
    let digest = digest(b"hello world");
    assert_eq!(amber.send("PUT", &format!("{location}?digest={digest}"), &[], b"").status, 201);
}

#[test]
fn an_upload_that_broke_off_goes_on_where_it_stopped() {
    let (_server, amber) = house();
    let location = amber.begin_upload(APP);
    let mut stream = amber.begin("PATCH", &location, &[], Some(1000));
    stream.write_all(b"hello").unwrap();
    drop(stream);
    let begun = std::time::Instant::now();
    while amber.get(&location).header("range") != Some("0-4") {
        assert!(begun.elapsed().as_secs() < 10);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let digest = digest(b"hello world");
    let put = amber.send("PUT", &format!("{location}?digest={digest}"), &[("content-range", "5-10")], b" world");
    assert_eq!(put.status, 201, "{put:?}");
}

// ---- Cancel a blob upload (end-14)

#[test]
fn an_upload_is_cancelled_and_unknown_ones_are_404() {
    let (_server, amber) = house();
    let location = amber.begin_upload(APP);
    assert_eq!(amber.send("DELETE", &location, &[], b"").status, 204);
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(
            amber.send(method, &location, &[], b"").refusal(),
            (404, "BLOB_UPLOAD_UNKNOWN".to_owned()),
            "{method}"
        );
    }
    for id in ["..%2f..%2fsampan.db", "x", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(amber.get(&format!("/v2/{APP}/blobs/uploads/{id}")).status, 404, "{id}");
    }
}

// ---- Mounting a blob from another repository (end-11)

#[test]
fn a_blob_is_mounted_from_a_repository_that_has_it_and_uploaded_from_others() {
    let (_server, amber) = house();
    let digest = amber.push_blob(APP, b"layer");
    let mount = |from: &str, digest: &str| {
        amber.send("POST", &format!("/v2/default/other/blobs/uploads/?mount={digest}&from={from}"), &[], b"")
    };
    let mounted = mount(APP, &digest);
    assert_eq!((mounted.status, mounted.header("docker-content-digest")), (201, Some(digest.as_str())));
    assert_eq!(amber.get(&path_of(&mounted)).body, b"layer");
    for (from, digest) in
        [("default/none", digest.as_str()), (APP, &sampan_tests::registry::digest(b"none")), ("%20", &digest)]
    {
        let begun = mount(from, digest);
        assert_eq!(begun.status, 202, "{from}");
        assert_eq!(amber.get(&path_of(&begun)).status, 204);
    }
    let anonymous = amber.send("POST", &format!("/v2/default/third/blobs/uploads/?mount={digest}"), &[], b"");
    assert_eq!(anonymous.status, 202);
}

// ---- Pushing Manifests (end-7)

#[test]
fn a_manifest_needs_its_blobs_in_the_same_repository() {
    let (_server, amber) = house();
    amber.push_blob("default/elsewhere", b"layer");
    amber.push_blob(APP, b"{}");
    let text = manifest(&[b"layer", b"another"]).to_string();
    let refused = amber.push_manifest(APP, "v1", MANIFEST, text.as_bytes());
    assert_eq!(refused.refusal(), (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let errors = refused.json()["errors"].as_array().unwrap().clone();
    let missing: Vec<&str> = errors.iter().map(|error| error["detail"]["digest"].as_str().unwrap()).collect();
    let (one, other) = (digest(b"layer"), digest(b"another"));
    assert!(missing.len() == 2 && missing.contains(&one.as_str()) && missing.contains(&other.as_str()), "{missing:?}");
    assert_eq!(amber.get(&format!("/v2/{APP}/manifests/v1")).status, 404);
    // Nor does an index come before its manifests.
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, b"none")] }).to_string();
    assert_eq!(
        amber.push_manifest(APP, "i", INDEX, index.as_bytes()).refusal(),
        (404, "MANIFEST_BLOB_UNKNOWN".to_owned())
    );
}

#[test]
fn an_index_of_manifests_is_kept_and_its_parts_stay_while_it_is_there() {
    let (_server, amber) = house();
    let image = amber.push_image(APP, "image", b"layer");
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, &image)] }).to_string();
    let pushed = amber.push_manifest(APP, "index", INDEX, index.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    assert_eq!(amber.get(&format!("/v2/{APP}/manifests/index")).header("content-type"), Some(INDEX));
    let part = format!("/v2/{APP}/manifests/{}", digest(&image));
    assert_eq!(amber.send("DELETE", &part, &[], b"").refusal(), (409, "DENIED".to_owned()));
    assert_eq!(amber.send("DELETE", &path_of(&pushed), &[], b"").status, 202);
    assert_eq!(amber.send("DELETE", &part, &[], b"").status, 202);
}

#[test]
fn media_type_and_structure_are_checked_together() {
    let (_server, amber) = house();
    amber.push_image(APP, "1", b"layer");
    let with = |name: &str, value: Value| {
        let mut document = manifest(&[b"layer"]);
        document[name] = value;
        document.to_string()
    };
    for (kind, text) in [
        (INDEX, manifest(&[b"layer"]).to_string()),
        (MANIFEST, with("manifests", json!([]))),
        (MANIFEST, with("Layers", json!([]))),
        (MANIFEST, with("mediaType", json!(INDEX))),
        (MANIFEST, with("schemaVersion", json!(1))),
        (MANIFEST, with("config", Value::Null)),
        (MANIFEST, with("layers", json!([{ "mediaType": "x", "digest": digest(b"layer"), "size": 4 }]))),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", manifest(&[]).to_string()),
        (MANIFEST, "no JSON".to_owned()),
    ] {
        let refused = amber.push_manifest(APP, "bad", kind, text.as_bytes());
        assert_eq!(refused.refusal(), (400, "MANIFEST_INVALID".to_owned()), "{kind} {text}");
    }
    let sha512 =
        with("layers", json!([{ "mediaType": "x", "digest": format!("sha512:{}", "a".repeat(128)), "size": 4 }]));
    assert_eq!(
        amber.push_manifest(APP, "bad", MANIFEST, sha512.as_bytes()).refusal(),
        (400, "DIGEST_INVALID".to_owned())
    );
    assert_eq!(amber.get(&format!("/v2/{APP}/manifests/bad")).status, 404);
    // Parameters of Content-Type are passed over.
    let fine = manifest(&[b"layer"]).to_string();
    assert_eq!(amber.push_manifest(APP, "2", &format!("{MANIFEST}; charset=utf-8"), fine.as_bytes()).status, 201);
    assert_eq!(amber.get(&format!("/v2/{APP}/manifests/2")).header("content-type"), Some(MANIFEST));
}

#[test]
fn a_manifest_of_four_megabytes_is_taken_and_a_longer_one_is_413() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    let sized = |bytes: usize| {
        let mut document = manifest(&[]);
        document["annotations"] = json!({ "x": "" });
        let rest = bytes - document.to_string().len();
        document["annotations"] = json!({ "x": "a".repeat(rest) });
        document.to_string().into_bytes()
    };
    assert_eq!(amber.push_manifest(APP, "large", MANIFEST, &sized(4 << 20)).status, 201);
    assert_eq!(amber.push_manifest(APP, "larger", MANIFEST, &sized((4 << 20) + 1)).status, 413);
}

#[test]
fn a_push_by_digest_must_fit_and_may_bring_tags() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    let text = manifest(&[]).to_string();
    let own = digest(text.as_bytes());
    let wrong = amber.push_manifest(APP, &digest(b"other"), MANIFEST, text.as_bytes());
    assert_eq!(wrong.refusal(), (400, "DIGEST_INVALID".to_owned()));
    let pushed = amber.push_manifest(APP, &format!("{own}?tag=1.2&tag=latest"), MANIFEST, text.as_bytes());
    assert_eq!(pushed.status, 201);
    let tags: Vec<&str> =
        pushed.headers.iter().filter(|(name, _)| name == "oci-tag").map(|(_, tag)| tag.as_str()).collect();
    assert_eq!(tags, ["1.2", "latest"]);
    assert_eq!(amber.get(&format!("/v2/{APP}/tags/list")).json()["tags"], json!(["1.2", "latest"]));
    let bad = amber.push_manifest(APP, "-bad", MANIFEST, text.as_bytes());
    assert_eq!(bad.status, 400);
}

#[test]
fn layers_that_may_not_be_given_out_need_not_be_there() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    let mut document = manifest(&[]);
    document["layers"] = json!([descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", b"elsewhere")]);
    assert_eq!(amber.push_manifest(APP, "1", MANIFEST, document.to_string().as_bytes()).status, 201);
}

// ---- Pushing Manifests with Subject, Listing Referrers (end-12)

#[test]
fn what_is_about_a_manifest_is_listed_there_or_not() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    let subject = manifest(&[]).to_string();
    let about = digest(subject.as_bytes());
    // "MUST NOT return a 404": not even where nothing was pushed yet.
    let nowhere = amber.get(&format!("/v2/default/nowhere/referrers/{about}"));
    assert_eq!((nowhere.status, nowhere.json()["manifests"].clone()), (200, json!([])));
    let empty = amber.get(&format!("/v2/{APP}/referrers/{about}"));
    assert_eq!((empty.status, empty.header("content-type")), (200, Some(INDEX)));
    assert_eq!(empty.json()["manifests"], json!([]));
    let referrer = |artifact_type: Option<&str>, note: &str| {
        let mut document = manifest(&[]);
        document["subject"] = descriptor(MANIFEST, subject.as_bytes());
        document["annotations"] = json!({ "note": note });
        if let Some(artifact_type) = artifact_type {
            document["artifactType"] = artifact_type.into();
        }
        document.to_string()
    };
    // Before its subject is there.
    for (artifact_type, note) in [(Some("application/sbom"), "a"), (None, "b")] {
        let text = referrer(artifact_type, note);
        let pushed = amber.push_manifest(APP, &digest(text.as_bytes()), MANIFEST, text.as_bytes());
        assert_eq!((pushed.status, pushed.header("oci-subject")), (201, Some(about.as_str())));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": descriptor(MANIFEST, subject.as_bytes()) });
    let pushed = amber.push_manifest(APP, "index", INDEX, index.to_string().as_bytes());
    assert_eq!((pushed.status, pushed.header("oci-subject")), (201, Some(about.as_str())));
    assert_eq!(amber.push_manifest(APP, "subject", MANIFEST, subject.as_bytes()).status, 201);

    let list = amber.get(&format!("/v2/{APP}/referrers/{about}")).json();
    let found = list["manifests"].as_array().unwrap();
    assert_eq!((list["schemaVersion"].as_i64(), list["mediaType"].as_str(), found.len()), (Some(2), Some(INDEX), 3));
    let of = |note: &str| found.iter().find(|one| one["annotations"]["note"] == note).unwrap();
    assert_eq!(of("a")["artifactType"], "application/sbom");
    assert_eq!(of("a")["size"], referrer(Some("application/sbom"), "a").len());
    assert_eq!(of("b")["artifactType"], "application/vnd.oci.image.config.v1+json");
    let of_index = found.iter().find(|one| one["mediaType"] == INDEX).unwrap();
    assert!(of_index.get("artifactType").is_none(), "{of_index}");

    let filtered = amber.get(&format!("/v2/{APP}/referrers/{about}?artifactType=application/sbom"));
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(amber.get(&format!("/v2/{APP}/referrers/sha256:bad")).status, 400);
}

#[test]
fn many_referrers_come_in_pages() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    let about = descriptor(MANIFEST, b"subject");
    for number in 0..501 {
        let mut document = manifest(&[]);
        document["subject"] = about.clone();
        document["annotations"] = json!({ "number": number.to_string() });
        let text = document.to_string();
        assert_eq!(amber.push_manifest(APP, &digest(text.as_bytes()), MANIFEST, text.as_bytes()).status, 201);
    }
    let (mut path, mut seen) =
        (Some(format!("/v2/{APP}/referrers/{}", digest(b"subject"))), std::collections::BTreeSet::new());
    while let Some(next) = path.take() {
        let page = amber.get(&next);
        for one in page.json()["manifests"].as_array().unwrap() {
            assert!(seen.insert(one["digest"].as_str().unwrap().to_owned()));
        }
        path = page.header("link").map(link);
    }
    assert_eq!(seen.len(), 501);
}

/// The address of a `Link` to the next page.
fn link(header: &str) -> String {
    let (address, relation) = header.split_once(';').unwrap();
    assert_eq!(relation.trim(), "rel=\"next\"");
    address.trim_matches(['<', '>']).to_owned()
}

// ---- Listing Tags (end-8)

#[test]
fn tags_are_sorted_and_come_in_pages() {
    let (_server, amber) = house();
    amber.push_blob(APP, b"{}");
    let empty = amber.get(&format!("/v2/{APP}/tags/list"));
    assert_eq!((empty.status, empty.json()), (200, json!({ "name": APP, "tags": [] })));
    let text = manifest(&[]).to_string();
    for tag in ["b", "C", "a", "10", "2", "_x"] {
        assert_eq!(amber.push_manifest(APP, tag, MANIFEST, text.as_bytes()).status, 201);
    }
    let tags = |query: &str| amber.get(&format!("/v2/{APP}/tags/list{query}"));
    assert_eq!(tags("").json()["tags"], json!(["10", "2", "C", "_x", "a", "b"]));
    let first = tags("?n=4");
    assert_eq!(first.json()["tags"], json!(["10", "2", "C", "_x"]));
    let rest = amber.get(&link(first.header("link").unwrap()));
    assert_eq!((rest.json()["tags"].clone(), rest.header("link")), (json!(["a", "b"]), None));
    assert_eq!((tags("?n=6").header("link"), tags("?n=7").header("link")), (None, None));
    let none = tags("?n=0");
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), None));
    assert_eq!(tags("?last=C").json()["tags"], json!(["_x", "a", "b"]));
    assert_eq!(tags("?n=1&last=D").json()["tags"], json!(["_x"]));
}

#[test]
fn the_catalog_comes_in_pages() {
    let (_server, amber) = house();
    for name in ["default/c", "default/a", "default/b/x"] {
        amber.push_blob(name, b"{}");
    }
    assert_eq!(amber.get("/v2/_catalog").json()["repositories"], json!(["default/a", "default/b/x", "default/c"]));
    let first = amber.get("/v2/_catalog?n=2");
    assert_eq!(first.json()["repositories"], json!(["default/a", "default/b/x"]));
    assert_eq!(amber.get(&link(first.header("link").unwrap())).json()["repositories"], json!(["default/c"]));
}

// ---- Content Management (end-9, end-10)

#[test]
fn tags_manifests_and_blobs_are_deleted_at_once() {
    let (_server, amber) = house();
    let image = amber.push_image(APP, "1", b"layer");
    let own = digest(&image);
    assert_eq!(amber.push_manifest(APP, "2", MANIFEST, &image).status, 201);
    let manifest = |reference: &str| format!("/v2/{APP}/manifests/{reference}");
    assert_eq!(amber.send("DELETE", &manifest("1"), &[], b"").status, 202);
    assert_eq!((amber.get(&manifest("1")).status, amber.get(&manifest("2")).status), (404, 200));
    assert_eq!(amber.send("DELETE", &manifest("1"), &[], b"").status, 404);
    assert_eq!(amber.send("DELETE", &manifest(&own), &[], b"").status, 202);
    assert_eq!((amber.get(&manifest("2")).status, amber.get(&manifest(&own)).status), (404, 404));
    assert_eq!(amber.send("DELETE", &manifest(&own), &[], b"").status, 404);
    let blob = format!("/v2/{APP}/blobs/{}", digest(b"layer"));
    assert_eq!(amber.send("DELETE", &blob, &[], b"").status, 202);
    assert_eq!((amber.get(&blob).status, amber.send("DELETE", &blob, &[], b"").status), (404, 404));
    assert_eq!(amber.send("DELETE", "/v2/default/none/manifests/1", &[], b"").status, 404);
}
