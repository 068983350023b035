//! Taking a layer in while it streams: hashed, decompressed, written and indexed at the same time.
//!
//! ```text
//! write() ─┬─> hash of the blob          (only when it is compressed)
//!          └─> decompress ─┬─> hash: the diff id
//!                          └─> tar on disk, index in memory; at the end: sparse files, index, facts, sync
//! ```
//! Each arrow is a queue of [`QUEUE`] pieces, so that a layer of any size takes a few megabytes of memory, and the
//! slowest of the threads sets the pace.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::LayerError;
use super::entry::TAR_BYTES;
use super::framing::BLOCK;
use super::tar_in::{HighId, TarIndex, TarReader};
use super::{index, sparse};
use crate::digest::Digest;
use crate::fault::{self, Step, Write as Fault};

/// Pieces that wait between two threads.
const QUEUE: usize = 8;
/// 128 MiB of window, as the default of zstd's command line.
const WINDOW_BITS: u32 = 27;
/// Bytes that a decompressor gives at once: below what the allocator gives pages of its own to, which would be mapped
/// and faulted in for each piece anew.
const PIECE: usize = 120 << 10;
/// A compressed layer may always grow to this.
const EXPANDED_BYTES: u64 = 2 << 30;
/// Above it, to so many times its compressed size: deflate reaches 1,032 with zeros alone.
const EXPANDED_RATIO: u64 = 100;

/// The tar as it came, uncompressed.
pub const TAR_FILE: &str = "tar";
/// The layer's index, with its marks.
pub const INDEX_FILE: &str = "index";
/// Data of sparse files; only where there are any.
pub const SIDE_FILE: &str = "sparse";
/// [`Facts`] as JSON.
pub const FACTS_FILE: &str = "facts.json";

/// What is kept about a layer beside its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Bytes of the uncompressed tar.
    pub size: u64,
    /// Bytes on disk of all its files.
    pub disk_bytes: u64,
    /// Ids that are in no team's range.
    #[serde(default)]
    pub high_ids: Vec<HighId>,
}

/// A layer that is complete and synced in a folder of its own, and not yet in the store.
#[derive(Debug)]
pub struct NewLayer {
    /// Its files; removed on drop unless it was adopted.
    pub(super) folder: tempfile::TempDir,
    /// Digest of the bytes as they came.
    pub blob: Digest,
    /// How many they were.
    pub blob_bytes: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// What is kept about it.
    pub facts: Facts,
}

impl NewLayer {
    /// Where its files are.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A layer on its way in. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct LayerIngest {
    /// Bytes that came before the compression was known.
    start: Vec<u8>,
    folder: Option<tempfile::TempDir>,
    lanes: Vec<SyncSender<Bytes>>,
    work: Option<Work>,
    count: u64,
}

#[derive(Debug)]
struct Work {
    blob: Option<Hash>,
    decompress: Option<JoinHandle<Result<(), LayerError>>>,
    diff_id: Hash,
    store: JoinHandle<Result<(tempfile::TempDir, Facts), LayerError>>,
}

/// A digest that a thread computes, or has computed.
#[derive(Debug)]
enum Hash {
    Coming(JoinHandle<Digest>),
    Known(Digest),
    /// Its thread panicked.
    Lost,
}

impl Hash {
    fn known(&mut self) -> Result<Digest, LayerError> {
        let digest = match std::mem::replace(self, Self::Lost) {
            Self::Coming(hashing) => join(hashing)?,
            Self::Known(digest) => digest,
            Self::Lost => return Err(panicked()),
        };
        *self = Self::Known(digest);
        Ok(digest)
    }
}

/// A layer whose bytes are all there and whose last steps may still run.
#[derive(Debug)]
pub struct PendingLayer {
    work: Work,
    blob_bytes: u64,
}

/// How a tar is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl LayerIngest {
    /// Begins a layer in a folder of its own.
    pub(super) fn begin(folder: tempfile::TempDir) -> Self {
        Self { start: Vec::new(), folder: Some(folder), lanes: Vec::new(), work: None, count: 0 }
    }

    /// The next bytes, as they come. Waits while the threads behind are busy.
    ///
    /// # Errors
    /// [`LayerError`] when threads cannot be started. What is wrong with the layer itself is said at its end, so that
    /// the rest of a stream can be passed over.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), LayerError> {
        self.count += bytes.len() as u64;
        if self.work.is_some() {
            self.send(bytes);
            return Ok(());
        }
        self.start.extend_from_slice(&bytes);
        if self.start.len() >= 6 { self.launch() } else { Ok(()) }
    }

    /// No more bytes come.
    ///
    /// # Errors
    /// [`LayerError`] when threads cannot be started.
    pub fn finish(mut self) -> Result<PendingLayer, LayerError> {
        if self.work.is_none() {
            self.launch()?;
        }
        self.lanes.clear();
        match self.work.take() {
            Some(work) => Ok(PendingLayer { work, blob_bytes: self.count }),
            None => Err(LayerError::Truncated { offset: 0 }),
        }
    }

    fn send(&mut self, bytes: Bytes) {
        // A thread that has given up says why when it is joined.
        self.lanes.retain(|lane| lane.send(bytes.clone()).is_ok());
    }

    fn launch(&mut self) -> Result<(), LayerError> {
        let start = std::mem::take(&mut self.start);
        let compression = compression(&start)?;
        let Some(folder) = self.folder.take() else { return Ok(()) };
        let (to_hash, hashed) = sync_channel(QUEUE);
        let (to_store, stored) = sync_channel(QUEUE);
        let diff_id = Hash::Coming(spawn("layer-hash", move || hash(&hashed))?);
        let store = spawn("layer-store", move || store(folder, &stored))?;
        let (blob, decompress) = if compression == Compression::None {
            self.lanes = vec![to_hash, to_store];
            (None, None)
        } else {
            let (to_blob, blob) = sync_channel(QUEUE);
            let (to_decompress, packed) = sync_channel(QUEUE);
            self.lanes = vec![to_blob, to_decompress];
            let unpack = move || decompress(compression, packed, &[to_hash, to_store]);
            (Some(Hash::Coming(spawn("layer-blob", move || hash(&blob))?)), Some(spawn("layer-unpack", unpack)?))
        };
        self.work = Some(Work { blob, decompress, diff_id, store });
        self.send(start.into());
        Ok(())
    }
}

impl PendingLayer {
    /// The digest of the bytes as they came, whatever was wrong with them otherwise.
    ///
    /// # Errors
    /// When a thread panicked.
    pub fn blob(&mut self) -> Result<Digest, LayerError> {
        match &mut self.work.blob {
            Some(hash) => hash.known(),
            None => self.work.diff_id.known(),
        }
    }

    /// Waits until the layer lies on disk, synced.
    ///
    /// # Errors
    /// The first thing that was wrong with it; nothing is left of it.
    pub fn wait(self) -> Result<NewLayer, LayerError> {
        let Work { mut blob, decompress, mut diff_id, store } = self.work;
        let unpacked = decompress.map(join).transpose()?.transpose();
        let stored = join(store)?;
        let diff_id = diff_id.known()?;
        let blob = blob.as_mut().map(Hash::known).transpose()?.unwrap_or(diff_id);
        // A damaged stream also cuts the tar short; the stream is the cause.
        unpacked?;
        let (folder, facts) = stored?;
        Ok(NewLayer { folder, blob, blob_bytes: self.blob_bytes, diff_id, facts })
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, LayerError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(LayerError::io("start thread", name))
}

fn join<T>(handle: JoinHandle<T>) -> Result<T, LayerError> {
    handle.join().map_err(|_| panicked())
}

fn panicked() -> LayerError {
    LayerError::io("finish", "a thread of a layer")(io::Error::other("it panicked"))
}

/// Known by its first six bytes.
pub(crate) fn compression(start: &[u8]) -> Result<Compression, LayerError> {
    let unsupported = |name| {
        Err(LayerError::Unsupported {
            path: "layer".to_owned(),
            reason: format!("compression {name} is not taken, only gzip and zstd"),
        })
    };
    match start {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => unsupported("xz"),
        [b'B', b'Z', b'h', ..] => unsupported("bzip2"),
        _ => Ok(Compression::None),
    }
}

fn hash(pieces: &Receiver<Bytes>) -> Digest {
    let mut hasher = sha2::Sha256::new();
    pieces.iter().for_each(|piece| hasher.update(&piece));
    Digest::finish(hasher)
}

/// The pieces of a queue as one stream.
struct Stream {
    pieces: Receiver<Bytes>,
    piece: Bytes,
    count: u64,
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.recv() {
                Ok(piece) => self.piece = piece,
                Err(_) => return Ok(0),
            }
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        self.count += length as u64;
        Ok(length)
    }
}

/// Unpacks a stream.
pub(crate) fn decoder(
    compression: Compression,
    stream: impl Read + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stream)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(stream)?;
            decoder.window_log_max(WINDOW_BITS)?;
            Box::new(decoder)
        }
    })
}

fn decompress(
    compression: Compression,
    pieces: Receiver<Bytes>,
    lanes: &[SyncSender<Bytes>],
) -> Result<(), LayerError> {
    let stream = Stream { pieces, piece: Bytes::new(), count: 0 };
    match compression {
        Compression::Zstd => {
            let failed = |source| LayerError::Decompress { compression: "zstd", source };
            let mut decoder = zstd::stream::read::Decoder::new(stream).map_err(failed)?;
            decoder.window_log_max(WINDOW_BITS).map_err(failed)?;
            pump("zstd", decoder, |decoder| decoder.get_ref().get_ref().count, lanes)
        }
        _ => pump("gzip", flate2::read::MultiGzDecoder::new(stream), |decoder| decoder.get_ref().count, lanes),
    }
}

fn pump<R: Read>(
    name: &'static str,
    mut decoder: R,
    packed: impl Fn(&R) -> u64,
    lanes: &[SyncSender<Bytes>],
) -> Result<(), LayerError> {
    let mut expanded = 0;
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        while filled < PIECE {
            match decoder.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LayerError::Decompress { compression: name, source }),
            }
        }
        if filled == 0 {
            return Ok(());
        }
        piece.truncate(filled);
        expanded += filled as u64;
        let limit = EXPANDED_BYTES.max(packed(&decoder).saturating_mul(EXPANDED_RATIO));
        if expanded > limit {
            return Err(LayerError::TooLarge {
                what: format!("{name} stream that expands to more than {expanded} bytes"),
                limit,
            });
        }
        let piece = Bytes::from(piece);
        if lanes.iter().any(|lane| lane.send(piece.clone()).is_err()) {
            // The tar is wrong, and its own thread says why.
            return Ok(());
        }
    }
}

/// Writes the tar, reads it while it passes, and makes what belongs beside it.
fn store(folder: tempfile::TempDir, pieces: &Receiver<Bytes>) -> Result<(tempfile::TempDir, Facts), LayerError> {
    let path = folder.path().join(TAR_FILE);
    let mut tar =
        File::options().read(true).write(true).create_new(true).open(&path).map_err(LayerError::io("make", &path))?;
    let mut reader = TarReader::default();
    let mut size = 0;
    for piece in pieces {
        size += piece.len() as u64;
        if size > TAR_BYTES {
            return Err(LayerError::TooLarge { what: format!("tar of more than {size} bytes"), limit: TAR_BYTES });
        }
        fault::write(Fault::LayerTar).map_err(LayerError::io("write", &path))?;
        tar.write_all(&piece).map_err(LayerError::io("write", &path))?;
        reader.feed(piece)?;
    }
    let facts = finish_beside(&folder, &tar, size, reader.finish()?)?;
    Ok((folder, facts))
}

/// Makes what belongs beside a tar that was read: side file, index and facts, all synced with it.
pub(super) fn finish_beside(
    folder: &tempfile::TempDir,
    tar: &File,
    size: u64,
    mut found: TarIndex,
) -> Result<Facts, LayerError> {
    let side = sparse::lay_out(&mut found.tree, &found.sparse, tar, &folder.path().join(SIDE_FILE))?;
    let index = index::of_layer(&found.tree, size, side)?;
    let path = folder.path().join(INDEX_FILE);
    fault::write(Fault::LayerIndex).map_err(LayerError::io("write", &path))?;
    write_synced(&path, &index)?;
    // One sync for each file, on this thread, while the next layer already comes in: syncfs would wait for whatever
    // else the host has dirty.
    tar.sync_data().map_err(LayerError::io("sync", TAR_FILE))?;
    let facts = Facts { size, disk_bytes: disk_bytes(folder.path())?, high_ids: found.high_ids };
    let text = serde_json::to_vec(&facts).map_err(|error| LayerError::io("write", FACTS_FILE)(error.into()))?;
    let path = folder.path().join(FACTS_FILE);
    fault::write(Fault::LayerFacts).map_err(LayerError::io("write", &path))?;
    write_synced(&path, &text)?;
    crate::content::sync_folder(folder.path()).map_err(LayerError::io("sync", folder.path()))?;
    fault::step(Step::LayerSynced);
    Ok(facts)
}

/// A whole file, on disk before this returns.
pub(super) fn write_synced(path: &PathBuf, bytes: &[u8]) -> Result<(), LayerError> {
    let mut file = File::create_new(path).map_err(LayerError::io("make", path))?;
    file.write_all(bytes).map_err(LayerError::io("write", path))?;
    file.sync_data().map_err(LayerError::io("sync", path))
}

fn disk_bytes(folder: &Path) -> Result<u64, LayerError> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).map_err(LayerError::io("list", folder))? {
        let meta = entry.and_then(|entry| entry.metadata()).map_err(LayerError::io("list", folder))?;
        sum += meta.blocks() * BLOCK;
    }
    Ok(sum)
}
