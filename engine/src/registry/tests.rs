//! Two teams, a store of their own, and what the registry promises about it.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::mpsc;

use super::manifest::MANIFEST;
use super::*;
use crate::digest::Digest;
use crate::images::testing::{add_teams, open, owner};
use crate::layers::testing::{Entry, tar};

pub(super) struct House {
    pub root: tempfile::TempDir,
    pub pool: sqlx::SqlitePool,
    pub registry: Registry,
}

async fn registry(root: &std::path::Path, pool: &sqlx::SqlitePool) -> Registry {
    Registry::open(&open(root, pool)).await.unwrap()
}

impl House {
    pub async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let pool = crate::store::open(root.path()).await.unwrap();
        add_teams(&pool).await;
        let registry = registry(root.path(), &pool).await;
        Self { root, pool, registry }
    }

    /// As a server that was killed and started again.
    async fn again(&mut self) {
        self.registry = registry(self.root.path(), &self.pool).await;
    }

    async fn repository(&self, team: i64, name: &str) -> Repository {
        self.registry.ensure(&owner(team), name).await.unwrap()
    }

    async fn push(&self, repository: &Repository, bytes: &[u8]) -> Digest {
        let upload = self.registry.begin_upload(repository).await.unwrap();
        let digest = Digest::of(bytes);
        self.registry.finish_upload(repository, &upload.id, &digest, None, body(&[bytes])).await.unwrap();
        digest
    }

    async fn put(
        &self,
        repository: &Repository,
        manifest: &serde_json::Value,
        tags: &[&str],
    ) -> Result<Stored, RegistryError> {
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let bytes = manifest.to_string().into_bytes();
        let new = NewManifest { content_type: Some(MANIFEST), bytes: &bytes, digest: None, tags: &tags, by: "amber" };
        self.registry.put_manifest(repository, new).await
    }

    pub fn content(&self) -> Vec<String> {
        let listing = std::fs::read_dir(self.root.path().join("content")).unwrap();
        let mut names: Vec<String> = listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.len() == 64);
        names.sort();
        names
    }

    /// Makes every blob old enough to be swept.
    pub fn age(&self) {
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(200_000);
        for entry in std::fs::read_dir(self.root.path().join("content")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
            }
        }
    }
}

fn body(pieces: &[&[u8]]) -> mpsc::Receiver<Piece> {
    let (sender, receiver) = mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(Ok(Bytes::copy_from_slice(piece))).unwrap();
    }
    receiver
}

fn broken(pieces: &[&[u8]]) -> mpsc::Receiver<Piece> {
    let (sender, receiver) = mpsc::channel(pieces.len() + 1);
    for piece in pieces {
        sender.try_send(Ok(Bytes::copy_from_slice(piece))).unwrap();
    }
    sender.try_send(Err(std::io::Error::other("gone"))).unwrap();
    receiver
}

fn manifest(config: &[u8], layers: &[&[u8]]) -> serde_json::Value {
    let descriptor =
        |bytes: &&[u8]| json!({ "mediaType": "application/x", "digest": Digest::of(bytes), "size": bytes.len() });
    let layers: Vec<_> = layers.iter().map(descriptor).collect();
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(&config), "layers": layers })
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_stopped_also_after_a_restart() {
    let mut house = House::new().await;
    let repository = house.repository(1, "app").await;
    let upload = house.registry.begin_upload(&repository).await.unwrap();
    let error = house.registry.append(&repository, &upload.id, None, broken(&[b"hel", b"lo"])).await.unwrap_err();
    assert!(matches!(error, RegistryError::BrokenOff { offset: 5, .. }), "{error}");
    assert_eq!(house.registry.upload(&repository, &upload.id).await.unwrap().offset, 5);

    house.again().await;
    assert_eq!(house.registry.upload(&repository, &upload.id).await.unwrap().offset, 5);
    let digest = Digest::of(b"hello world");
    let wrong = house.registry.append(&repository, &upload.id, Some((4, 6)), body(&[b" world"])).await.unwrap_err();
    assert!(matches!(wrong, RegistryError::OutOfOrder { start: 4, offset: 5 }), "{wrong}");
    let wrong = house.registry.append(&repository, &upload.id, Some((5, 7)), body(&[b" world"])).await.unwrap_err();
    assert!(matches!(wrong, RegistryError::WrongLength { expected: 7, found: 6 }), "{wrong}");
    house.registry.finish_upload(&repository, &upload.id, &digest, Some((5, 6)), body(&[b" world"])).await.unwrap();
    let mut text = String::new();
    let mut blob = house.registry.blob(&repository, &digest).await.unwrap();
    std::io::Read::read_to_string(&mut blob.file, &mut text).unwrap();
    assert_eq!((text.as_str(), blob.size), ("hello world", 11));
    let over = house.registry.upload(&repository, &upload.id).await.unwrap_err();
    assert!(matches!(over, RegistryError::UploadUnknown { .. }), "{over}");
    assert_eq!(std::fs::read_dir(house.root.path().join("content/uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn bytes_of_another_digest_are_no_blob_and_nothing_of_them_stays() {
    let house = House::new().await;
    let repository = house.repository(1, "app").await;
    let upload = house.registry.begin_upload(&repository).await.unwrap();
    let digest = Digest::of(b"good");
    let error =
        house.registry.finish_upload(&repository, &upload.id, &digest, None, body(&[b"evil"])).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error}");
    assert!(house.content().is_empty());
    assert_eq!(std::fs::read_dir(house.root.path().join("content/uploads")).unwrap().count(), 0);
    assert!(house.registry.blob_size(&repository, &digest, true).await.is_err());
}

#[tokio::test]
async fn what_one_team_has_is_not_there_for_another_until_it_sent_the_bytes_itself() {
    let house = House::new().await;
    let (mine, theirs) = (house.repository(1, "app").await, house.repository(2, "app").await);
    let digest = house.push(&mine, b"secret layer").await;
    assert!(house.registry.blob(&theirs, &digest).await.is_err());
    let config = house.push(&theirs, b"{}").await;
    let error = house.put(&theirs, &manifest(b"{}", &[b"secret layer"]), &["x"]).await.unwrap_err();
    assert!(matches!(&error, RegistryError::ReferencesUnknown { digests } if digests == &[digest]), "{error}");
    // The same bytes lie on the disk once.
    house.push(&theirs, b"secret layer").await;
    assert!(house.registry.blob(&theirs, &digest).await.is_ok());
    let mut both = vec![digest.hex(), config.hex()];
    both.sort();
    assert_eq!(house.content(), both);
}

#[tokio::test]
async fn the_sweep_keeps_what_a_manifest_needs_and_what_may_still_get_one() {
    let house = House::new().await;
    let repository = house.repository(1, "app").await;
    for bytes in [&b"{}"[..], b"layer", b"never named"] {
        house.push(&repository, bytes).await;
    }
    let stored = house.put(&repository, &manifest(b"{}", &[b"layer"]), &["latest"]).await.unwrap();
    house.age();
    house.registry.tidy().await.unwrap();
    assert_eq!(house.content().len(), 4, "within its time of grace a blob without a manifest stays");
    house.registry.tidy_before(i64::MAX).await.unwrap();
    assert_eq!(house.content().len(), 3);
    assert!(house.registry.blob_size(&repository, &Digest::of(b"never named"), false).await.is_err());
    assert!(house.registry.manifest_by_tag(&repository, &"latest".parse().unwrap()).await.is_ok());

    house.registry.delete_manifest(&repository, &stored.digest).await.unwrap();
    house.registry.tidy_before(i64::MAX).await.unwrap();
    assert!(house.content().is_empty());
}

#[tokio::test]
async fn a_layers_tar_is_a_blob_without_another_copy() {
    let house = House::new().await;
    let repository = house.repository(1, "app").await;
    let layer = tar(&[Entry::file("hello", b"world")]);
    let digest = house.push(&repository, &layer).await;
    assert_eq!(house.content(), [digest.hex()]);
    // The same layer comes by an image, too.
    let layers = &house.registry.shared.layers;
    let mut ingest = layers.begin().unwrap();
    ingest.write(Bytes::from(layer.clone())).unwrap();
    layers.adopt(ingest.finish().unwrap().wait().unwrap()).unwrap();
    house.age();
    house.registry.tidy_before(0).await.unwrap();
    assert!(house.content().is_empty(), "the blob's bytes are the layer's tar now");
    let mut read = Vec::new();
    let mut blob = house.registry.blob(&repository, &digest).await.unwrap();
    std::io::Read::read_to_end(&mut blob.file, &mut read).unwrap();
    assert_eq!(read, layer);
    // Another push of it adds nothing.
    house.push(&house.repository(2, "app").await, &layer).await;
    assert!(house.content().is_empty());
}

#[tokio::test]
async fn an_immutable_tag_is_not_moved() {
    let house = House::new().await;
    let repository = house.repository(1, "app").await;
    house.push(&repository, b"{}").await;
    house.push(&repository, b"a").await;
    let change = Change { immutable_tags: Some(true), ..Change::default() };
    let repository = house.registry.change(&repository, change).await.unwrap();
    let first = manifest(b"{}", &[b"a"]);
    let stored = house.put(&repository, &first, &["1"]).await.unwrap();
    assert_eq!(house.put(&repository, &first, &["1"]).await.unwrap(), stored);
    let error = house.put(&repository, &manifest(b"{}", &[]), &["2", "1"]).await.unwrap_err();
    assert!(matches!(error, RegistryError::TagImmutable { .. }), "{error}");
    assert_eq!(house.registry.tag_names(&repository, "", 10).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn rules_keep_the_newest_tags_and_take_what_has_no_tag() {
    let house = House::new().await;
    let repository = house.repository(1, "app").await;
    house.push(&repository, b"{}").await;
    for layer in [&b"a"[..], b"b", b"c"] {
        house.push(&repository, layer).await;
        let tag = std::str::from_utf8(layer).unwrap();
        house.put(&repository, &manifest(b"{}", &[layer]), &[tag]).await.unwrap();
    }
    // A signature of the first, which has no tag itself.
    let mut signature = manifest(b"{}", &[]);
    let about = Digest::of(manifest(b"{}", &[b"a"]).to_string().as_bytes());
    signature["subject"] = json!({ "mediaType": MANIFEST, "digest": about, "size": 1 });
    house.put(&repository, &signature, &[]).await.unwrap();
    let change = Change { keep_tags: Some(Some(2)), keep_untagged_days: Some(Some(0)), ..Change::default() };
    let repository = house.registry.change(&repository, change).await.unwrap();
    let gone = house.registry.retain(&repository).await.unwrap();
    assert_eq!(gone.tags, ["a"]);
    // Days begin when the tag went: that was just now.
    assert_eq!(gone.manifests, Vec::<String>::new());
    let gone = house.registry.retain(&repository).await.unwrap();
    assert_eq!(gone.manifests.len(), 2, "the manifest and its signature");
    assert_eq!(house.registry.tag_names(&repository, "", 10).await.unwrap(), ["b", "c"]);
}

#[tokio::test]
async fn a_mount_sees_only_the_repository_it_names() {
    let house = House::new().await;
    let (from, to) = (house.repository(1, "one").await, house.repository(1, "two").await);
    let digest = house.push(&from, b"layer").await;
    assert!(!house.registry.mount(&to, &house.repository(1, "three").await, &digest).await.unwrap());
    assert!(house.registry.mount(&to, &from, &digest).await.unwrap());
    assert_eq!(house.registry.blob_size(&to, &digest, false).await.unwrap(), 5);
}

/// A page of a list costs what the page has, not what the table has: no scan, no sort.
#[tokio::test]
async fn a_hundred_thousand_tags_and_a_thousand_repositories_are_listed_by_their_indices() {
    let house = House::new().await;
    let repository = house.repository(1, "many").await;
    house.push(&repository, b"{}").await;
    let stored = house.put(&repository, &manifest(b"{}", &[]), &["x"]).await.unwrap();
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)";
    let tags = format!(
        "INSERT INTO repository_tags (repository_id, name, digest, tagged_by, tagged_at)
         {numbers} SELECT ?, printf('v%06d', i), ?, 'amber', i FROM n"
    );
    let tags = sqlx::query(sqlx::AssertSqlSafe(tags)).bind(100_000).bind(repository.id).bind(stored.digest.to_string());
    tags.execute(&house.pool).await.unwrap();
    let repositories = format!(
        "INSERT INTO repositories (team_id, name, created_at) {numbers} SELECT 1, printf('r%04d', i), 1 FROM n"
    );
    sqlx::query(sqlx::AssertSqlSafe(repositories)).bind(1_000).execute(&house.pool).await.unwrap();
    for (what, query) in [
        ("tags", "SELECT name FROM repository_tags WHERE repository_id = 1 AND name > 'v05' ORDER BY name LIMIT 100"),
        ("repositories", "SELECT name FROM repositories WHERE team_id = 1 AND name > 'r05' ORDER BY name LIMIT 100"),
        (
            "referrers",
            "SELECT digest FROM manifests WHERE repository_id = 1 AND subject = 'x' AND digest > '' ORDER BY digest",
        ),
        (
            "oldest",
            "SELECT name FROM repository_tags WHERE repository_id = 1 ORDER BY tagged_at DESC, name DESC LIMIT 9",
        ),
    ] {
        let plan = format!("EXPLAIN QUERY PLAN {query}");
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(plan)).fetch_all(&house.pool).await.unwrap();
        let steps: Vec<&str> = plan.iter().map(|(_, _, _, step)| step.as_str()).collect();
        assert!(steps.iter().all(|step| step.starts_with("SEARCH")), "{what}: {steps:?}");
    }
    let begun = std::time::Instant::now();
    let page = house.registry.tag_names(&repository, "v050000", 1_000).await.unwrap();
    let tags = begun.elapsed();
    assert_eq!((page.len(), page[0].as_str()), (1_000, "v050001"));
    let begun = std::time::Instant::now();
    assert_eq!(house.registry.list(&owner(1), "", "r0500", 100).await.unwrap().len(), 100);
    let repositories = begun.elapsed();
    let begun = std::time::Instant::now();
    assert_eq!(house.registry.catalog(&[1], "team1/r0500", 100).await.unwrap().len(), 100);
    eprintln!(
        "1,000 of 100,001 tags: {tags:?}; 100 of 1,001 repositories: {repositories:?}, as a catalog: {:?}",
        begun.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever comes in whatever pieces, with breaks and restarts between: the blob is what was sent.
    #[test]
    fn chunks_in_any_sizes_make_the_whole(
        chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<bool>()), 0..8)
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut house = House::new().await;
            let repository = house.repository(1, "app").await;
            let upload = house.registry.begin_upload(&repository).await.unwrap();
            let mut whole = Vec::new();
            for (chunk, breaks, restart) in chunks {
                let (half, _) = chunk.split_at(chunk.len() / 2);
                if breaks {
                    house.registry.append(&repository, &upload.id, None, broken(&[half])).await.unwrap_err();
                    whole.extend_from_slice(half);
                } else {
                    let range = (whole.len() as u64, chunk.len() as u64);
                    house.registry.append(&repository, &upload.id, Some(range), body(&[&chunk])).await.unwrap();
                    whole.extend_from_slice(&chunk);
                }
                if restart {
                    house.again().await;
                }
                assert_eq!(house.registry.upload(&repository, &upload.id).await.unwrap().offset, whole.len() as u64);
            }
            let digest = Digest::of(&whole);
            house.registry.finish_upload(&repository, &upload.id, &digest, None, body(&[])).await.unwrap();
            assert_eq!(std::fs::read(house.root.path().join("content").join(digest.hex())).unwrap(), whole);
        });
    }
}
