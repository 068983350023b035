//! A host for tests: stores of its own for two teams, and archives written here, byte by byte.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{ImageError, Images, Loaded, StorageBackend, plan};
use crate::digest::Digest;
use crate::layers::testing::{Entry, tar};
use crate::owner::Owner;
use crate::processes::Spawner;
use crate::upstream::{Patience, Proxies, Transport};

pub(crate) struct Host {
    pub root: tempfile::TempDir,
    pub images: Images,
    pub pool: sqlx::SqlitePool,
}

impl Host {
    pub async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let pool = crate::store::open(root.path()).await.unwrap();
        add_teams(&pool).await;
        let images = open(root.path(), &pool);
        Self { root, images, pool }
    }

    pub async fn load(&self, team: i64, archive: &[u8]) -> Result<Vec<Loaded>, ImageError> {
        self.images.load(&owner(team), archive, |_| ()).await
    }
}

/// Teams 1 and 2.
pub(crate) async fn add_teams(pool: &sqlx::SqlitePool) {
    for team in [1, 2] {
        let name = format!("team{team}");
        let insert = "INSERT INTO teams (id, name, key, base_id, created_at) VALUES (?, ?, ?, ?, 0)";
        sqlx::query(insert).bind(team).bind(&name).bind(&name).bind(team << 16).execute(pool).await.unwrap();
    }
}

/// Opens the stores; other registries get little patience.
pub(crate) fn open(root: &std::path::Path, pool: &sqlx::SqlitePool) -> Images {
    let transport = Transport::new(Proxies::default(), short());
    Images::open(root, pool.clone(), StorageBackend::Erofs, Arc::new(Spawner::new(root)), transport).unwrap()
}

pub(crate) fn short() -> Patience {
    let ms = Duration::from_millis;
    Patience {
        connect: ms(1000),
        answer: ms(1500),
        stall: ms(400),
        stall_bytes: 200,
        text: ms(1500),
        backoff: ms(5),
        tries: 3,
        retry_after: ms(2500),
        mirror: ms(60_000),
    }
}

pub(crate) fn owner(team_id: i64) -> Owner {
    Owner { team_id, key: format!("team{team_id}"), base_id: (team_id as u32) << 16 }
}

pub(crate) fn layer(name: &str) -> Vec<u8> {
    tar(&[Entry::file(name, name.as_bytes())])
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn configuration(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let history: Vec<_> = (0..layers.len()).map(|number| json!({"created_by": format!("step {number}")})).collect();
    json!({"os": "linux", "architecture": plan::host_architecture(), "config": {"Cmd": ["sh"]}, "history": history,
           "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .into_bytes()
}

pub(crate) fn files(files: &[(&str, &[u8])]) -> Vec<u8> {
    tar(&files.iter().map(|(name, data)| Entry::file(name, data)).collect::<Vec<_>>())
}

/// An archive of one image; what is in `stored` are its layers as the archive has them.
pub(crate) fn saved(tags: &[&str], layers: &[&[u8]], stored: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = (0..stored.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]).to_string();
    let configuration = configuration(layers);
    let mut all: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(stored.iter().copied()).collect();
    all.push(("config.json", &configuration));
    all.insert(0, ("manifest.json", manifest.as_bytes()));
    files(&all)
}
