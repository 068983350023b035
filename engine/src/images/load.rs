//! `docker load`: an archive becomes images of a team, all of them or none.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::archive::ArchiveReader;
use super::handle::{Shared, joining};
use super::plan::{Plan, runs, wrong_platform};
use super::provenance::Provenance;
use super::{ImageConfiguration, ImageError, Images, StorageBackend, Tagged, docker_archive, oci_layout};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write};
use crate::layers::{HighId, NewLayer};
use crate::owner::Owner;
use crate::store::images::{self, ImageRow, LayerRow};

/// Bytes handed on at once.
const PIECE: usize = 512 << 10;
/// Pieces that wait for the thread that reads the archive.
pub(super) const QUEUE: usize = 4;

/// How far a load is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of the archive came.
    Received {
        /// In all.
        bytes: u64,
    },
    /// The archive is complete, its layers are being put together.
    Merging,
}

/// An image that an archive brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// Names that it got.
    pub tags: Vec<Tagged>,
}

/// An image, checked, whose layers are there or come with it.
struct Ready {
    plan: Plan,
    high_ids: Vec<HighId>,
    size: u64,
}

impl Images {
    /// Takes in an archive of `docker save` or an OCI layout, in one pass, whatever the order of its entries. Every
    /// digest is checked; all images become visible at once, or none.
    ///
    /// # Errors
    /// [`ImageError`]: what is wrong with the archive, a layer or a configuration; no space. Nothing is left then.
    pub async fn load(
        &self,
        owner: &Owner,
        archive: impl AsyncRead + Send + Unpin,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Vec<Loaded>, ImageError> {
        let (pieces, mut arrived) = mpsc::channel(QUEUE);
        let store = self.shared.layers.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = ArchiveReader::new(store);
            while let Some(piece) = arrived.blocking_recv() {
                reader.feed(piece)?;
            }
            let mut archive = reader.finish()?;
            let plans = match archive.has(docker_archive::MANIFEST) {
                true => docker_archive::plan(&mut archive)?,
                false if archive.has(oci_layout::INDEX) => oci_layout::plan(&mut archive)?,
                false => {
                    let reason = "it has neither manifest.json nor index.json".to_owned();
                    return Err(ImageError::Archive { reason });
                }
            };
            let plans = plans.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
            Ok((plans, archive.into_layers()))
        });
        let received = receive(archive, pieces, &progress).await;
        // What the reader has to say comes first: it stops taking pieces when it refuses the archive.
        let outcome = reading.await.map_err(joining)?;
        let (plans, layers) = match (outcome, received) {
            (_, Err(source)) => return Err(ImageError::Read { source }),
            (outcome, Ok(())) => outcome?,
        };
        progress(Progress::Merging);
        self.store(owner, plans, layers).await
    }

    /// Makes everything visible: layers, merged indexes, plain folders, then the rows. Holds off the sweep from the last look at the
    /// store until the rows are there.
    pub(super) async fn store(
        &self,
        owner: &Owner,
        plans: Vec<Plan>,
        layers: Vec<NewLayer>,
    ) -> Result<Vec<Loaded>, ImageError> {
        self.store_from(owner, plans, layers, None).await
    }

    /// The same for one image that came from a registry.
    pub(super) async fn store_from(
        &self,
        owner: &Owner,
        plans: Vec<Plan>,
        layers: Vec<NewLayer>,
        provenance: Option<Provenance>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let _gate = self.shared.leases.shared().await;
        let (shared, kept) = (self.shared.clone(), provenance.clone());
        let storing = move || {
            kept.map_or(Ok(()), |kept| kept.store(&shared.content))?;
            store(&shared, plans, layers)
        };
        let stored = tokio::task::spawn_blocking(storing).await.map_err(joining)?;
        let (ready, rows) = stored?;
        if let Err(error) = self.unpack_all(&ready).await {
            self.sweep_later();
            return Err(error);
        }
        fault::step(Step::ImageStored);
        let loaded = self.record(owner, &ready, &rows, provenance.as_ref()).await;
        if loaded.is_err() {
            self.sweep_later();
        }
        loaded
    }

    /// Where containers need plain folders: now, so that the first start does not wait for them and a layer that cannot
    /// be unpacked is no image.
    async fn unpack_all(&self, ready: &[Ready]) -> Result<(), ImageError> {
        if self.shared.backend == StorageBackend::Folders {
            for one in ready {
                self.unpacked(&one.plan.diff_ids).await.map_err(|source| ImageError::Root { source })?;
            }
        }
        Ok(())
    }

    async fn record(
        &self,
        owner: &Owner,
        ready: &[Ready],
        layers: &[LayerRow],
        provenance: Option<&Provenance>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let now = now_ns();
        let mut transaction = self.shared.pool.begin_with("BEGIN IMMEDIATE").await?;
        for layer in layers {
            images::insert_layer(&mut transaction, layer, now).await?;
        }
        let mut loaded = Vec::new();
        for Ready { plan, high_ids, size } in ready {
            let id = plan.id.to_string();
            let json = |value: serde_json::Result<String>| {
                value.map_err(|error| ImageError::Damaged { id: id.clone(), reason: error.to_string() })
            };
            let row = ImageRow {
                id: id.clone(),
                config: plan.raw.clone(),
                diff_ids: json(serde_json::to_string(&plan.diff_ids))?,
                size: i64::try_from(*size).unwrap_or(i64::MAX),
                high_ids: json(serde_json::to_string(high_ids))?,
                created_at: now,
            };
            images::insert(&mut transaction, owner.team_id, &row).await?;
            if let Some(provenance) = provenance {
                provenance.record(&mut transaction, owner, &plan.id, now).await?;
            }
            let mut tags = Vec::new();
            for reference in &plan.tags {
                let before = images::tag(&mut transaction, owner.team_id, &reference.to_string(), &id, now).await?;
                tags.push(Tagged { reference: reference.clone(), id: plan.id, before });
            }
            loaded.push(Loaded { id: plan.id, tags });
        }
        fault::rows(Write::ImageRows)?;
        transaction.commit().await?;
        fault::step(Step::ImageRecorded);
        Ok(loaded)
    }
}

/// Reads the archive in large pieces until its end or until nobody takes them any more.
pub(super) async fn receive(
    mut archive: impl AsyncRead + Unpin,
    pieces: mpsc::Sender<bytes::Bytes>,
    progress: &impl Fn(Progress),
) -> std::io::Result<()> {
    let mut bytes = 0;
    let mut piece = BytesMut::with_capacity(PIECE);
    loop {
        let ended = archive.read_buf(&mut piece).await? == 0;
        if piece.len() == piece.capacity() || (ended && !piece.is_empty()) {
            bytes += piece.len() as u64;
            if pieces.send(piece.freeze()).await.is_err() {
                return Ok(());
            }
            progress(Progress::Received { bytes });
            piece = BytesMut::with_capacity(PIECE);
        }
        if ended {
            return Ok(());
        }
    }
}

/// The configuration must read, be for this host, and name the layers that came.
pub(super) fn checked(plan: Plan) -> Result<Plan, ImageError> {
    let configuration = ImageConfiguration::parse(plan.raw.as_bytes())?;
    if !runs(&configuration.os, &configuration.architecture) {
        return Err(wrong_platform(vec![configuration.platform()]));
    }
    let expected = &configuration.rootfs.diff_ids;
    if expected.len() != plan.diff_ids.len() {
        let reason = format!("it names {} layers, and {} came", expected.len(), plan.diff_ids.len());
        return Err(ImageError::Configuration { reason });
    }
    for (number, (expected, found)) in expected.iter().zip(&plan.diff_ids).enumerate() {
        if expected != found {
            let what = format!("layer {} of {}", number + 1, plan.diff_ids.len());
            return Err(ImageError::WrongDigest { what, expected: *expected, found: *found });
        }
    }
    Ok(plan)
}

/// Merges first, since layers that do not fit each other are refused; then moves everything into its place.
fn store(
    shared: &Arc<Shared>,
    plans: Vec<Plan>,
    new: Vec<NewLayer>,
) -> Result<(Vec<Ready>, Vec<LayerRow>), ImageError> {
    let Shared { layers, content, .. } = &**shared;
    let failed = |source| ImageError::Root { source };
    let mut roots = Vec::new();
    for plan in &plans {
        roots.extend(layers.merge(&plan.diff_ids, &new).map_err(failed)?);
    }
    let wanted = |layer: &NewLayer| plans.iter().any(|plan| plan.diff_ids.contains(&layer.diff_id));
    for layer in new.into_iter().filter(wanted) {
        layers.adopt(layer).map_err(failed)?;
    }
    for root in &roots {
        layers.adopt_root(root).map_err(failed)?;
    }
    layers.sync().map_err(failed)?;
    let (mut ready, mut rows) = (Vec::new(), Vec::new());
    for plan in plans {
        content.put(plan.raw.as_bytes())?;
        let (mut size, mut high_ids) = (0, Vec::<HighId>::new());
        for diff_id in &plan.diff_ids {
            let facts = layers.facts(diff_id).map_err(failed)?;
            size += facts.size;
            high_ids.extend(facts.high_ids);
            rows.push(LayerRow {
                diff_id: diff_id.to_string(),
                size: i64::try_from(facts.size).unwrap_or(i64::MAX),
                disk_bytes: i64::try_from(facts.disk_bytes).unwrap_or(i64::MAX),
            });
        }
        high_ids.sort_by_key(|high| high.id);
        high_ids.dedup_by_key(|high| high.id);
        ready.push(Ready { plan, high_ids, size });
    }
    Ok((ready, rows))
}
