//! The act: what the mark found is renamed away while nobody else works on the stores, and removed afterwards.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{SqliteConnection, SqlitePool};

use super::{Doomed, Leases, Present, SweepError, mark};
use crate::content::{ContentError, ContentStore};
use crate::digest::{self, Digest};
use crate::fault::{self, Step, Write};
use crate::layers::{LayerError, LayerStore};
use crate::store::{images, registry, upstream};

/// A blob younger than this may belong to work that has not taken its lease yet.
const BLOB_GRACE: Duration = Duration::from_secs(600);

/// What the name of a plain folder begins with that nobody needs any more.
const REMOVED: &str = ".removed-";

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// What went.
    pub doomed: Doomed,
    /// Plain folders still to be removed by the spawner, since what is in them is root's; also those that an earlier
    /// sweep renamed and nobody removed. Relative to the data root.
    pub folders: Vec<PathBuf>,
}

/// Removes what nobody needs. Everything else may go on meanwhile, but for the short moment of the decision.
///
/// # Errors
/// [`SweepError`]; what went until then is gone, and the next sweep goes on.
pub async fn sweep(
    pool: &SqlitePool,
    content: &ContentStore,
    layers: &LayerStore,
    leases: &Leases,
) -> Result<Swept, SweepError> {
    let gate = leases.alone().await;
    let mut connection = pool.acquire().await?;
    let mut rows = Vec::new();
    for (id, diff_ids) in images::marks(&mut connection).await? {
        let read = id.parse::<Digest>().ok().zip(serde_json::from_str::<Vec<Digest>>(&diff_ids).ok());
        rows.push(read.ok_or(SweepError::Damaged { id })?);
    }
    let mut kept = HashSet::new();
    for digest in registry::marks(&mut connection).await?.into_iter().chain(upstream::manifests(&mut connection).await?)
    {
        kept.insert(digest.parse::<Digest>().map_err(|_| SweepError::Damaged { id: digest })?);
    }
    let held = leases.held();
    let (content, layers) = (content.clone(), layers.clone());
    let moved = tokio::task::spawn_blocking(move || {
        let present = present(&content, &layers)?;
        let doomed = mark(&rows, &kept, &held, &present);
        fault::step(Step::SweepMarked);
        let trash = move_away(&doomed, &content, &layers)?;
        let folders = renamed(&layers.layers().join("folders"))?;
        let needed = rows.into_iter().flat_map(|(_, diff_ids)| diff_ids);
        let left = needed.chain(present.layers.difference(&doomed.layers).copied()).collect();
        Ok::<_, SweepError>((doomed, left, trash, folders))
    });
    let (doomed, left, trash, folders) =
        moved.await.map_err(|error| LayerError::io("sweep", "layers")(io::Error::other(error)))??;
    forget(&mut connection, &left).await?;
    fault::step(Step::SweepRows);
    drop(connection);
    drop(gate);
    let removed = tokio::task::spawn_blocking(move || trash.close()).await;
    removed
        .map_err(io::Error::other)
        .and_then(|closed| closed)
        .map_err(LayerError::io("remove swept layers in", "layers/tmp"))?;
    fault::step(Step::SweepRemoved);
    Ok(Swept { doomed, folders })
}

/// Removes the rows of layers that are gone, also of those that a sweep before this one moved away when the server was
/// killed; `left`: layers that are there, or that an image needs.
async fn forget(connection: &mut SqliteConnection, left: &HashSet<Digest>) -> Result<(), SweepError> {
    for row in images::layers(&mut *connection).await? {
        if !row.diff_id.parse().is_ok_and(|diff_id| left.contains(&diff_id)) {
            images::delete_layer(&mut *connection, &row.diff_id).await?;
        }
    }
    Ok(())
}

fn present(content: &ContentStore, layers: &LayerStore) -> Result<Present, SweepError> {
    let root = layers.layers();
    Ok(Present {
        layers: names(&root, |_| true)?,
        merged: names(&root.join("merged"), |_| true)?,
        folders: names(&root.join("folders"), |_| true)?,
        blobs: names(content.root(), |entry| {
            let age = entry.metadata().and_then(|meta| meta.modified()).map(|at| at.elapsed().unwrap_or_default());
            age.is_ok_and(|age| age >= BLOB_GRACE)
        })?,
    })
}

/// Entries of a folder whose names are digests.
fn names(folder: &Path, wanted: impl Fn(&std::fs::DirEntry) -> bool) -> Result<BTreeSet<Digest>, SweepError> {
    let entries = digest::entries(folder).map_err(LayerError::io("list", folder))?;
    Ok(entries.into_iter().filter(|(_, entry)| wanted(entry)).map(|(digest, _)| digest).collect())
}

/// Plain folders that were renamed to be removed, relative to the data root.
fn renamed(folder: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(LayerError::io("list", folder))? {
        let name = entry.map_err(LayerError::io("list", folder))?.file_name();
        if name.to_string_lossy().starts_with(REMOVED) {
            found.push(Path::new("layers/folders").join(name));
        }
    }
    Ok(found)
}

/// Renames what is doomed into a folder that goes when it is dropped.
fn move_away(doomed: &Doomed, content: &ContentStore, layers: &LayerStore) -> Result<tempfile::TempDir, SweepError> {
    fault::write(Write::SweepFolder).map_err(LayerError::io("make a folder in", layers.layers()))?;
    let trash = layers.temporary_folder()?;
    let away = |from: PathBuf, name: String| {
        std::fs::rename(&from, trash.path().join(name)).map_err(LayerError::io("move away", from))
    };
    for chain_id in &doomed.merged {
        away(layers.merged_path(chain_id), format!("merged-{}", chain_id.hex()))?;
    }
    fault::step(Step::SweepRoots);
    for diff_id in &doomed.layers {
        away(layers.folder(diff_id), diff_id.hex())?;
    }
    fault::step(Step::SweepLayers);
    // Within their own folder, since what is root's cannot be moved to another one.
    for chain_id in &doomed.folders {
        let from = layers.layers().join("folders").join(chain_id.hex());
        let name = format!("{REMOVED}{}-{:016x}", chain_id.hex(), rand::random::<u64>());
        let to = from.with_file_name(name);
        std::fs::rename(&from, to).map_err(LayerError::io("rename", from))?;
    }
    fault::step(Step::SweepFolders);
    for digest in &doomed.blobs {
        let path = content.path(digest);
        std::fs::remove_file(&path).map_err(|source| ContentError::Io { act: "remove", path, source })?;
    }
    fault::step(Step::SweepBlobs);
    Ok(trash)
}
