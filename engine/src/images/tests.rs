//! Archives written here, byte by byte, and what teams see of them.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::testing::{Host, configuration, files, gzip, layer, owner, saved};
use super::*;
use crate::digest::Digest;
use crate::layers::testing::{Entry, tar};

impl Host {
    async fn container(&self, image: &Digest, state: &str) {
        let insert = "INSERT INTO containers (id, team_id, name, image_id, config, resolved, state, created_at)
                      VALUES (?, 1, ?, ?, '{}', '{}', ?, 0)";
        let id = format!("{state:0<64}");
        let query = sqlx::query(insert).bind(&id).bind(state).bind(image.to_string()).bind(state);
        query.execute(&self.pool).await.unwrap();
    }

    fn layers(&self) -> usize {
        let entries = std::fs::read_dir(self.root.path().join("layers")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64).count()
    }

    async fn names(&self, team: i64) -> Vec<String> {
        self.images.list(&owner(team)).await.unwrap().iter().map(Image::shown).collect()
    }
}

#[tokio::test]
async fn layers_come_plain_gzipped_or_by_zstd() {
    let host = Host::new().await;
    let (a, b, c) = (layer("a"), layer("b"), layer("c"));
    let stored = [&a[..], &gzip(&b), &zstd::encode_all(&c[..], 1).unwrap()];
    let loaded = host.load(1, &saved(&["app:1"], &[&a, &b, &c], &stored)).await.unwrap();
    let image = host.images.find(&owner(1), "app:1").await.unwrap();
    assert_eq!(loaded[0].id, image.id);
    assert_eq!(image.id, Digest::of(&configuration(&[&a, &b, &c])));
    assert_eq!(image.size, (a.len() + b.len() + c.len()) as u64);
    for (diff_id, bytes) in image.diff_ids.iter().zip([&a, &b, &c]) {
        assert_eq!(&std::fs::read(host.root.path().join("layers").join(diff_id.hex()).join("tar")).unwrap(), bytes);
    }
}

#[tokio::test]
async fn progress_is_told_and_ends_with_all_bytes() {
    let host = Host::new().await;
    let a = layer("a");
    let archive = saved(&[], &[&a], &[&a]);
    let told = Mutex::new(Vec::new());
    host.images.load(&owner(1), &archive[..], |progress| told.lock().unwrap().push(progress)).await.unwrap();
    let all = Progress::Received { bytes: archive.len() as u64 };
    assert_eq!(told.into_inner().unwrap(), [all, Progress::Merging]);
}

#[tokio::test]
async fn a_layer_may_be_a_symlink_to_another_entry_as_old_versions_of_docker_wrote() {
    let host = Host::new().await;
    let a = layer("a");
    let manifest = json!([{"Config": "c.json", "Layers": ["one/layer.tar", "two/layer.tar"]}]).to_string();
    let config = configuration(&[&a, &a]);
    let entries = [
        Entry::symlink("two/layer.tar", "../one/layer.tar"),
        Entry::file("one/layer.tar", &a),
        Entry::file("c.json", &config),
        Entry::file("manifest.json", manifest.as_bytes()),
    ];
    let loaded = host.load(1, &tar(&entries)).await.unwrap();
    assert_eq!(host.images.get(&owner(1), &loaded[0].id).await.unwrap().diff_ids, [Digest::of(&a); 2]);
}

#[tokio::test]
async fn a_wrong_layer_leaves_nothing() {
    let host = Host::new().await;
    let (a, b) = (layer("a"), layer("b"));
    let refused = host.load(1, &saved(&["app"], &[&a, &a], &[&a, &b])).await.unwrap_err();
    assert!(matches!(refused, ImageError::WrongDigest { .. }), "{refused:?}");
    assert_eq!((host.names(1).await, host.layers()), (vec![], 0));
    assert_eq!(std::fs::read_dir(host.root.path().join("layers/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_layer_that_does_not_fit_the_ones_below_leaves_nothing() {
    let host = Host::new().await;
    let a = tar(&[Entry::link("loot", "nothing/there")]);
    let refused = host.load(1, &saved(&["app"], &[&a], &[&a])).await.unwrap_err();
    assert!(matches!(refused, ImageError::Root { .. }), "{refused:?}");
    assert_eq!((host.names(1).await, host.layers()), (vec![], 0));
}

#[tokio::test]
async fn one_team_sees_nothing_of_anothers_images() {
    let host = Host::new().await;
    let a = layer("a");
    let id = host.load(1, &saved(&["app"], &[&a], &[&a])).await.unwrap()[0].id;
    for name in ["app", &id.to_string(), &id.hex(), &id.short()] {
        assert!(matches!(host.images.find(&owner(2), name).await, Err(ImageError::NotFound { .. })), "{name}");
        assert!(matches!(host.images.remove(&owner(2), name, true).await, Err(ImageError::NotFound { .. })), "{name}");
        assert!(matches!(host.images.tag(&owner(2), name, "mine").await, Err(ImageError::NotFound { .. })), "{name}");
    }
    assert_eq!(host.names(2).await, Vec::<String>::new());
    host.load(2, &saved(&["other"], &[&a], &[&a])).await.unwrap();
    assert_eq!(
        (host.names(1).await, host.names(2).await, host.layers()),
        (vec!["app:latest".into()], vec!["other:latest".into()], 1)
    );
}

#[tokio::test]
async fn a_shared_layer_stays_until_its_last_image_goes() {
    let host = Host::new().await;
    let (a, b) = (layer("a"), layer("b"));
    host.load(1, &saved(&["one"], &[&a], &[&a])).await.unwrap();
    host.load(2, &saved(&["two"], &[&a, &b], &[&a, &b])).await.unwrap();
    host.images.remove(&owner(2), "two", false).await.unwrap();
    host.images.sweep().await.unwrap();
    assert_eq!(host.layers(), 1);
    let image = host.images.find(&owner(1), "one").await.unwrap();
    host.images.root(&image).await.unwrap();
    host.images.remove(&owner(1), "one", false).await.unwrap();
    host.images.sweep().await.unwrap();
    assert_eq!(host.layers(), 0);
    assert_eq!(std::fs::read_dir(host.root.path().join("layers/merged")).unwrap().count(), 0);
}

#[tokio::test]
async fn names_and_ids_are_removed_as_docker_does() {
    let host = Host::new().await;
    let team = owner(1);
    let a = layer("a");
    let id = host.load(1, &saved(&["app:1", "app:2", "other:1"], &[&a], &[&a])).await.unwrap()[0].id;
    let several = host.images.remove(&team, &id.short(), false).await.unwrap_err();
    assert_eq!(
        several.to_string(),
        format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            id.short()
        )
    );
    assert_eq!(host.images.remove(&team, "other:1", false).await.unwrap(), [Removed::Untagged("other:1".into())]);
    let both = [Removed::Untagged("app:1".into()), Removed::Untagged("app:2".into()), Removed::Deleted(id)];
    assert_eq!(host.images.remove(&team, &id.short(), false).await.unwrap(), both);
    let gone = host.images.remove(&team, "app:1", false).await.unwrap_err();
    assert_eq!(gone.to_string(), "No such image: app:1");
}

#[tokio::test]
async fn an_image_in_use_stays() {
    let host = Host::new().await;
    let team = owner(1);
    let a = layer("a");
    let id = host.load(1, &saved(&["app"], &[&a], &[&a])).await.unwrap()[0].id;
    host.container(&id, "exited").await;
    for name in ["app", &id.short()] {
        assert!(matches!(host.images.remove(&team, name, false).await, Err(ImageError::InUse { .. })), "{name}");
    }
    assert_eq!(host.images.remove(&team, "app", true).await.unwrap(), [Removed::Untagged("app:latest".into())]);
    let all = PruneFilter { all: true, ..PruneFilter::default() };
    assert_eq!(host.images.prune(&team, &all).await.unwrap(), Pruned::default());
    host.container(&id, "running").await;
    assert!(matches!(
        host.images.remove(&team, &id.short(), true).await,
        Err(ImageError::InUse { remedy: "cannot be forced", .. })
    ));
    host.images.sweep().await.unwrap();
    assert_eq!(host.layers(), 1);
}

#[tokio::test]
async fn prune_takes_the_nameless_and_with_all_the_unused() {
    let host = Host::new().await;
    let team = owner(1);
    let (a, b) = (layer("a"), layer("b"));
    host.load(1, &saved(&["app"], &[&a], &[&a])).await.unwrap();
    let moved = host.load(1, &saved(&["app"], &[&b], &[&b])).await.unwrap();
    assert!(moved[0].tags[0].before.is_some());
    let usage = host.images.usage(&team).await.unwrap();
    assert_eq!((usage.images.len(), usage.reclaimable_bytes), (2, usage.layers_bytes));
    let pruned = host.images.prune(&team, &PruneFilter::default()).await.unwrap();
    assert_eq!((pruned.removed.len(), pruned.reclaimed_bytes), (1, usage.layers_bytes / 2));
    let all = PruneFilter { all: true, ..PruneFilter::default() };
    assert_eq!(host.images.prune(&team, &all).await.unwrap().removed.len(), 2);
    assert_eq!(host.names(1).await, Vec::<String>::new());
}

/// Three images: two share their lower layer, the third has a layer that a repository of the team keeps, too.
#[tokio::test]
async fn what_images_take_of_the_disk_is_what_their_removal_gives_back() {
    let host = Host::new().await;
    let team = owner(1);
    let (base, a, b, c) = (layer("base"), layer("a"), tar(&[Entry::file("b", &[1; 90_000])]), layer("c"));
    host.load(1, &saved(&["one"], &[&base, &a], &[&base, &a])).await.unwrap();
    let two = host.load(1, &saved(&["two"], &[&base, &b], &[&base, &b])).await.unwrap()[0].id;
    host.load(1, &saved(&["three"], &[&c], &[&c])).await.unwrap();
    // Another team's image keeps nothing of this team's.
    host.load(2, &saved(&["one"], &[&base, &a], &[&base, &a])).await.unwrap();
    sqlx::query("INSERT INTO repositories (id, team_id, name, created_at) VALUES (1, 1, 'app', 1)")
        .execute(&host.pool)
        .await
        .unwrap();
    let blob = sqlx::query("INSERT INTO repository_blobs VALUES (1, ?, 1, 1)").bind(Digest::of(&c).to_string());
    blob.execute(&host.pool).await.unwrap();
    host.container(&two, "exited").await;

    let on_disk = |tar: &[u8]| host.images.shared.layers.facts(&Digest::of(tar)).unwrap().disk_bytes;
    let usage = host.images.usage(&team).await.unwrap();
    let of = |name: &str| usage.images.iter().find(|one| one.image.shown() == format!("{name}:latest")).unwrap();
    let told = |name: &str| (of(name).unique_bytes, of(name).shared_bytes, of(name).freed_bytes);
    assert_eq!(told("one"), (on_disk(&a), on_disk(&base), on_disk(&a)));
    assert_eq!(told("two"), (on_disk(&b), on_disk(&base), on_disk(&b)));
    assert_eq!(told("three"), (on_disk(&c), 0, 0));
    assert_eq!(of("one").layers.iter().map(|layer| layer.images).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(usage.layers_bytes, on_disk(&a) + on_disk(&b) + on_disk(&c) + on_disk(&base));
    assert_eq!((usage.reclaimable_bytes, usage.unused_kept_bytes), (on_disk(&a), on_disk(&base) + on_disk(&c)));

    // The other team gone, a prune gives back what was told.
    host.images.remove(&owner(2), "one", false).await.unwrap();
    let all = PruneFilter { all: true, ..PruneFilter::default() };
    let before = host.layers();
    assert_eq!(host.images.prune(&team, &all).await.unwrap().reclaimed_bytes, usage.reclaimable_bytes);
    host.images.sweep().await.unwrap();
    assert_eq!(before - host.layers(), 1);
}

#[tokio::test]
async fn short_ids_of_several_images_are_ambiguous() {
    let host = Host::new().await;
    let mut firsts = std::collections::HashSet::new();
    // Seventeen ids cannot all begin with different digits.
    let mut twice = None;
    for number in 0..17 {
        let a = layer(&format!("file{number}"));
        let id = host.load(1, &saved(&[], &[&a], &[&a])).await.unwrap()[0].id.hex();
        let first = id[..1].to_owned();
        twice = twice.or((!firsts.insert(first.clone())).then_some(first));
    }
    let prefix = twice.unwrap();
    assert!(matches!(host.images.find(&owner(1), &prefix).await, Err(ImageError::Ambiguous { .. })));
}

#[tokio::test]
async fn history_gives_each_step_its_layers_size() {
    let host = Host::new().await;
    let (a, b) = (layer("a"), tar(&[Entry::file("b", &[1; 5000])]));
    let id = host.load(1, &saved(&["app"], &[&a, &b], &[&a, &b])).await.unwrap()[0].id;
    let lines = host.images.history(&owner(1), "app").await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| (line.created_by.as_str(), line.size, line.id)).collect();
    assert_eq!(told, [("step 1", b.len() as u64, Some(id)), ("step 0", a.len() as u64, None)]);
}

/// A layout with a nested index: this host's image and a sibling for a processor that nobody has.
struct Layout(Vec<(String, Vec<u8>)>);

impl Layout {
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = Digest::of(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.0.push((format!("blobs/sha256/{}", digest.hex()), bytes));
        descriptor
    }

    fn manifest(&mut self, layer: &[u8], architecture: &str) -> Value {
        let packed = self.blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip(layer));
        let config = self.blob("application/vnd.oci.image.config.v1+json", configuration(&[layer]));
        let manifest =
            json!({"schemaVersion": 2, "mediaType": document::MANIFESTS[0], "config": config, "layers": [packed]});
        let mut descriptor = self.blob(document::MANIFESTS[0], manifest.to_string().into_bytes());
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    }

    fn archive(self, mut top: Value) -> Vec<u8> {
        top["annotations"] = json!({"org.opencontainers.image.ref.name": "app:oci"});
        let index = json!({"schemaVersion": 2, "manifests": [top]}).to_string();
        let mut all: Vec<(&str, &[u8])> = self.0.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        all.push(("index.json", index.as_bytes()));
        files(&all)
    }
}

#[tokio::test]
async fn a_layout_gives_the_image_for_this_host() {
    let host = Host::new().await;
    let mut layout = Layout(Vec::new());
    let (own, foreign) = (layer("own"), layer("foreign"));
    let manifests = [layout.manifest(&foreign, "pdp11"), layout.manifest(&own, plan::host_architecture())];
    let index = json!({"schemaVersion": 2, "mediaType": document::INDEXES[0], "manifests": manifests}).to_string();
    let top = layout.blob(document::INDEXES[0], index.into_bytes());
    host.load(1, &layout.archive(top)).await.unwrap();
    assert_eq!(host.images.find(&owner(1), "app:oci").await.unwrap().diff_ids, [Digest::of(&own)]);
    assert_eq!(host.layers(), 1);
}

#[tokio::test]
async fn a_layout_for_other_processors_is_refused_with_what_there_is() {
    let host = Host::new().await;
    let mut layout = Layout(Vec::new());
    let top = layout.manifest(&layer("foreign"), "pdp11");
    let refused = host.load(1, &layout.archive(top)).await.unwrap_err();
    let wanted = plan::host_architecture();
    assert_eq!(refused.to_string(), format!("no image for linux/{wanted}; the archive has linux/pdp11"));
    assert_eq!(refused.kind(), crate::kind::Kind::Unsupported);
}

#[tokio::test]
async fn a_document_that_is_both_index_and_manifest_or_lies_about_its_type_is_refused() {
    let host = Host::new().await;
    for (media_type, key) in
        [(document::MANIFESTS[0], "manifests"), (document::INDEXES[0], "layers"), (document::INDEXES[0], "")]
    {
        let mut layout = Layout(Vec::new());
        let own = layout.manifest(&layer("own"), plan::host_architecture());
        let place = format!("blobs/sha256/{}", &own["digest"].as_str().unwrap()[7..]);
        let found = layout.0.iter().find(|(name, _)| *name == place).unwrap();
        let mut document: Value = serde_json::from_slice(&found.1).unwrap();
        if !key.is_empty() {
            document["mediaType"] = json!(media_type);
            document[key] = json!([]);
        }
        let top = layout.blob(media_type, document.to_string().into_bytes());
        let refused = host.load(1, &layout.archive(top)).await.unwrap_err();
        assert!(matches!(refused, ImageError::Archive { .. }), "{media_type} {key}: {refused:?}");
    }
}

#[tokio::test]
async fn a_blob_that_is_not_its_digest_or_its_size_is_refused() {
    for change in ["digest", "size"] {
        let host = Host::new().await;
        let mut layout = Layout(Vec::new());
        let mut top = layout.manifest(&layer("own"), plan::host_architecture());
        if change == "size" {
            top["size"] = json!(1);
        } else {
            let place =
                layout.0.iter_mut().find(|(name, _)| name.ends_with(&top["digest"].as_str().unwrap()[7..])).unwrap();
            place.1.push(b' ');
        }
        let refused = host.load(1, &layout.archive(top)).await.unwrap_err();
        assert!(
            matches!(refused, ImageError::WrongDigest { .. } | ImageError::Archive { .. }),
            "{change}: {refused:?}"
        );
    }
}
