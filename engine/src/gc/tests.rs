//! The stores under whatever is done to them in whatever order, cut off anywhere: nothing that is named is lost, and
//! nothing that is not named stays for ever.
//!
//! A life is a runtime with all handles. An act that is cut off is polled a few times and dropped, then all of its life:
//! what ran on threads runs to its end, as what a killed server asked of the kernel does. The next life opens the same
//! folder. Kills in the middle of such work are tests/tests/faults.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::SqlitePool;
use tokio::sync::mpsc;

use super::Lease;
use crate::digest::Digest;
use crate::images::testing::{add_teams, layer, open, owner, saved};
use crate::images::{ImageError, Images, PruneFilter};
use crate::layers::{LayerStore, chain_id};
use crate::reference::ImageReference;
use crate::registry::{Manifest, NewManifest, Registry, RegistryError, Repository, Tag};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &[u8] = b"{}";
/// Layers, and blobs whose bytes they are.
const LAYERS: u8 = 4;

/// What is done; small numbers, so that things meet.
#[derive(Debug, Clone)]
enum Act {
    Load {
        team: i64,
        image: u8,
    },
    Tag {
        team: i64,
        from: u8,
        to: u8,
    },
    Remove {
        team: i64,
        image: u8,
    },
    Prune {
        team: i64,
    },
    Put {
        repository: u8,
        manifest: u8,
        tag: u8,
    },
    Index {
        repository: u8,
        manifest: u8,
        tag: u8,
    },
    Refer {
        repository: u8,
        manifest: u8,
    },
    Leave {
        repository: u8,
        blob: u8,
    },
    Mount {
        from: u8,
        to: u8,
        blob: u8,
    },
    Untag {
        repository: u8,
        tag: u8,
    },
    Delete {
        repository: u8,
        tag: u8,
    },
    RemoveRepository {
        repository: u8,
    },
    Publish {
        team: i64,
        image: u8,
        repository: u8,
        tag: u8,
    },
    Obtain {
        repository: u8,
        tag: u8,
        team: i64,
    },
    /// A pull under way: it keeps a layer that no image has yet.
    Hold {
        layer: u8,
    },
    LetGo,
    /// A layer whose work was killed before it had rows.
    Stray {
        layer: u8,
    },
    Tidy,
    Sweep,
    Crash,
}

/// With a sweep at the same time; cut off after so many polls.
type Step = (Act, bool, Option<u32>);

fn acts() -> impl Strategy<Value = Vec<Step>> {
    let (team, small) = (1..=2_i64, 0..3_u8);
    let image = 0..LAYERS;
    let act = prop_oneof![
        3 => (team.clone(), image.clone()).prop_map(|(team, image)| Act::Load { team, image }),
        1 => (team.clone(), image.clone(), image.clone()).prop_map(|(team, from, to)| Act::Tag { team, from, to }),
        2 => (team.clone(), image.clone()).prop_map(|(team, image)| Act::Remove { team, image }),
        1 => team.clone().prop_map(|team| Act::Prune { team }),
        4 => (0..2_u8, image.clone(), small.clone())
            .prop_map(|(repository, manifest, tag)| Act::Put { repository, manifest, tag }),
        2 => (0..2_u8, image.clone(), small.clone())
            .prop_map(|(repository, manifest, tag)| Act::Index { repository, manifest, tag }),
        1 => (0..2_u8, image.clone()).prop_map(|(repository, manifest)| Act::Refer { repository, manifest }),
        1 => (0..2_u8, image.clone()).prop_map(|(repository, blob)| Act::Leave { repository, blob }),
        1 => (0..2_u8, 0..2_u8, image.clone()).prop_map(|(from, to, blob)| Act::Mount { from, to, blob }),
        1 => (0..2_u8, small.clone()).prop_map(|(repository, tag)| Act::Untag { repository, tag }),
        2 => (0..2_u8, small.clone()).prop_map(|(repository, tag)| Act::Delete { repository, tag }),
        1 => (0..2_u8).prop_map(|repository| Act::RemoveRepository { repository }),
        2 => (team.clone(), image.clone(), 0..2_u8, small.clone())
            .prop_map(|(team, image, repository, tag)| Act::Publish { team, image, repository, tag }),
        2 => (0..2_u8, small, team).prop_map(|(repository, tag, team)| Act::Obtain { repository, tag, team }),
        1 => image.clone().prop_map(|layer| Act::Hold { layer }),
        1 => Just(Act::LetGo),
        1 => image.prop_map(|layer| Act::Stray { layer }),
        3 => Just(Act::Tidy),
        3 => Just(Act::Sweep),
        1 => Just(Act::Crash),
    ];
    let cut = prop_oneof![4 => Just(None), 1 => (1..25_u32).prop_map(Some)];
    prop::collection::vec((act, any::<bool>(), cut), 1..30)
}

fn blob(number: u8) -> Vec<u8> {
    layer(&format!("layer{number}"))
}

/// Layers of image `number`: its own, over another one's.
fn layers_of(number: u8) -> [Vec<u8>; 2] {
    [blob((number + 1) % LAYERS), blob(number)]
}

fn name(number: u8) -> String {
    format!("image{number}:latest")
}

fn tag(number: u8) -> Tag {
    format!("t{number}").parse().unwrap()
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn manifest(number: u8) -> Vec<u8> {
    let layers = layers_of(number).map(|bytes| descriptor("application/vnd.oci.image.layer.v1.tar", &bytes));
    let config = descriptor("application/x", CONFIG);
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }).to_string().into_bytes()
}

fn index(number: u8) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, &manifest(number))] })
        .to_string()
        .into_bytes()
}

fn referrer(number: u8) -> Vec<u8> {
    let subject = descriptor(MANIFEST, &manifest(number));
    let config = descriptor("application/x", CONFIG);
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "subject": subject })
        .to_string()
        .into_bytes()
}

fn body(bytes: &[u8]) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(Ok(Bytes::copy_from_slice(bytes))).unwrap();
    receiver
}

/// Makes what lies in the content store older than any grace.
fn age(root: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(200_000);
    for folder in ["content", "content/uploads"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if let Ok(file) = std::fs::File::open(path)
                && file.metadata().unwrap().is_file()
            {
                file.set_modified(long_ago).unwrap();
            }
        }
    }
}

/// One process, as it were.
struct Life {
    held: Vec<(Digest, Lease)>,
    registry: Registry,
    images: Images,
    pool: SqlitePool,
}

impl Life {
    async fn begin(root: &Path) -> Self {
        let pool = crate::store::open(root).await.unwrap();
        let images = open(root, &pool);
        let registry = Registry::open(&images).await.unwrap();
        Self { held: Vec::new(), registry, images, pool }
    }

    async fn repository(&self, number: u8) -> Result<Repository, RegistryError> {
        // The second one is another team's.
        self.registry.ensure(&owner(i64::from(number) + 1), "app").await
    }

    async fn push(&self, repository: &Repository, bytes: &[u8]) -> Result<(), RegistryError> {
        let upload = self.registry.begin_upload(repository).await?;
        self.registry.finish_upload(repository, &upload.id, &Digest::of(bytes), None, body(bytes)).await
    }

    async fn put(&self, repository: u8, kind: &str, bytes: &[u8], tags: &[Tag]) -> Result<(), RegistryError> {
        let repository = self.repository(repository).await?;
        let new = NewManifest { content_type: Some(kind), bytes, digest: None, tags, by: "amber" };
        self.registry.put_manifest(&repository, new).await.map(drop)
    }

    /// All that a manifest needs, then the manifest.
    async fn put_whole(&self, repository: u8, number: u8, tags: &[Tag]) -> Result<(), RegistryError> {
        let place = self.repository(repository).await?;
        for bytes in layers_of(number).iter().map(Vec::as_slice).chain([CONFIG]) {
            self.push(&place, bytes).await?;
        }
        self.put(repository, MANIFEST, &manifest(number), tags).await
    }

    /// A refusal is an answer like any other.
    async fn act(&self, act: &Act) -> Result<(), String> {
        let words = |error: ImageError| error.to_string();
        let said = |error: RegistryError| error.to_string();
        match *act {
            Act::Load { team, image } => {
                let layers = layers_of(image);
                let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
                let archive = saved(&[&name(image)], &layers, &layers);
                self.images.load(&owner(team), &archive[..], |_| ()).await.map(drop).map_err(words)
            }
            Act::Tag { team, from, to } => {
                self.images.tag(&owner(team), &name(from), &name(to)).await.map(drop).map_err(words)
            }
            Act::Remove { team, image } => {
                self.images.remove(&owner(team), &name(image), false).await.map(drop).map_err(words)
            }
            Act::Prune { team } => {
                self.images.prune(&owner(team), &PruneFilter::default()).await.map(drop).map_err(words)
            }
            Act::Put { repository, manifest, tag: name } => {
                self.put_whole(repository, manifest, &[tag(name)]).await.map_err(said)
            }
            Act::Index { repository, manifest, tag: name } => {
                self.put_whole(repository, manifest, &[]).await.map_err(said)?;
                self.put(repository, INDEX, &index(manifest), &[tag(name)]).await.map_err(said)
            }
            Act::Refer { repository, manifest } => {
                let place = self.repository(repository).await.map_err(said)?;
                self.push(&place, CONFIG).await.map_err(said)?;
                self.put(repository, MANIFEST, &referrer(manifest), &[]).await.map_err(said)
            }
            Act::Leave { repository, blob: number } => {
                let place = self.repository(repository).await.map_err(said)?;
                let upload = self.registry.begin_upload(&place).await.map_err(said)?;
                let half = &blob(number)[..512];
                self.registry.append(&place, &upload.id, None, body(half)).await.map(drop).map_err(said)
            }
            Act::Mount { from, to, blob: number } => {
                let (from, to) = (self.repository(from).await.map_err(said)?, self.repository(to).await.map_err(said)?);
                self.registry.mount(&to, &from, &Digest::of(&blob(number))).await.map(drop).map_err(said)
            }
            Act::Untag { repository, tag: name } => {
                let place = self.repository(repository).await.map_err(said)?;
                self.registry.delete_tag(&place, &tag(name)).await.map(drop).map_err(said)
            }
            Act::Delete { repository, tag: name } => {
                let place = self.repository(repository).await.map_err(said)?;
                let found = self.registry.manifest_by_tag(&place, &tag(name)).await.map_err(said)?;
                self.registry.delete_manifest(&place, &found.digest).await.map_err(said)
            }
            Act::RemoveRepository { repository } => {
                let place = self.repository(repository).await.map_err(said)?;
                self.registry.remove(&place).await.map_err(said)
            }
            Act::Publish { team, image, repository, tag: to } => {
                let place = self.repository(repository).await.map_err(said)?;
                let found = self.images.find(&owner(team), &name(image)).await.map_err(words)?;
                self.registry.publish(&found, &place, &tag(to), "amber").await.map(drop).map_err(said)
            }
            Act::Obtain { repository, tag: from, team } => {
                let place = self.repository(repository).await.map_err(said)?;
                let reference: ImageReference = format!("registry.test/app:{}", tag(from)).parse().unwrap();
                let obtained = self.registry.obtain(&owner(team), (&place, None), &reference, None, &|_| ()).await;
                obtained.map(drop).map_err(|error| error.to_string())
            }
            Act::Stray { layer: number } | Act::Hold { layer: number } => {
                let layers = self.images.stores().layers.clone();
                let taken = tokio::task::spawn_blocking(move || stray(&layers, number));
                taken.await.unwrap();
                Ok(())
            }
            Act::Tidy => self.registry.tidy_before(i64::MAX).await.map_err(said),
            Act::Sweep => self.images.sweep().await.map(drop).map_err(|error| error.to_string()),
            Act::LetGo | Act::Crash => Ok(()),
        }
    }
}

fn stray(layers: &LayerStore, number: u8) {
    let mut ingest = layers.begin().unwrap();
    ingest.write(Bytes::from(blob(number))).unwrap();
    layers.adopt(ingest.finish().unwrap().wait().unwrap()).unwrap();
}

/// Polls so often at most; none: it was cut off.
async fn cut<Work: Future>(work: Work, polls: Option<u32>) -> Option<Work::Output> {
    let mut work = pin!(work);
    let mut left = polls.unwrap_or(u32::MAX);
    std::future::poll_fn(move |context| {
        let outcome = work.as_mut().poll(context);
        left -= 1;
        match outcome {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What people were told is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Named {
    tags: BTreeMap<(u8, u8), Digest>,
    images: BTreeMap<(i64, u8), Digest>,
}

impl Named {
    /// As the rows have it now.
    async fn now(life: &Life) -> Self {
        let mut named = Self::default();
        for repository in 0..2 {
            let place = life.repository(repository).await.unwrap();
            for listed in life.registry.tags(&place, "", 100).await.unwrap() {
                let number = listed.name[1..].parse().unwrap();
                named.tags.insert((repository, number), listed.digest.parse().unwrap());
            }
        }
        for team in 1..=2 {
            for image in life.images.list(&owner(team)).await.unwrap() {
                for known in &image.tags {
                    if let Some(number) = known.repository().strip_prefix("library/image") {
                        named.images.insert((team, number.parse().unwrap()), image.id);
                    }
                }
            }
        }
        named
    }

    /// What may be otherwise after an act, whether it ended well or not.
    fn forget(&mut self, act: &Act) {
        match *act {
            Act::Load { team, image } | Act::Remove { team, image } | Act::Tag { team, to: image, .. } => {
                self.images.remove(&(team, image));
            }
            Act::Prune { .. } => {}
            Act::Put { repository, tag, .. }
            | Act::Index { repository, tag, .. }
            | Act::Untag { repository, tag }
            | Act::Publish { repository, tag, .. } => {
                self.tags.remove(&(repository, tag));
            }
            // With all tags of the same manifest, which may have several.
            Act::Delete { repository, .. } | Act::RemoveRepository { repository } => {
                self.tags.retain(|(other, _), _| *other != repository);
            }
            _ => {}
        }
    }

    fn is_within(&self, later: &Self) -> bool {
        self.tags.iter().all(|(key, digest)| later.tags.get(key) == Some(digest))
            && self.images.iter().all(|(key, id)| later.images.get(key) == Some(id))
    }
}

/// Everything that has a name can be read, down to its last byte.
async fn check_named(life: &Life, named: &Named) {
    for ((repository, number), digest) in &named.tags {
        let place = life.repository(*repository).await.unwrap();
        let top = life.registry.manifest_by_tag(&place, &tag(*number)).await.unwrap();
        assert_eq!(top.digest, *digest);
        check_manifest(life, &place, top).await;
    }
    for (team, _) in named.images.keys() {
        for image in life.images.list(&owner(*team)).await.unwrap() {
            life.images.root(&image).await.unwrap();
            for diff_id in &image.diff_ids {
                let mut bytes = Vec::new();
                let mut tar = life.images.stores().layers.tar(diff_id).unwrap();
                std::io::Read::read_to_end(&mut tar, &mut bytes).unwrap();
                assert_eq!(Digest::of(&bytes), *diff_id, "a layer of {}", image.shown());
            }
        }
    }
}

async fn check_manifest(life: &Life, place: &Repository, top: Manifest) {
    let read: Value = serde_json::from_slice(&top.bytes).unwrap();
    for child in read["manifests"].as_array().into_iter().flatten() {
        let digest = child["digest"].as_str().unwrap().parse().unwrap();
        let child = life.registry.manifest(place, &digest).await.unwrap();
        Box::pin(check_manifest(life, place, child)).await;
    }
    let parts = read["layers"].as_array().into_iter().flatten().chain(read.get("config"));
    for part in parts {
        let digest: Digest = part["digest"].as_str().unwrap().parse().unwrap();
        let mut bytes = Vec::new();
        let mut blob = life.registry.blob(place, &digest).await.unwrap();
        std::io::Read::read_to_end(&mut blob.file, &mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), digest);
    }
}

fn hex_names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name.len() == 64).collect()
}

async fn column(pool: &SqlitePool, query: &'static str) -> BTreeSet<String> {
    let found: Vec<String> = sqlx::query_scalar(query).fetch_all(pool).await.unwrap();
    found.into_iter().map(|digest| digest.trim_start_matches("sha256:").to_owned()).collect()
}

/// When nobody works: exactly what rows name lies there, whoever counts.
async fn check_exact(life: &Life, root: &Path) {
    let pool = &life.pool;
    let of_images = column(pool, "SELECT d.value FROM images i, json_each(i.diff_ids) d").await;
    let of_registry = column(pool, "SELECT digest FROM repository_blobs UNION SELECT digest FROM manifests").await;
    let documents = column(
        pool,
        "SELECT id FROM images UNION SELECT digest FROM image_digests UNION SELECT manifest FROM image_digests",
    )
    .await;
    let layers = hex_names(&root.join("layers"));
    let wanted: BTreeSet<String> =
        of_images.iter().cloned().chain(of_registry.intersection(&layers).cloned()).collect();
    assert_eq!(layers, wanted, "layers");
    assert_eq!(column(pool, "SELECT diff_id FROM layers").await.difference(&layers).count(), 0, "rows of layers");
    let wanted: BTreeSet<String> = of_registry.union(&documents).cloned().collect();
    let wanted: BTreeSet<String> = wanted.difference(&layers).cloned().collect();
    assert_eq!(hex_names(&root.join("content")), wanted, "blobs");
    let mut chains = BTreeSet::new();
    for team in 1..=2 {
        for image in life.images.list(&owner(team)).await.unwrap() {
            chains.extend(chain_id(&image.diff_ids).map(|chain_id| chain_id.hex()));
        }
    }
    assert_eq!(hex_names(&root.join("layers/merged")).difference(&chains).count(), 0, "merged indexes");
    for folder in ["content/uploads", "content/tmp", "layers/tmp"] {
        let count = || std::fs::read_dir(root.join(folder)).unwrap().count();
        // The sweep of the start may still have its own.
        for _ in 0..100 {
            if count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert_eq!(count(), 0, "{folder}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Goes through the acts; gives how many lives it took.
fn go_through(steps: &[Step]) -> u32 {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut named = Named::default();
    let mut lives = 0;
    let mut steps = steps.iter().peekable();
    runtime().block_on(async { add_teams(&crate::store::open(root).await.unwrap()).await });
    loop {
        lives += 1;
        let runtime = runtime();
        let ended = runtime.block_on(async {
            let mut life = Life::begin(root).await;
            let now = Named::now(&life).await;
            assert!(named.is_within(&now), "{named:?} was told, {now:?} is there");
            check_named(&life, &now).await;
            named = now;
            for (act, sweeping, polls) in steps.by_ref() {
                let before = named.clone();
                named.forget(act);
                match act {
                    Act::Crash => return false,
                    Act::Hold { layer } => {
                        let digest = Digest::of(&blob(*layer));
                        let lease = life.images.stores().leases.hold([digest]).await;
                        life.held.push((digest, lease));
                    }
                    Act::LetGo => life.held.clear(),
                    _ => {}
                }
                age(root);
                let over = Cell::new(false);
                let doing = async {
                    let outcome = life.act(act).await;
                    over.set(true);
                    outcome
                };
                // One sweep after another, and nothing is young for them.
                let sweeping = async {
                    while *sweeping && !over.get() {
                        life.images.sweep().await.unwrap();
                        age(root);
                    }
                };
                let outcome = cut(async { tokio::join!(doing, sweeping).0 }, *polls).await;
                let Some(outcome) = outcome else { return false };
                let now = Named::now(&life).await;
                match outcome {
                    Ok(()) => assert!(named.is_within(&now), "{act:?}: {named:?} became {now:?}"),
                    // What was refused changed nothing.
                    Err(reason) => assert!(before.is_within(&now), "{act:?}: {reason}: {before:?} became {now:?}"),
                }
                named = now;
                check_named(&life, &named).await;
                for (digest, _) in &life.held {
                    assert!(life.images.stores().layers.contains(digest), "{digest} was held");
                }
            }
            true
        });
        drop(runtime);
        if ended {
            break;
        }
    }
    runtime().block_on(async {
        let life = Life::begin(root).await;
        let last = Named::now(&life).await;
        assert_eq!(last, named);
        age(root);
        life.registry.tidy_before(i64::MAX).await.unwrap();
        // Orphans of the registry went by the first; their bytes are looked at by the second.
        age(root);
        life.images.sweep().await.unwrap();
        check_named(&life, &last).await;
        check_exact(&life, root).await;
    });
    lives
}

/// As a sweep that was killed between the two left it.
#[tokio::test]
async fn a_row_of_a_layer_that_was_moved_away_goes_with_the_next_sweep() {
    let root = tempfile::tempdir().unwrap();
    add_teams(&crate::store::open(root.path()).await.unwrap()).await;
    let life = Life::begin(root.path()).await;
    life.act(&Act::Load { team: 1, image: 0 }).await.unwrap();
    let insert = "INSERT INTO layers (diff_id, size, disk_bytes, created_at) VALUES (?, 1, 1, 1)";
    sqlx::query(insert).bind(Digest::of(b"gone").to_string()).execute(&life.pool).await.unwrap();
    life.images.sweep().await.unwrap();
    check_exact(&life, root.path()).await;
    assert_eq!(column(&life.pool, "SELECT diff_id FROM layers").await.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn what_is_named_is_never_lost_and_nothing_else_stays_for_ever(steps in acts()) {
        go_through(&steps);
    }
}
