//! The cache before a registry that goes away, asks for names and is told to lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::manifest::MANIFEST;
use super::tests::House;
use super::*;
use crate::digest::Digest;
use crate::images::testing::owner;
use crate::upstream::testing::{FakeRegistry, Reply, Seen};
use crate::upstream::{Credentials, Mirror, UpstreamError};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Puts an image of one layer there; the digests of manifest and layer.
fn put(registry: &FakeRegistry, tag: &str, layer: &[u8]) -> (Digest, Digest) {
    let one = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": registry.blob("app", bytes), "size": bytes.len() });
    let config = one("application/vnd.oci.image.config.v1+json", b"{}");
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [one(LAYER, layer)] });
    (registry.manifest("app", tag, MANIFEST, manifest.to_string().as_bytes()), Digest::of(layer))
}

fn name(registry: &FakeRegistry) -> String {
    format!("cache/127.0.0.1_{}/app", registry.port)
}

async fn source(house: &House, registry: &FakeRegistry, credentials: &Credentials) -> Source {
    let reference = cached(&name(registry)).unwrap();
    house.registry.source(reference, credentials, true).await.unwrap()
}

async fn read(filled: Filled) -> Result<Vec<u8>, (usize, RegistryError)> {
    let mut whole = Vec::new();
    match filled {
        Filled::There(mut blob) => drop(std::io::Read::read_to_end(&mut blob.file, &mut whole).unwrap()),
        Filled::Coming(mut coming) => loop {
            match coming.next().await {
                Ok(Some(piece)) => whole.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => return Err((whole.len(), error)),
            }
        },
    }
    Ok(whole)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_pulls_at_once_of_two_teams_cost_one_download() {
    let registry = FakeRegistry::scripted(|seen, _| {
        (seen.method == "GET" && seen.path.contains("/blobs/")).then(|| std::thread::sleep(Duration::from_millis(50)));
        None
    })
    .await;
    let house = House::new().await;
    let layer = vec![7; 3_000_000];
    let (manifest, digest) = put(&registry, "1", &layer);
    let (name, tag): (String, Tag) = (name(&registry), "1".parse().unwrap());
    let pull = |team: i64| {
        let (house, registry, name, tag) = (&house, &registry, &name, &tag);
        async move {
            let source = source(house, registry, &Credentials::Anonymous).await;
            let cached = house.registry.cached_by_tag(team, name, &source, tag).await.unwrap();
            assert_eq!(cached.manifest.digest, manifest);
            let blob = house.registry.cached_blob(&cached.repository, &source, &digest).await.unwrap();
            assert_eq!(Digest::of(&read(blob).await.unwrap()), digest);
        }
    };
    futures_util::future::join_all((0..10).map(|number| pull(1 + number % 2))).await;
    assert_eq!(registry.count("GET", &format!("/blobs/{digest}")), 1);
    assert_eq!((registry.count("HEAD", "/manifests/"), registry.count("GET", "/manifests/")), (2, 2), "once a team");
    // It is there now for who comes later, of both.
    registry.forget_seen();
    futures_util::future::join_all([1, 2].map(pull)).await;
    assert_eq!(registry.seen(), []);
    let served = house.registry.shared.images.registries().served(&owner(1), None, 9).await.unwrap();
    let other = house.registry.shared.images.registries().served(&owner(2), None, 9).await.unwrap();
    assert_eq!(served.len() + other.len(), 1);
}

#[tokio::test]
async fn what_was_fetched_outlives_its_registry_and_goes_when_nobody_wants_it() {
    let how = Arc::new(AtomicUsize::new(200));
    let told = how.clone();
    let registry = FakeRegistry::scripted(move |_, _| match told.load(Ordering::Relaxed) {
        200 => None,
        status => Some(Reply::Full(status as u16, vec![], vec![])),
    })
    .await;
    let house = House::new().await;
    let (manifest, digest) = put(&registry, "1", b"layer");
    put(&registry, "gone", b"other");
    let name = name(&registry);
    let source = source(&house, &registry, &Credentials::Anonymous).await;
    let by_tag = |tag: &'static str| {
        let (house, name, source) = (&house, &name, &source);
        async move { house.registry.cached_by_tag(1, name, source, &tag.parse().unwrap()).await }
    };
    // What is not there makes no repository.
    assert!(matches!(by_tag("none").await, Err(RegistryError::Upstream(UpstreamError::NoManifest { .. }))));
    assert_eq!(house.registry.find(1, &name).await.unwrap(), None);
    let cached = by_tag("1").await.unwrap();
    by_tag("gone").await.unwrap();
    let repository = cached.repository.clone();
    let blob = house.registry.cached_blob(&repository, &source, &digest).await.unwrap();
    assert_eq!(read(blob).await.unwrap(), b"layer");
    // A blob that no manifest here names is not asked for.
    let other = registry.blob("app", b"not named");
    assert!(matches!(
        house.registry.cached_blob(&repository, &source, &other).await,
        Err(RegistryError::BlobUnknown { .. })
    ));

    // Within a minute nobody is asked; later the registry is, and only what it does not say any more goes.
    registry.forget_seen();
    by_tag("1").await.unwrap();
    assert_eq!(registry.seen(), []);
    let forget = || async {
        sqlx::query("UPDATE repository_tags SET checked_at = 1").execute(&house.pool).await.unwrap();
    };
    forget().await;
    assert!(by_tag("1").await.unwrap().as_of.unwrap() > 1);
    assert_eq!((registry.count("HEAD", ""), registry.count("GET", "")), (1, 0));
    how.store(404, Ordering::Relaxed);
    assert!(matches!(by_tag("gone").await, Err(RegistryError::Upstream(UpstreamError::NoManifest { .. }))));
    how.store(503, Ordering::Relaxed);
    forget().await;
    assert_eq!(by_tag("1").await.unwrap().as_of, Some(1), "as old as it says");
    let found = house.registry.cached_by_digest(1, &name, &source, &manifest).await.unwrap();
    assert_eq!(found.manifest.digest, manifest);
    let blob = house.registry.cached_blob(&repository, &source, &digest).await.unwrap();
    assert_eq!(read(blob).await.unwrap(), b"layer");
    let refused = by_tag("gone").await.unwrap_err();
    assert!(matches!(refused, RegistryError::Upstream(UpstreamError::Unreachable { .. })), "{refused:?}");
    // It was asked once: that it cannot be reached is remembered.
    assert_eq!(registry.seen().iter().filter(|seen| seen.path.ends_with("manifests/gone")).count(), 1);

    // What is used stays, what is not goes, with bytes and repository.
    house.registry.forget_before(crate::clock::now_ns() - 1_000_000_000_000).await.unwrap();
    by_tag("1").await.unwrap();
    sqlx::query("UPDATE manifests SET used_at = 1").execute(&house.pool).await.unwrap();
    house.registry.forget_before(2).await.unwrap();
    house.age();
    house.registry.tidy_before(i64::MAX).await.unwrap();
    assert_eq!(house.content(), Vec::<String>::new());
    assert_eq!(house.registry.find(1, &name).await.unwrap(), None);
}

/// Source of the row: SECURITY.md, "a digest alone opens nothing".
#[tokio::test]
async fn each_team_has_what_the_registry_lets_it_have() {
    let asks_for_a_name = |seen: &Seen, _: usize| {
        // amber:secret
        let known = seen.headers.get("authorization").is_some_and(|value| value == "Basic YW1iZXI6c2VjcmV0");
        let challenge = vec![("www-authenticate".to_owned(), "Basic realm=\"x\"".to_owned())];
        (!known).then_some(Reply::Full(401, challenge, vec![]))
    };
    let registry = FakeRegistry::scripted(asks_for_a_name).await;
    let house = House::new().await;
    let (manifest, digest) = put(&registry, "1", b"a secret layer");
    let (name, tag): (String, Tag) = (name(&registry), "1".parse().unwrap());
    let amber = Credentials::Basic { username: "amber".to_owned(), password: "secret".to_owned() };
    let first = source(&house, &registry, &amber).await;
    let cached = house.registry.cached_by_tag(1, &name, &first, &tag).await.unwrap();
    let blob = house.registry.cached_blob(&cached.repository, &first, &digest).await.unwrap();
    assert_eq!(read(blob).await.unwrap(), b"a secret layer");

    let other = source(&house, &registry, &Credentials::Anonymous).await;
    for refused in [
        house.registry.cached_by_tag(2, &name, &other, &tag).await.unwrap_err(),
        house.registry.cached_by_digest(2, &name, &other, &manifest).await.unwrap_err(),
    ] {
        assert!(matches!(refused, RegistryError::Upstream(UpstreamError::Denied { .. })), "{refused:?}");
    }
    assert_eq!(house.registry.find(2, &name).await.unwrap(), None);

    // A registry of the other team's own that says it has that blob, and has another.
    let evil = FakeRegistry::scripted(|seen, _| {
        (seen.method == "GET" && seen.path.contains("/blobs/"))
            .then(|| Reply::Full(200, vec![], b"an empty layer".to_vec()))
    })
    .await;
    put(&evil, "1", b"a secret layer");
    let (named, from) = (self::name(&evil), source(&house, &evil, &Credentials::Anonymous).await);
    let cached = house.registry.cached_by_tag(2, &named, &from, &tag).await.unwrap();
    let refused = match house.registry.cached_blob(&cached.repository, &from, &digest).await {
        Ok(blob) => read(blob).await.unwrap_err().1,
        Err(error) => error,
    };
    assert!(refused.to_string().contains("arrived with digest"), "{refused:?}");
}

#[tokio::test]
async fn a_mirror_that_lies_is_found_out_before_the_last_byte() {
    let layer = vec![7; 900_000];
    let mut lie = layer.clone();
    *lie.last_mut().unwrap() = 8;
    let (registry, house) = (FakeRegistry::start().await, House::new().await);
    let mirror = FakeRegistry::scripted(move |seen, _| {
        (seen.method == "GET" && seen.path.contains("/blobs/")).then(|| Reply::Full(200, vec![], lie.clone()))
    })
    .await;
    let (_, digest) = put(&registry, "1", &layer);
    put(&mirror, "1", &layer);
    let url = format!("http://{}", mirror.host());
    let rule = Mirror { id: 0, upstream: registry.host(), url, position: 1, enabled: true };
    house.registry.shared.images.registries().put_mirror(&rule).await.unwrap();
    let (name, source) = (name(&registry), source(&house, &registry, &Credentials::Anonymous).await);
    let cached = house.registry.cached_by_tag(1, &name, &source, &"1".parse().unwrap()).await.unwrap();
    assert_eq!(registry.count("GET", "/manifests/"), 0, "the mirror gave it");
    let ask = || house.registry.cached_blob(&cached.repository, &source, &digest);
    // Who read on while it came is told to ask again, or came too late to read any of it.
    match read(ask().await.unwrap()).await {
        Ok(bytes) => assert_eq!(Digest::of(&bytes), digest),
        Err((count, error)) => {
            assert!(count < layer.len(), "{error}");
            assert_eq!(Digest::of(&read(ask().await.unwrap()).await.unwrap()), digest);
        }
    }
    assert_eq!((mirror.count("GET", "/blobs/"), registry.count("GET", "/blobs/")), (1, 1));
    assert_eq!(std::fs::read_dir(house.root.path().join("content/tmp")).unwrap().count(), 0);
}
