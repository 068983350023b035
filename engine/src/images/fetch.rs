//! The layers of a pull: which of them need not come, and those that do.
//!
//! Bytes lie on disk once for all teams, so that a digest alone must open nothing: a layer need not come only if an
//! image of the same team has it, or if the registry that once delivered these bytes says to this caller, now, that
//! they may have them. Whoever else names a digest gets the bytes from where they say they are, or not at all.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::{mpsc, watch};

use super::ImageError;
use super::document::Descriptor;
use super::flights::{Flight, Flights, Key, Landed, Stage};
use super::handle::{Shared, joining};
use super::provenance::Packed;
use super::pull::{LayerStep, Pull, PullEvent, Served};
use crate::digest::Digest;
use crate::fault::{self, Step};
use crate::layers::{LayerError, LayerStore, NewLayer};
use crate::store::upstream as store;
use crate::upstream::{Places, Remote, UpstreamError};

/// Layers of one pull that come at the same time, as Docker has it.
const AT_ONCE: usize = 3;
/// Bytes handed on at once; small enough for the heap, see `layers::ingest`.
const PIECE: usize = 120 << 10;
/// Pieces that wait for the thread that takes them.
const QUEUE: usize = 4;
/// Time between two words about one layer.
const TELL: Duration = Duration::from_millis(100);

/// Brings the layers of a pull.
pub(super) struct Fetch<'a, 'b> {
    pub pull: &'a Pull<'b>,
    pub served: &'a mut Served,
}

/// What the thread that takes a layer in is handed.
enum Piece {
    Bytes(Bytes),
    /// All of them came; a queue that ends without it belongs to a pull that was given up.
    End,
}

impl Fetch<'_, '_> {
    /// All of them; facts about those whose bytes came.
    pub async fn all(self, layers: &[(Descriptor, Digest)]) -> Result<Vec<Packed>, ImageError> {
        let pull = self.pull;
        for (layer, _) in layers {
            (pull.tell)(PullEvent::Layer { digest: layer.digest, step: LayerStep::Found });
        }
        let bringing: Vec<_> = layers.iter().map(|(layer, diff_id)| pull.layer(layer, *diff_id)).collect();
        let bringing = stream::iter(bringing).buffer_unordered(AT_ONCE);
        let brought: Vec<Option<(Packed, String)>> = bringing.try_collect().await?;
        let mut facts = Vec::new();
        for (packed, endpoint) in brought.into_iter().flatten() {
            self.served.by(&endpoint, 1, packed.size);
            facts.push(packed);
        }
        Ok(facts)
    }
}

impl Pull<'_> {
    async fn layer(&self, layer: &Descriptor, diff_id: Digest) -> Result<Option<(Packed, String)>, ImageError> {
        let tell = |step| (self.tell)(PullEvent::Layer { digest: layer.digest, step });
        if self.need_not_come(layer, &diff_id).await? {
            tell(LayerStep::Exists);
            return Ok(None);
        }
        let landed = self.bring(layer).await?;
        if landed.diff_id != diff_id {
            let what = format!("layer {}", layer.digest);
            return Err(ImageError::WrongDigest { what, expected: diff_id, found: landed.diff_id });
        }
        tell(LayerStep::Complete);
        let packed = Packed {
            digest: layer.digest,
            diff_id,
            size: layer.size,
            media_type: layer.media_type.clone(),
            origin: landed.by_registry.then(|| self.reference.registry().to_owned()),
        };
        Ok(Some((packed, landed.endpoint)))
    }

    async fn need_not_come(&self, layer: &Descriptor, diff_id: &Digest) -> Result<bool, ImageError> {
        let Shared { pool, layers, .. } = &*self.images.shared;
        if !layers.contains(diff_id) {
            return Ok(false);
        }
        if store::team_has_layer(pool, self.owner.team_id, &diff_id.to_string()).await? {
            return Ok(true);
        }
        let digest = layer.digest.to_string();
        let known = store::packed(pool, &digest)
            .await?
            .is_some_and(|known| known.diff_id == diff_id.to_string() && u64::try_from(known.size) == Ok(layer.size));
        Ok(known
            && store::is_origin(pool, &digest, self.reference.registry()).await?
            && matches!(self.places.registry().has_blob(&layer.digest).await, Ok(true)))
    }

    /// Has a layer come, together with others who want it from the same registry.
    async fn bring(&self, layer: &Descriptor) -> Result<Landed, ImageError> {
        let key: Key = (self.reference.registry().to_owned(), layer.digest, layer.size);
        let flights = &self.images.shared.flights;
        let alone = Flights::default();
        loop {
            // Who comes later waits for another's bytes only if the registry would give them to them too.
            let may_join = flights.find(&key).is_none()
                || matches!(self.places.registry().has_blob(&layer.digest).await, Ok(true));
            let flights = if may_join { flights } else { &alone };
            let (flight, is_new) = flights.join(&key, |stage| {
                fly(self.images.shared.clone(), self.places.clone(), layer.digest, layer.size, stage)
            });
            match self.follow(layer, &flight).await {
                Some(landed) => {
                    self.landed.lock().unwrap_or_else(PoisonError::into_inner).push(flight);
                    return Ok(landed);
                }
                // It was another's, who had other credentials or lost patience.
                None if !is_new => {}
                None => {
                    let lost = || joining_lost(&layer.digest);
                    return Err(flight.failure().unwrap_or_else(lost));
                }
            }
        }
    }

    /// Tells how far it is, until it landed or failed.
    async fn follow(&self, layer: &Descriptor, flight: &Flight) -> Option<Landed> {
        let tell = |step| (self.tell)(PullEvent::Layer { digest: layer.digest, step });
        let mut stage = flight.stage.clone();
        let mut told = Instant::now();
        let mut came = false;
        let mut arrived = || {
            if !std::mem::replace(&mut came, true) {
                tell(LayerStep::Verifying);
                tell(LayerStep::Downloaded);
            }
        };
        tell(LayerStep::Downloading { current: 0, total: layer.size });
        loop {
            let now = stage.borrow_and_update().clone();
            match now {
                Stage::Coming(current) if told.elapsed() >= TELL => {
                    told = Instant::now();
                    tell(LayerStep::Downloading { current, total: layer.size });
                }
                Stage::Coming(_) => {}
                Stage::Came => arrived(),
                Stage::Landed(landed) => {
                    arrived();
                    return Some(landed);
                }
                Stage::Failed => return None,
            }
            // Its end is a stage of its own, so that nobody else is missed.
            if stage.changed().await.is_err() {
                return None;
            }
        }
    }
}

/// A thread of ours that went away without a word.
fn joining_lost(digest: &Digest) -> ImageError {
    ImageError::Read { source: std::io::Error::other(format!("the work on layer {digest} was lost")) }
}

/// Fetches a layer and puts it into the store.
async fn fly(
    shared: Arc<Shared>,
    places: Arc<Places>,
    digest: Digest,
    size: u64,
    stage: watch::Sender<Stage>,
) -> Result<Landed, ImageError> {
    let (layer, place) = from_places(&shared.layers, &places, digest, size, &stage).await?;
    let diff_id = layer.diff_id;
    let layers = shared.layers.clone();
    let adopting = tokio::task::spawn_blocking(move || layers.adopt(layer));
    adopting.await.map_err(joining)?.map_err(|source| ImageError::Root { source })?;
    fault::step(Step::PullLanded);
    let endpoint = place.endpoint();
    Ok(Landed { diff_id, endpoint: endpoint.shown(), by_registry: !endpoint.is_mirror })
}

/// A layer, from one place after another until one of them gives the right bytes; which one.
pub(super) async fn from_places(
    store: &LayerStore,
    places: &Places,
    digest: Digest,
    size: u64,
    stage: &watch::Sender<Stage>,
) -> Result<(NewLayer, Remote), ImageError> {
    let mut last = None;
    for place in places.in_order() {
        stage.send_replace(Stage::Coming(0));
        let outcome = download(store, &place, digest, size, stage).await;
        let (judged, result) = match outcome {
            Ok(layer) => (Ok(()), Ok(layer)),
            Err(ImageError::Upstream(error)) => (Err(error.clone()), Err(ImageError::Upstream(error))),
            Err(error) => (Err(of_layer(&digest, &error)), Err(error)),
        };
        let another = places.judge(&place, &judged);
        match result {
            Ok(layer) => return Ok((layer, place)),
            Err(error) if !another => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| joining_lost(&digest)))
}

/// One layer from one place: its bytes go to the layer store as they come.
async fn download(
    store: &LayerStore,
    place: &Remote,
    digest: Digest,
    size: u64,
    stage: &watch::Sender<Stage>,
) -> Result<NewLayer, ImageError> {
    let (pieces, arriving) = mpsc::channel(QUEUE);
    let store = store.clone();
    let taking = tokio::task::spawn_blocking(move || take_in(&store, arriving, &digest));
    let sent = send(place, &digest, size, &pieces, stage).await;
    drop(pieces);
    let taken = taking.await.map_err(joining)?;
    sent?;
    let failed = |source| ImageError::Layer { name: digest.to_string(), source };
    taken.and_then(|layer| layer.ok_or(LayerError::Truncated { offset: 0 })).map_err(failed)
}

async fn send(
    place: &Remote,
    digest: &Digest,
    size: u64,
    pieces: &mpsc::Sender<Piece>,
    stage: &watch::Sender<Stage>,
) -> Result<(), UpstreamError> {
    let mut blob = place.blob(digest, size);
    let mut gathered = BytesMut::with_capacity(PIECE);
    loop {
        let piece = blob.next().await?;
        let ended = piece.is_none();
        gathered.extend_from_slice(&piece.unwrap_or_default());
        if gathered.len() >= PIECE || (ended && !gathered.is_empty()) {
            // Who takes them says why they want no more.
            if pieces.send(Piece::Bytes(gathered.split().freeze())).await.is_err() {
                return Ok(());
            }
            stage.send_replace(Stage::Coming(blob.received()));
        }
        if ended {
            stage.send_replace(Stage::Came);
            let _ = pieces.send(Piece::End).await;
            return Ok(());
        }
    }
}

/// On a thread of its own; `None`: the pull was given up.
fn take_in(
    store: &LayerStore,
    mut arriving: mpsc::Receiver<Piece>,
    expected: &Digest,
) -> Result<Option<NewLayer>, LayerError> {
    let mut layer = store.begin()?;
    loop {
        match arriving.blocking_recv() {
            Some(Piece::Bytes(bytes)) => layer.write(bytes)?,
            Some(Piece::End) => break,
            None => return Ok(None),
        }
    }
    let mut layer = layer.finish()?;
    // First whether they are the right bytes at all: what else is wrong with wrong ones is of no interest.
    let found = layer.blob()?;
    if found != *expected {
        // Its threads are done before anybody is told, so that nothing of it is left then.
        drop(layer.wait());
        return Err(LayerError::WrongDigest { expected: *expected, found });
    }
    layer.wait().map(Some)
}

/// What a layer that does not fit says about who gave it.
fn of_layer(digest: &Digest, error: &ImageError) -> UpstreamError {
    let what = format!("layer {digest}");
    match error {
        ImageError::Layer { source: LayerError::WrongDigest { expected, found }, .. } => {
            UpstreamError::WrongDigest { what, expected: *expected, found: *found }
        }
        other => UpstreamError::Malformed { what, reason: other.to_string() },
    }
}
