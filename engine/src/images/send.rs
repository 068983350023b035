//! The layers of a push: found at the other side, taken over from another of its repositories, or packed and sent.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::handle::joining;
use super::pack::{Stop, gzip};
use super::provenance::Packed;
use super::push::{PushEvent, PushStep, Tell};
use super::{Image, ImageError, Images};
use crate::digest::Digest;
use crate::fault::{self, Step, Write as Fault};
use crate::store::upstream as store;
use crate::upstream::{Remote, Sending};

/// What is packed here is called.
const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Time between two words about one layer.
const TELL: Duration = Duration::from_millis(200);
/// Repositories that are tried for one layer.
const SOURCES: usize = 3;

/// Where the layers of one push go.
pub(super) struct Layers<'a> {
    pub images: &'a Images,
    pub remote: &'a Remote,
    pub registry: &'a str,
    /// Other repositories of the registry that this team knows, with the layers that they have.
    pub sources: Vec<(String, Vec<Digest>)>,
    pub tell: Tell<'a>,
}

/// That the other side has a blob, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum There {
    Already,
    Mounted(String),
}

impl There {
    pub fn step(self) -> PushStep {
        match self {
            Self::Already => PushStep::Exists,
            Self::Mounted(from) => PushStep::Mounted { from },
        }
    }
}

impl Layers<'_> {
    /// Whether the other side has a packed layer, or takes it over.
    pub async fn there(&self, digest: &Digest, diff_id: &Digest) -> Result<Option<There>, ImageError> {
        if self.remote.has_blob_to_push(digest).await? {
            return Ok(Some(There::Already));
        }
        // Only from where the team was itself; the registry asks once more whether they may.
        let having = self.sources.iter().filter(|(_, layers)| layers.contains(diff_id)).map(|(source, _)| source);
        for source in having.take(SOURCES) {
            if self.remote.mount(digest, source).await? {
                return Ok(Some(There::Mounted(source.clone())));
            }
        }
        Ok(None)
    }

    /// Has the other side have a layer.
    pub async fn send(&self, diff_id: &Digest) -> Result<Packed, ImageError> {
        let tell = |step| (self.tell)(PushEvent::Layer { diff_id: *diff_id, step });
        for known in store::packed_of(&self.images.shared.pool, &diff_id.to_string()).await? {
            let Ok(digest) = known.digest.parse::<Digest>() else { continue };
            if let Some(there) = self.there(&digest, diff_id).await? {
                tell(there.step());
                let size = u64::try_from(known.size).unwrap_or_default();
                return Ok(Packed { digest, diff_id: *diff_id, size, media_type: known.media_type, origin: None });
            }
        }
        let packed = self.pack(diff_id).await?;
        // It may have been packed in the same way before, by somebody else.
        if let Some(there) = self.there(&packed.digest, diff_id).await? {
            tell(there.step());
        } else {
            self.upload(&packed, tell).await?;
            fault::step(Step::PushSent);
            tell(PushStep::Pushed);
        }
        let Sending { size, digest, .. } = packed;
        let origin = Some(self.registry.to_owned());
        Ok(Packed { digest, diff_id: *diff_id, size, media_type: GZIP.to_owned(), origin })
    }

    /// Has the other side have the image's configuration.
    pub async fn configuration(&self, image: &Image) -> Result<(), ImageError> {
        if self.remote.has_blob_to_push(&image.id).await? {
            return Ok(());
        }
        let failed = |source| ImageError::Write { path: "content/tmp".into(), source };
        fault::write(Fault::PushConfiguration).map_err(failed)?;
        let mut file = tempfile::tempfile_in(self.images.shared.content.temporary()).map_err(failed)?;
        file.write_all(image.raw.as_bytes()).map_err(failed)?;
        let sending = sending(file, image.raw.len() as u64, image.id);
        Ok(self.remote.upload(&sending).await?)
    }

    async fn pack(&self, diff_id: &Digest) -> Result<Sending, ImageError> {
        // One at a time, since it takes all cores; the others are sent meanwhile.
        let _one = self.images.shared.packing.lock().await;
        let tar = self.images.shared.layers.tar(diff_id).map_err(|source| ImageError::Root { source })?;
        let folder = self.images.shared.content.temporary();
        let stop = Stop::default();
        let flag = stop.flag();
        let packing = tokio::task::spawn_blocking(move || {
            fault::write(Fault::PushPack)?;
            gzip(tar, &folder, &flag)
        });
        let packed = packing.await.map_err(joining)?;
        let packed = packed.map_err(|source| ImageError::Write { path: "content/tmp".into(), source })?;
        fault::step(Step::PushPacked);
        Ok(sending(packed.file, packed.size, packed.digest))
    }

    async fn upload(&self, sending: &Sending, tell: impl Fn(PushStep)) -> Result<(), ImageError> {
        let mut round = tokio::time::interval(TELL);
        let mut uploading = std::pin::pin!(self.remote.upload(sending));
        loop {
            tokio::select! {
                outcome = &mut uploading => return Ok(outcome?),
                _ = round.tick() => {
                    let current = sending.told.load(Ordering::Relaxed);
                    tell(PushStep::Pushing { current, total: sending.size });
                }
            }
        }
    }
}

fn sending(file: File, size: u64, digest: Digest) -> Sending {
    Sending { file: Arc::new(file), size, digest, told: Arc::new(AtomicU64::new(0)) }
}
