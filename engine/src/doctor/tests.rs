//! Every kind of thing is damaged, found, and right again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::images::PullRequest;
use crate::images::testing::{Host, configuration, gzip, layer, owner, saved, short};
use crate::registry::{NewManifest, Registry, Repository};
use crate::upstream::testing::FakeRegistry;
use crate::upstream::{Proxies, Registry as Rule};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn manifest(config: &[u8], layers: &[&[u8]]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|bytes| descriptor(GZIP, bytes)).collect();
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": layers })
}

/// Turns one bit of the byte in the middle.
fn flip(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
}

async fn look(host: &Host) -> Report {
    examine(host.root.path(), &host.pool, None).await.unwrap()
}

async fn repair(host: &Host) -> Report {
    let transport = Transport::new(Proxies::default(), short());
    let repair = Repair { transport, credentials: Vec::new() };
    examine(host.root.path(), &host.pool, Some(repair)).await.unwrap()
}

fn words(report: &Report) -> String {
    report.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

async fn is_well(host: &Host) {
    let report = look(host).await;
    assert!(report.findings.is_empty(), "{}", words(&report));
}

fn content(host: &Host, digest: &Digest) -> PathBuf {
    host.root.path().join("content").join(digest.hex())
}

/// An image at another registry that teams may reach.
struct Pulled {
    registry: FakeRegistry,
    name: String,
    config: Vec<u8>,
    layer: Vec<u8>,
    manifest: Digest,
    index: Digest,
}

async fn pulled(host: &Host) -> Pulled {
    let registry = FakeRegistry::start().await;
    let (bytes, config) = (layer("a"), configuration(&[&layer("a")]));
    let packed = gzip(&bytes);
    registry.blob("app", &packed);
    registry.blob("app", &config);
    let document = manifest(&config, &[&packed]).to_string();
    let manifest = registry.manifest("app", "own", MANIFEST, document.as_bytes());
    let mut own = descriptor(MANIFEST, document.as_bytes());
    let architecture = serde_json::from_slice::<Value>(&config).unwrap()["architecture"].clone();
    own["platform"] = json!({ "os": "linux", "architecture": architecture });
    let top = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [own] });
    let index = registry.manifest("app", "1", INDEX, top.to_string().as_bytes());
    let rule = Rule { host: registry.host(), plain_http: true, ca_pem: None, teams_may: true };
    host.images.registries().put(&rule).await.unwrap();
    let name = format!("{}/app:1", registry.host());
    let reference = name.parse().unwrap();
    let request = PullRequest { reference, platform: None, credentials: Credentials::Anonymous, elevated: false };
    host.images.pull(&owner(1), &request, &|_| ()).await.unwrap();
    Pulled { registry, name, config, layer: bytes, manifest, index }
}

#[tokio::test]
async fn what_was_pulled_comes_back_from_where_it_came() {
    let host = Host::new().await;
    let pulled = pulled(&host).await;
    is_well(&host).await;
    let diff_id = Digest::of(&pulled.layer);
    let tar = host.root.path().join("layers").join(diff_id.hex()).join("tar");
    let by_digest = format!("{}/app@{}", pulled.registry.host(), pulled.manifest);
    for (path, name, comes) in [
        (tar.clone(), diff_id, "fetched again from"),
        (content(&host, &pulled.manifest), pulled.manifest, "fetched again from"),
        (content(&host, &pulled.index), pulled.index, "fetched again from"),
        (content(&host, &Digest::of(&pulled.config)), Digest::of(&pulled.config), "repaired"),
    ] {
        for gone in [false, true] {
            if gone {
                std::fs::remove_file(&path).unwrap()
            } else {
                flip(&path)
            }
            let found = look(&host).await;
            let said = words(&found);
            assert!(!found.is_sound() && said.contains(&name.to_string()) && said.contains(&pulled.name), "{said}");
            assert!(comes == "repaired" || said.contains(&format!("fetches it again from {by_digest}")), "{said}");
            let mended = repair(&host).await;
            assert!(mended.is_sound() && words(&mended).contains(comes), "{}", words(&mended));
            is_well(&host).await;
        }
    }
    assert_eq!(std::fs::read(tar).unwrap(), pulled.layer);

    // By the name of a pull alone, when no digest leads there any more.
    host.images.tag(&owner(1), &pulled.name, "kept:1").await.unwrap();
    host.images.remove(&owner(1), &pulled.name, false).await.unwrap();
    let tar = host.root.path().join("layers").join(diff_id.hex()).join("tar");
    flip(&tar);
    let mended = repair(&host).await;
    assert!(mended.is_sound() && words(&mended).contains(&pulled.name), "{}", words(&mended));

    // The name leads to other layers by now, which the configuration does not name.
    let other = gzip(&layer("other"));
    pulled.registry.blob("app", &other);
    let document = manifest(&pulled.config, &[&other]).to_string();
    pulled.registry.manifest("app", "1", MANIFEST, document.as_bytes());
    flip(&tar);
    let mended = repair(&host).await;
    let said = words(&mended);
    assert!(!mended.is_sound() && said.contains(&format!("should have digest {diff_id}")), "{said}");
    // As somebody loads it again.
    let bytes = [&pulled.layer[..]];
    host.load(1, &saved(&["kept:1"], &bytes, &bytes)).await.unwrap();
    is_well(&host).await;

    // The registry is gone.
    drop(pulled.registry);
    flip(&tar);
    let mended = repair(&host).await;
    let said = words(&mended);
    assert!(!mended.is_sound() && said.contains("taken out of the store: load or pull an image"), "{said}");
    assert!(!tar.exists());
}

struct House {
    host: Host,
    registry: Registry,
    repository: Repository,
}

impl House {
    async fn new() -> Self {
        let host = Host::new().await;
        let registry = Registry::open(&host.images).await.unwrap();
        let repository = registry.ensure(&owner(1), "app").await.unwrap();
        Self { host, registry, repository }
    }

    async fn push(&self, bytes: &[u8]) -> Digest {
        let (sender, body) = mpsc::channel(1);
        sender.try_send(Ok(Bytes::copy_from_slice(bytes))).unwrap();
        drop(sender);
        let upload = self.registry.begin_upload(&self.repository).await.unwrap();
        let digest = Digest::of(bytes);
        self.registry.finish_upload(&self.repository, &upload.id, &digest, None, body).await.unwrap();
        digest
    }

    async fn put(&self, document: &Value, tags: &[&str]) -> Digest {
        let (bytes, tags) = (document.to_string().into_bytes(), tags.iter().map(|tag| tag.parse().unwrap()));
        let tags: Vec<_> = tags.collect();
        let kind = document["mediaType"].as_str();
        let new = NewManifest { content_type: kind, bytes: &bytes, digest: None, tags: &tags, by: "amber" };
        self.registry.put_manifest(&self.repository, new).await.unwrap().digest
    }

    async fn run(&self, query: &'static str) {
        // As damage does, not as the server would.
        let mut connection = self.host.pool.acquire().await.unwrap();
        sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.unwrap();
        sqlx::query(query).execute(&mut *connection).await.unwrap();
        sqlx::query("PRAGMA foreign_keys = ON").execute(&mut *connection).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_pushed_is_taken_out_so_that_it_can_be_pushed_again() {
    let house = House::new().await;
    let (config, bytes) = (b"{}".to_vec(), gzip(&layer("a")));
    let image = manifest(&config, &[&bytes]);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX,
                        "manifests": [descriptor(MANIFEST, image.to_string().as_bytes())] });
    let mut signature = manifest(&config, &[]);
    signature["subject"] = descriptor(MANIFEST, image.to_string().as_bytes());
    for part in [&config, &bytes] {
        house.push(part).await;
    }
    let own = house.put(&image, &[]).await;
    let top = house.put(&index, &["1"]).await;
    let about = house.put(&signature, &[]).await;
    is_well(&house.host).await;

    for (digest, user) in [
        (Digest::of(&config), "team1/app:1"),
        (Digest::of(&bytes), "team1/app:1"),
        (own, "team1/app:1"),
        (top, "team1/app:1"),
        (about, &*format!("team1/app@{about}")),
    ] {
        flip(&content(&house.host, &digest));
        let said = words(&look(&house.host).await);
        assert!(said.contains(&format!("blob {digest}")) && said.contains(user), "{user}: {said}");
        let mended = repair(&house.host).await;
        assert!(!mended.is_sound() && words(&mended).contains("push what needs it again"), "{}", words(&mended));
        assert!(!content(&house.host, &digest).exists());
        // A client asks for each part, sends what is not there, and then the manifests.
        for part in [&config, &bytes] {
            if house.registry.blob_size(&house.repository, &Digest::of(part), true).await.is_err() {
                house.push(part).await;
            }
        }
        let none: &[&str] = &[];
        for (document, tags) in [(&image, none), (&index, &["1"]), (&signature, none)] {
            house.put(document, tags).await;
        }
        is_well(&house.host).await;
    }
}

#[tokio::test]
async fn a_pushed_layer_that_another_registry_has_comes_from_there() {
    let house = House::new().await;
    let pulled = pulled(&house.host).await;
    let packed = gzip(&pulled.layer);
    house.push(&pulled.config).await;
    let digest = house.push(&packed).await;
    house.put(&manifest(&pulled.config, &[&packed]), &["1"]).await;
    flip(&content(&house.host, &digest));
    let mended = repair(&house.host).await;
    assert!(mended.is_sound() && words(&mended).contains("fetched again from"), "{}", words(&mended));
    is_well(&house.host).await;
    assert_eq!(std::fs::read(content(&house.host, &digest)).unwrap(), packed);
}

#[tokio::test]
async fn records_that_say_other_things_than_the_bytes_are_made_from_them_anew() {
    let house = House::new().await;
    let (config, bytes) = (b"{}".to_vec(), gzip(&layer("a")));
    house.push(&config).await;
    house.push(&bytes).await;
    let image = manifest(&config, &[&bytes]);
    house.put(&image, &["1"]).await;
    let mut signature = manifest(&config, &[]);
    signature["subject"] = descriptor(MANIFEST, image.to_string().as_bytes());
    house.put(&signature, &[]).await;
    for (query, part) in [
        ("UPDATE manifests SET subject = NULL WHERE subject IS NOT NULL", "manifest"),
        ("UPDATE manifests SET subject = 'sha256:00' WHERE subject IS NULL", "manifest"),
        ("UPDATE manifests SET media_type = 'application/vnd.oci.image.index.v1+json'", "manifest"),
        ("UPDATE manifests SET artifact_type = 'x'", "manifest"),
        ("UPDATE manifests SET annotations = '{\"a\":\"b\"}'", "manifest"),
        ("UPDATE manifests SET size = 1", "manifest"),
        ("DELETE FROM manifest_links WHERE kind = 'blob'", "manifest"),
        ("UPDATE repository_blobs SET size = size + 1", "blob"),
    ] {
        house.run(query).await;
        let found = look(&house.host).await;
        let right = found.findings.iter().all(|one| one.part.to_string() == part && one.outcome == Outcome::Repairable);
        assert!(!found.findings.is_empty() && right, "{query}: {}", words(&found));
        assert!(repair(&house.host).await.is_sound(), "{query}");
        is_well(&house.host).await;
    }
    let subject = Digest::of(image.to_string().as_bytes());
    let about = house.registry.referrers(&house.repository, &subject, None, "").await.unwrap();
    assert_eq!(about.index["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_leads_to_nothing_is_named() {
    let house = House::new().await;
    let config = b"{}".to_vec();
    house.push(&config).await;
    house.put(&manifest(&config, &[]), &["1"]).await;
    house
        .run("INSERT INTO repository_tags SELECT repository_id, 'astray', 'sha256:00', 'amber', 1, NULL FROM repository_tags")
        .await;
    let said = words(&look(&house.host).await);
    assert!(said.contains("tag team1/app:astray: it leads to sha256:00, which is not there"), "{said}");
    repair(&house.host).await;
    is_well(&house.host).await;

    house.run("DELETE FROM repository_blobs").await;
    let said = words(&look(&house.host).await);
    assert!(said.contains("it needs the blob") && said.contains("needed by team1/app:1"), "{said}");
    assert!(!repair(&house.host).await.is_sound());
    house.push(&config).await;
    is_well(&house.host).await;
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_are_named_and_go() {
    let house = House::new().await;
    let uploads = house.host.root.path().join("content/uploads");
    let long_ago = SystemTime::now() - Duration::from_secs(300_000);
    let left = house.registry.begin_upload(&house.repository).await.unwrap();
    let rowless = house.registry.begin_upload(&house.repository).await.unwrap();
    let young = house.registry.begin_upload(&house.repository).await.unwrap();
    let fileless = house.registry.begin_upload(&house.repository).await.unwrap();
    is_well(&house.host).await;
    sqlx::query("DELETE FROM uploads WHERE id = ?").bind(&rowless.id).execute(&house.host.pool).await.unwrap();
    let old = sqlx::query("UPDATE uploads SET started_at = 1 WHERE id = ?").bind(&fileless.id);
    old.execute(&house.host.pool).await.unwrap();
    std::fs::remove_file(uploads.join(&fileless.id)).unwrap();
    for id in [&left.id, &rowless.id] {
        File::open(uploads.join(id)).unwrap().set_modified(long_ago).unwrap();
    }
    let found = look(&house.host).await;
    let said = words(&found);
    assert!(found.findings.len() == 3 && !said.contains(&young.id), "{said}");
    assert!(repair(&house.host).await.is_sound());
    is_well(&house.host).await;
    assert!(house.registry.upload(&house.repository, &young.id).await.is_ok());
}
