//! Pulls from and pushes to a registry that misbehaves as it is told, and what teams see of each other through it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::document::{CONFIGURATIONS, INDEXES, MANIFESTS};
use super::testing::{Host, configuration, gzip, layer, owner};
use super::*;
use crate::digest::Digest;
use crate::layers::testing::{Entry, tar};
use crate::upstream::testing::{FakeRegistry, Reply, Seen};
use crate::upstream::{Credentials, Mirror, Registry, UpstreamError};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

impl Host {
    async fn pull(&self, team: i64, reference: &str) -> Result<(Pulled, Vec<PullEvent>), ImageError> {
        let told = Mutex::new(Vec::new());
        let pulled =
            self.images.pull(&owner(team), &order(reference), &|event| told.lock().unwrap().push(event)).await?;
        Ok((pulled, told.into_inner().unwrap()))
    }

    async fn refused(&self, reference: &str) -> ImageError {
        let refused = self.pull(1, reference).await.unwrap_err();
        assert!(self.images.list(&owner(1)).await.unwrap().is_empty());
        self.until_nothing_is_left(&refused.to_string()).await;
        refused
    }

    async fn push(&self, team: i64, reference: &str) -> Result<(Vec<Pushed>, Vec<PushEvent>), ImageError> {
        let told = Mutex::new(Vec::new());
        let request = PushRequest {
            reference: reference.parse().unwrap(),
            all: false,
            platform: None,
            credentials: Credentials::Anonymous,
            elevated: true,
        };
        let pushed = self.images.push(&owner(team), &request, &|event| told.lock().unwrap().push(event)).await?;
        Ok((pushed, told.into_inner().unwrap()))
    }

    /// What came is gone with the answer; the sweep behind it has a folder of its own for a moment.
    async fn until_nothing_is_left(&self, what: &str) {
        let begun = Instant::now();
        while self.left() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What lies in the folders of unfinished things.
    fn left(&self) -> usize {
        let count = |folder: &str| std::fs::read_dir(self.root.path().join(folder)).unwrap().count();
        count("layers/tmp") + count("content/tmp")
    }

    async fn mirror(&self, upstream: &FakeRegistry, mirror: &str, position: i64) {
        let url = format!("http://{mirror}");
        let mirror = Mirror { id: 0, upstream: upstream.host(), url, position, enabled: true };
        self.images.registries().put_mirror(&mirror).await.unwrap();
    }

    async fn served(&self) -> Vec<String> {
        let served = self.images.registries().served(&owner(1), None, 100).await.unwrap();
        served.into_iter().filter(|one| one.blobs > 0).map(|one| one.endpoint).collect()
    }
}

/// As an administrator, who reaches this host.
fn order(reference: &str) -> PullRequest {
    PullRequest {
        reference: reference.parse().unwrap(),
        platform: None,
        credentials: Credentials::Anonymous,
        elevated: true,
    }
}

fn large(name: &str) -> Vec<u8> {
    let mut state = 7_u64;
    let mut noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(3_000_000)
    .collect();
    noise.extend_from_slice(name.as_bytes());
    tar(&[Entry::file(name, &noise)])
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// An image of these layers as gzip: its manifest, which names no bytes that are not there.
fn put(registry: &FakeRegistry, repository: &str, tag: &str, layers: &[&[u8]]) -> Value {
    let packed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    for bytes in &packed {
        registry.blob(repository, bytes);
    }
    let config = configuration(layers);
    registry.blob(repository, &config);
    let parts: Vec<Value> = packed.iter().map(|bytes| descriptor(GZIP, bytes)).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": descriptor(CONFIGURATIONS[0], &config), "layers": parts});
    put_manifest(registry, repository, tag, &manifest);
    manifest
}

fn put_manifest(registry: &FakeRegistry, repository: &str, tag: &str, manifest: &Value) -> Digest {
    let media_type = manifest["mediaType"].as_str().unwrap_or_default();
    registry.manifest(repository, tag, media_type, manifest.to_string().as_bytes())
}

fn is_layer(seen: &Seen, layer: &[u8]) -> bool {
    seen.method == "GET" && seen.path.ends_with(&Digest::of(&gzip(layer)).to_string())
}

fn steps(events: &[PullEvent]) -> Vec<LayerStep> {
    let step = |event: &PullEvent| match event {
        PullEvent::Layer { step, .. } if !matches!(step, LayerStep::Downloading { .. }) => Some(*step),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

#[tokio::test]
async fn layers_come_as_gzip_as_zstd_and_plain_and_the_image_has_its_names() {
    let (host, registry) = (Host::new().await, FakeRegistry::start().await);
    let (a, b, c) = (layer("a"), layer("b"), layer("c"));
    let packed = [gzip(&a), zstd::encode_all(&b[..], 1).unwrap(), c.clone()];
    let types = [GZIP, "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar"];
    let config = configuration(&[&a, &b, &c]);
    registry.blob("app", &config);
    let parts: Vec<Value> = packed.iter().zip(types).map(|(bytes, media_type)| descriptor(media_type, bytes)).collect();
    for bytes in &packed {
        registry.blob("app", bytes);
    }
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": descriptor(CONFIGURATIONS[0], &config), "layers": parts});
    let digest = put_manifest(&registry, "app", "1", &manifest);
    let foreign = json!({"mediaType": MANIFESTS[0], "digest": Digest::of(b"x"), "size": 1, "platform": {"os": "linux", "architecture": "pdp11"}});
    let mut own = descriptor(MANIFESTS[0], manifest.to_string().as_bytes());
    own["platform"] = json!({"os": "linux", "architecture": plan::host_architecture()});
    let index = json!({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [foreign, own]});
    let top = put_manifest(&registry, "app", "many", &index);

    let name = format!("{}/app:many", registry.host());
    let (pulled, events) = host.pull(1, &name).await.unwrap();
    assert_eq!((pulled.id, pulled.digest, pulled.newer), (Digest::of(&config), top, true));
    use LayerStep::{Complete, Downloaded, Exists, Found, Verifying};
    assert_eq!(steps(&events)[..3], [Found; 3]);
    for step in [Verifying, Downloaded, Complete] {
        assert_eq!(steps(&events).iter().filter(|other| **other == step).count(), 3);
    }
    let done = PullEvent::Done { reference: name.clone(), newer: true };
    assert_eq!(events[events.len() - 2..], [PullEvent::Digest(top), done]);
    for (diff_id, bytes) in [&a, &b, &c].map(|bytes| (Digest::of(bytes), bytes)) {
        assert_eq!(&std::fs::read(host.root.path().join("layers").join(diff_id.hex()).join("tar")).unwrap(), bytes);
    }
    let image = host.images.find(&owner(1), &name).await.unwrap();
    assert_eq!(image.digests, [format!("{}/app@{top}", registry.host()).parse().unwrap()]);

    // The same by its own digest: nothing comes, no tag, one more digest.
    let by_digest = format!("{}/app@{digest}", registry.host());
    let (again, events) = host.pull(1, &by_digest).await.unwrap();
    assert_eq!((again.id, steps(&events)), (pulled.id, [[Found; 3], [Exists; 3]].concat()));
    assert_eq!(host.images.find(&owner(1), &by_digest).await.unwrap().id, pulled.id);
    assert!(!host.pull(1, &name).await.unwrap().0.newer);
    // The sweep keeps what the names stand for, and takes it with the last of them.
    host.images.sweep().await.unwrap();
    assert!(host.root.path().join("content").join(top.hex()).exists());
    let removed = host.images.remove(&owner(1), &name, false).await.unwrap();
    assert_eq!(removed.len(), 4, "a tag, both digests of its repository, the image: {removed:?}");
    assert!(host.images.find(&owner(1), &by_digest).await.is_err());
}

#[tokio::test]
async fn ten_pulls_at_once_cost_one_download() {
    let registry = FakeRegistry::scripted(|seen, before| {
        (seen.method == "GET" && seen.path.contains("/blobs/") && before == 0)
            .then(|| std::thread::sleep(Duration::from_millis(20)));
        None
    })
    .await;
    let host = Host::new().await;
    let layers = [large("a"), layer("b")];
    put(&registry, "app", "1", &[&layers[0], &layers[1]]);
    let name = format!("{}/app:1", registry.host());
    let pulls = (0..10).map(|number| host.pull(1 + number % 2, &name));
    for pulled in futures_util::future::join_all(pulls).await {
        pulled.unwrap();
    }
    for layer in &layers {
        assert_eq!(registry.seen().iter().filter(|seen| is_layer(seen, layer)).count(), 1);
    }
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn a_connection_that_breaks_or_stands_still_is_followed_by_another_from_there_on() {
    for reply in [Reply::Cut(1_200_000), Reply::Stall(1_200_000)] {
        let a = large("a");
        let (wanted, told) = (a.clone(), reply.clone());
        let registry =
            FakeRegistry::scripted(move |seen, before| (is_layer(seen, &wanted) && before < 2).then(|| told.clone()))
                .await;
        let host = Host::new().await;
        put(&registry, "app", "1", &[&a]);
        host.pull(1, &format!("{}/app:1", registry.host())).await.unwrap();
        let asked: Vec<_> = registry.seen().into_iter().filter(|seen| is_layer(seen, &a)).collect();
        assert_eq!(asked.len(), 3, "{reply:?}");
        assert!(!asked[0].headers.contains_key("range"));
        assert!(asked[1].headers["range"].starts_with("bytes="), "{:?}", asked[1]);
    }
}

#[tokio::test]
async fn one_that_drips_or_stands_still_for_good_is_given_up() {
    for reply in [Reply::Drip, Reply::Stall(10)] {
        let a = large("a");
        let (wanted, told) = (a.clone(), reply.clone());
        let registry = FakeRegistry::scripted(move |seen, _| is_layer(seen, &wanted).then(|| told.clone())).await;
        let host = Host::new().await;
        put(&registry, "app", "1", &[&a]);
        let begun = Instant::now();
        let refused = host.refused(&format!("{}/app:1", registry.host())).await;
        assert!(matches!(refused, ImageError::Upstream(UpstreamError::Stalled { .. })), "{reply:?}: {refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_patience_gets_it() {
    let waits = |seen: &Seen, before: usize| {
        let pause = vec![("retry-after".to_owned(), "1".to_owned())];
        match before {
            0 if seen.path.contains("/manifests/1") => Some(Reply::Full(429, pause, vec![])),
            0 | 1 if seen.path.contains("/blobs/") => Some(Reply::Full(503, vec![], vec![])),
            _ => None,
        }
    };
    let (host, registry) = (Host::new().await, FakeRegistry::scripted(waits).await);
    put(&registry, "app", "1", &[&layer("a")]);
    let begun = Instant::now();
    host.pull(1, &format!("{}/app:1", registry.host())).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let (host, registry) =
        (Host::new().await, FakeRegistry::scripted(|_, _| Some(Reply::Full(500, vec![], vec![]))).await);
    let refused = host.refused(&format!("{}/app:1", registry.host())).await;
    assert!(matches!(refused, ImageError::Upstream(UpstreamError::Status { status: 500, .. })), "{refused:?}");
    assert_eq!(registry.count("GET", "/manifests/"), 3);
}

#[tokio::test]
async fn bytes_that_are_not_what_they_are_named_by_are_refused() {
    let a = layer("a");
    let other = gzip(&layer("b"));
    let mut longer = gzip(&a);
    longer.push(0);
    for (body, what) in [(other, "other"), (longer, "longer"), (b"<html>".to_vec(), "page")] {
        let (wanted, told) = (a.clone(), body.clone());
        let script = move |seen: &Seen, _| is_layer(seen, &wanted).then(|| Reply::Full(200, vec![], told.clone()));
        let (host, registry) = (Host::new().await, FakeRegistry::scripted(script).await);
        let mut manifest = put(&registry, "app", "1", &[&a]);
        if what != "longer" {
            // As long as promised, so that only the digest tells.
            manifest["layers"][0]["size"] = json!(body.len());
            put_manifest(&registry, "app", "1", &manifest);
        }
        let refused = host.refused(&format!("{}/app:1", registry.host())).await;
        let right = match what {
            "longer" => matches!(refused, ImageError::Upstream(UpstreamError::WrongSize { .. })),
            _ => refused.to_string().starts_with("layer ") && sentence_of(&refused).contains("arrived with digest"),
        };
        assert!(right, "{what}: {refused:?}");
    }
    // A layer that is right and is not the one of the configuration.
    let (host, registry) = (Host::new().await, FakeRegistry::start().await);
    let mut manifest = put(&registry, "app", "1", &[&a]);
    let config = configuration(&[&layer("b")]);
    registry.blob("app", &config);
    manifest["config"] = descriptor(CONFIGURATIONS[0], &config);
    put_manifest(&registry, "app", "1", &manifest);
    let refused = host.refused(&format!("{}/app:1", registry.host())).await;
    assert!(matches!(refused, ImageError::WrongDigest { .. }), "{refused:?}");
}

fn sentence_of(error: &ImageError) -> String {
    crate::sentence(error)
}

#[tokio::test]
async fn manifests_that_are_none_of_an_image_here_are_refused_in_dockers_words() {
    let (host, registry) = (Host::new().await, FakeRegistry::start().await);
    let good = put(&registry, "app", "good", &[&layer("a")]);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        manifest
    };
    for (tag, manifest, words) in [
        ("both", changed(&|m| m["manifests"] = json!([])), "is not what its media type"),
        (
            "chart",
            changed(&|m| m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")),
            "unsupported media type",
        ),
        ("wasm", changed(&|m| m["layers"][0]["mediaType"] = json!("application/wasm")), "unsupported media type"),
        ("urls", changed(&|m| m["layers"][0]["urls"] = json!(["http://10.0.0.1/x"])), "is foreign"),
        ("many", changed(&|m| m["layers"] = json!(vec![m["layers"][0].clone(); 2])), "names 1 layers"),
        (
            "none",
            json!({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": []}),
            "no matching manifest for linux/",
        ),
        (
            "old",
            json!({"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"}),
            "schema 1 support has been removed",
        ),
    ] {
        put_manifest(&registry, "app", tag, &manifest);
        let refused = host.refused(&format!("{}/app:{tag}", registry.host())).await;
        assert!(refused.to_string().contains(words), "{tag}: {refused}");
    }
    // Another name for the same bytes than they have themselves.
    registry.manifest("app", "lie", MANIFESTS[1], good.to_string().as_bytes());
    assert!(matches!(host.refused(&format!("{}/app:lie", registry.host())).await, ImageError::Manifest { .. }));
    let unknown = host.refused(&format!("{}/app:unknown", registry.host())).await;
    assert_eq!(unknown.kind(), crate::Kind::NotFound);
    assert!(unknown.to_string().starts_with(&format!("manifest for {}/app:unknown not found", registry.host())));

    let told = Mutex::new(Vec::<PullEvent>::new());
    let arm = PullRequest { platform: Some("linux/arm64".into()), ..order(&format!("{}/app:good", registry.host())) };
    let refused = host.images.pull(&owner(1), &arm, &|event| told.lock().unwrap().push(event)).await.unwrap_err();
    assert!(matches!(refused, ImageError::OtherPlatform { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_huge_manifest_and_endless_redirects_are_refused() {
    let script = |seen: &Seen, _: usize| {
        let around = vec![("location".to_owned(), seen.path.clone())];
        match seen.path.as_str() {
            path if path.ends_with("huge") => Some(Reply::Full(200, vec![], vec![b' '; 5 << 20])),
            path if path.ends_with("around") => Some(Reply::Full(307, around, vec![])),
            _ => None,
        }
    };
    let (host, registry) = (Host::new().await, FakeRegistry::scripted(script).await);
    let refused = host.refused(&format!("{}/app:huge", registry.host())).await;
    assert!(matches!(refused, ImageError::Upstream(UpstreamError::TooLarge { .. })), "{refused:?}");
    let refused = host.refused(&format!("{}/app:around", registry.host())).await;
    assert!(matches!(refused, ImageError::Upstream(UpstreamError::Malformed { .. })), "{refused:?}");
}

/// What shows who asks goes to the registry, not to where it leads.
#[tokio::test]
async fn credentials_stay_with_the_host_they_are_for() {
    let a = layer("a");
    let elsewhere = FakeRegistry::start().await;
    elsewhere.blob("app", &gzip(&a));
    let (wanted, target) = (a.clone(), elsewhere.host());
    let script = move |seen: &Seen, _: usize| {
        if seen.headers.get("authorization").map(String::as_str) != Some("Basic dTpw") {
            return Some(Reply::Full(401, vec![("www-authenticate".to_owned(), "Basic realm=x".to_owned())], vec![]));
        }
        let there = vec![("location".to_owned(), format!("http://{target}{}", seen.path))];
        is_layer(seen, &wanted).then_some(Reply::Full(307, there, vec![]))
    };
    let (host, registry) = (Host::new().await, FakeRegistry::scripted(script).await);
    put(&registry, "app", "1", &[&a]);
    let name = format!("{}/app:1", registry.host());
    let refused = host.refused(&name).await;
    assert!(refused.to_string().starts_with(&format!("pull access denied for {}/app", registry.host())), "{refused}");
    let credentials = Credentials::Basic { username: "u".to_owned(), password: "p".to_owned() };
    let request = PullRequest { credentials, ..order(&name) };
    host.images.pull(&owner(1), &request, &|_| ()).await.unwrap();
    let asked = elsewhere.seen();
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].headers.contains_key("authorization"), "{asked:?}");
}

/// A team may reach an inner registry that the administrator opened for it, and nothing else by way of it.
#[tokio::test]
async fn neither_a_redirect_nor_a_realm_leads_a_team_inside() {
    let inner = FakeRegistry::start().await;
    let target = inner.host();
    let script = move |seen: &Seen, _: usize| {
        let realm = format!("Bearer realm=\"http://{target}/token\",service=x");
        let there = vec![("location".to_owned(), format!("http://{target}{}", seen.path))];
        match seen.path.as_str() {
            path if path.contains("/realm/") => {
                Some(Reply::Full(401, vec![("www-authenticate".to_owned(), realm)], vec![]))
            }
            path if path.contains("/away/") => Some(Reply::Full(307, there, vec![])),
            _ => None,
        }
    };
    let (host, registry) = (Host::new().await, FakeRegistry::scripted(script).await);
    put(&registry, "app", "1", &[&layer("a")]);
    let team =
        |repository: &str| PullRequest { elevated: false, ..order(&format!("{}/{repository}:1", registry.host())) };
    let pull = async |repository: &str| host.images.pull(&owner(1), &team(repository), &|_| ()).await;
    let egress = |error: &ImageError| matches!(error, ImageError::Upstream(UpstreamError::Egress { .. }));
    assert!(egress(&pull("app").await.unwrap_err()));
    assert!(registry.seen().is_empty());
    let rule = Registry { host: registry.host(), plain_http: true, ca_pem: None, teams_may: true };
    host.images.registries().put(&rule).await.unwrap();
    pull("app").await.unwrap();
    for repository in ["realm", "away"] {
        assert!(egress(&pull(repository).await.unwrap_err()), "{repository}");
    }
    assert!(inner.seen().is_empty());
    // Metadata of clouds: not even for an administrator.
    let refused = host.pull(1, "169.254.169.254/a").await.unwrap_err();
    assert!(egress(&refused), "{refused:?}");
}

#[tokio::test]
async fn a_token_is_got_once_for_a_scope_and_shown_with_every_request() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let (count, port) = (tokens.clone(), Arc::new(AtomicUsize::new(0)));
    let own = port.clone();
    let script = move |seen: &Seen, _: usize| {
        if seen.path.starts_with("/token") {
            assert!(seen.path.contains("scope=repository%3Aapp%3Apull"), "{}", seen.path);
            count.fetch_add(1, Ordering::Relaxed);
            return Some(Reply::Full(200, vec![], br#"{"token":"t0","expires_in":300}"#.to_vec()));
        }
        if seen.headers.get("authorization").map(String::as_str) == Some("Bearer t0") {
            return None;
        }
        let realm = format!("Bearer realm=\"http://127.0.0.1:{}/token\",service=\"s\"", own.load(Ordering::Relaxed));
        Some(Reply::Full(401, vec![("www-authenticate".to_owned(), realm)], vec![]))
    };
    let (host, registry) = (Host::new().await, FakeRegistry::scripted(script).await);
    port.store(registry.port.into(), Ordering::Relaxed);
    put(&registry, "app", "1", &[&layer("a"), &layer("b")]);
    host.pull(1, &format!("{}/app:1", registry.host())).await.unwrap();
    assert_eq!(tokens.load(Ordering::Relaxed), 1);
}

/// A digest opens nothing: neither a claim to have it, nor a manifest that names it.
#[tokio::test]
async fn who_knows_a_digest_of_another_teams_layer_gets_nothing_of_it() {
    let (host, theirs) = (Host::new().await, FakeRegistry::start().await);
    let secret = layer("secret");
    let manifest = put(&theirs, "private", "1", &[&secret]);
    host.pull(1, &format!("{}/private:1", theirs.host())).await.unwrap();
    // A registry of the other team's own says that it has the layer, and cannot give it.
    let digest = Digest::of(&gzip(&secret)).to_string();
    let claims = move |seen: &Seen, _: usize| {
        (seen.path.ends_with(&digest)).then(|| match seen.method.as_str() {
            "HEAD" => Reply::Full(200, vec![], vec![]),
            _ => Reply::Full(404, vec![], vec![]),
        })
    };
    let hostile = FakeRegistry::scripted(claims).await;
    hostile.blob("mine", &configuration(&[&secret]));
    put_manifest(&hostile, "mine", "1", &manifest);
    let refused = host.pull(2, &format!("{}/mine:1", hostile.host())).await.unwrap_err();
    assert!(matches!(refused, ImageError::Upstream(_)), "{refused:?}");
    assert!(host.images.list(&owner(2)).await.unwrap().is_empty());
    assert_eq!(hostile.count("GET", "/blobs/"), 2, "configuration and layer");
}

#[tokio::test]
async fn a_registry_that_gave_a_layer_before_says_who_may_have_it_without_another_download() {
    let allowed = Arc::new(AtomicUsize::new(1));
    let may = allowed.clone();
    let a = layer("a");
    let wanted = Digest::of(&gzip(&a)).to_string();
    let script = move |seen: &Seen, _: usize| {
        let asked = seen.method == "HEAD" && seen.path.ends_with(&wanted);
        (asked && may.load(Ordering::Relaxed) == 0).then(|| Reply::Full(404, vec![], vec![]))
    };
    let (host, registry) = (Host::new().await, FakeRegistry::scripted(script).await);
    put(&registry, "app", "1", &[&a]);
    let name = format!("{}/app:1", registry.host());
    host.pull(1, &name).await.unwrap();
    let gets = || registry.seen().iter().filter(|seen| is_layer(seen, &a)).count();
    let (_, events) = host.pull(2, &name).await.unwrap();
    assert_eq!((gets(), steps(&events)), (1, vec![LayerStep::Found, LayerStep::Exists]));
    host.images.remove(&owner(2), &name, false).await.unwrap();
    allowed.store(0, Ordering::Relaxed);
    host.pull(2, &name).await.unwrap();
    assert_eq!(gets(), 2);
}

#[tokio::test]
async fn a_pull_that_is_given_up_leaves_nothing() {
    let a = large("a");
    let wanted = a.clone();
    let registry =
        FakeRegistry::scripted(move |seen, _| is_layer(seen, &wanted).then_some(Reply::Stall(1_000_000))).await;
    let host = Host::new().await;
    put(&registry, "app", "1", &[&a]);
    let name = format!("{}/app:1", registry.host());
    assert!(tokio::time::timeout(Duration::from_millis(250), host.pull(1, &name)).await.is_err());
    host.until_nothing_is_left("given up").await;
    assert!(host.images.list(&owner(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mirror_serves_and_one_that_is_gone_slow_or_lies_is_passed_over() {
    let (a, b) = (layer("a"), layer("b"));
    let registry = FakeRegistry::start().await;
    put(&registry, "app", "1", &[&a]);
    let name = format!("{}/app:1", registry.host());
    // Well: all bytes are its own, and only the tag is asked for elsewhere.
    let (host, good) = (Host::new().await, FakeRegistry::start().await);
    put(&good, "app", "1", &[&a]);
    host.mirror(&registry, &good.host(), 1).await;
    host.pull(1, &name).await.unwrap();
    assert_eq!(host.served().await, [format!("http://{}", good.host())]);
    assert_eq!((registry.count("HEAD", "/manifests/1"), registry.count("GET", "")), (1, 0));
    // A tag that it has otherwise changes nothing: the registry says what it is.
    put(&good, "app", "1", &[&b]);
    let (host, wanted) = (Host::new().await, Digest::of(&configuration(&[&a])));
    host.mirror(&registry, &good.host(), 1).await;
    assert_eq!(host.pull(1, &name).await.unwrap().0.id, wanted);
    // Gone, slow, lying: each is found out, and the next one or the registry serves.
    let slow = FakeRegistry::scripted(|_, _| Some(Reply::Drip)).await;
    let other = gzip(&b);
    let lying = FakeRegistry::scripted(move |seen, _| {
        (seen.path.contains("/blobs/") || seen.path.contains("/manifests/"))
            .then(|| Reply::Full(200, vec![], other.clone()))
    })
    .await;
    let dead = "127.0.0.1:1".to_owned();
    put(&slow, "app", "1", &[&a]);
    for (bad, lies) in [(dead, false), (slow.host(), false), (lying.host(), true)] {
        let host = Host::new().await;
        host.mirror(&registry, &bad, 1).await;
        assert_eq!(host.pull(1, &name).await.unwrap().0.id, wanted, "{bad}");
        assert_eq!(host.served().await, [format!("http://{}", registry.host())], "{bad}");
        let mirrors = host.images.registries().mirrors().await.unwrap();
        assert_eq!(
            mirrors[0].state.as_ref().map(|state| (state.lied, state.failures > 0)),
            Some((lies, true)),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn when_the_registry_is_gone_a_mirrors_word_is_taken_and_told() {
    let (host, mirror) = (Host::new().await, FakeRegistry::start().await);
    let gone = FakeRegistry::start().await;
    let name = format!("{}/app:1", gone.host());
    host.mirror(&gone, &mirror.host(), 1).await;
    drop(gone);
    put(&mirror, "app", "1", &[&layer("a")]);
    let (_, events) = host.pull(1, &name).await.unwrap();
    let told = |event: &PullEvent| matches!(event, PullEvent::Note(text) if text.contains("cannot be reached"));
    assert!(events.iter().any(told), "{events:?}");
}

#[tokio::test]
async fn what_is_pushed_comes_back_the_same_and_goes_there_once() {
    let (host, registry, other) = (Host::new().await, FakeRegistry::start().await, FakeRegistry::start().await);
    let (a, b) = (large("a"), layer("b"));
    put(&other, "from", "1", &[&a, &b]);
    let source = format!("{}/from:1", other.host());
    let (pulled, _) = host.pull(1, &source).await.unwrap();
    let name = format!("{}/to/app:1", registry.host());
    assert!(matches!(host.push(1, &name).await, Err(ImageError::NothingToPush { .. })));
    host.images.tag(&owner(1), &source, &name).await.unwrap();
    assert!(matches!(host.push(1, &format!("{}/to/app:2", registry.host())).await, Err(ImageError::NoTag { .. })));

    let (pushed, events) = host.push(1, &name).await.unwrap();
    let sent = |events: &[PushEvent]| {
        events.iter().filter(|event| matches!(event, PushEvent::Layer { step: PushStep::Pushed, .. })).count()
    };
    assert_eq!(sent(&events), 2);
    assert_eq!(Digest::of(&registry.manifest_bytes("to/app", "1")), pushed[0].digest);
    // Known by now: no byte goes.
    registry.forget_seen();
    let (again, events) = host.push(1, &name).await.unwrap();
    assert_eq!((again, sent(&events), registry.count("POST", "")), (pushed.clone(), 0, 0));
    // To another repository of the same registry it is taken over.
    let third = format!("{}/third:1", registry.host());
    host.images.tag(&owner(1), &source, &third).await.unwrap();
    let (_, events) = host.push(1, &third).await.unwrap();
    let mounted = PushStep::Mounted { from: "to/app".to_owned() };
    let mounts = |event: &&PushEvent| matches!(event, PushEvent::Layer { step, .. } if *step == mounted);
    assert_eq!(events.iter().filter(mounts).count(), 2, "{events:?}");
    assert_eq!(registry.count("PATCH", ""), 0);
    // Back where it came from, under its old digest.
    let back = format!("{}/from:2", other.host());
    host.images.tag(&owner(1), &source, &back).await.unwrap();
    assert_eq!(host.push(1, &back).await.unwrap().0[0].digest, pulled.digest);
    // And another host gets the same image out of it.
    let fresh = Host::new().await;
    assert_eq!(fresh.pull(1, &name).await.unwrap().0.id, pulled.id);
    assert_eq!(host.left(), 0);
}

#[tokio::test]
async fn an_upload_goes_on_where_the_other_side_stands() {
    let registry = FakeRegistry::scripted(|seen, before| {
        (seen.method == "PATCH" && before == 0).then(|| Reply::Full(500, vec![], vec![]))
    })
    .await;
    let (host, other) = (Host::new().await, FakeRegistry::start().await);
    let noise = [large("a"), large("b"), large("c"), large("d")].concat();
    put(&other, "from", "1", &[&tar(&[Entry::file("noise", &noise)])]);
    let source = format!("{}/from:1", other.host());
    host.pull(1, &source).await.unwrap();
    let name = format!("{}/app:1", registry.host());
    host.images.tag(&owner(1), &source, &name).await.unwrap();
    host.push(1, &name).await.unwrap();
    assert_eq!((registry.count("PATCH", ""), registry.count("POST", "/uploads/")), (2, 2), "layer and configuration");
    assert!(Host::new().await.pull(1, &name).await.is_ok());
}
