//! Blobs on their way in: begun, continued in order, finished under their digest, or cancelled.
//!
//! The bytes lie in `content/uploads/<id>`; how long that file is is how far the upload is, so that a server that was
//! killed goes on where it stopped. The hash goes along in memory and is computed anew when it is not there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sha2::Digest as _;
use tokio::sync::{OwnedMutexGuard, mpsc};
use uuid::Uuid;

use super::error::joining;
use super::manifests::gone;
use super::{Registry, RegistryError, Repository};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::fault::{self, Step, Write as Fault};
use crate::store::registry::{blobs, uploads as rows};

/// Most uploads of one repository at a time.
const UPLOADS_MAX: i64 = 1_000;
/// How long a request waits for another one that still writes to the same upload: its client may be gone already.
const BUSY: Duration = Duration::from_secs(10);
/// Hashes that are kept in memory; those of others are computed anew.
const HASHES_MAX: usize = 1_000;
/// Bytes read at once when a hash is computed anew.
const READ: usize = 1 << 20;

/// A piece of a body, or why there is no more.
pub type Piece = io::Result<Bytes>;

/// An upload as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, a UUID.
    pub id: String,
    /// Bytes that came.
    pub offset: u64,
}

/// The hash of what came so far.
#[derive(Clone, Default)]
struct Progress {
    hasher: sha2::Sha256,
    offset: u64,
}

/// `None`: this server does not know it, or not any more.
type Known = Option<Progress>;

impl std::fmt::Debug for Progress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Progress({} bytes)", self.offset)
    }
}

/// Uploads that this server knows the hash of. Whoever holds one's lock is the only one who writes to it.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>);

impl Running {
    async fn lock(&self, id: &str) -> Result<OwnedMutexGuard<Known>, RegistryError> {
        let one = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= HASHES_MAX {
                all.retain(|_, one| Arc::strong_count(one) > 1);
            }
            all.entry(id.to_owned()).or_default().clone()
        };
        let busy = |_| RegistryError::UploadBusy { id: id.to_owned() };
        tokio::time::timeout(BUSY, one.lock_owned()).await.map_err(busy)
    }

    fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Registry {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`RegistryError::TooManyUploads`], [`RegistryError::Io`].
    pub async fn begin_upload(&self, repository: &Repository) -> Result<Upload, RegistryError> {
        let count = rows::count(&self.shared.read, repository.id).await?;
        if count >= UPLOADS_MAX {
            return Err(RegistryError::TooManyUploads { count });
        }
        let id = Uuid::now_v7().to_string();
        let path = self.upload_path(&id);
        fault::write(Fault::UploadBegin).map_err(RegistryError::io("make", &path))?;
        File::create_new(&path).map_err(RegistryError::io("make", &path))?;
        fault::step(Step::UploadBegun);
        let made = match fault::rows(Fault::UploadRow) {
            Ok(()) => rows::insert(&self.shared.write, &id, repository.id, now_ns()).await,
            refused => refused,
        };
        if let Err(error) = made {
            remove(&path)?;
            return Err(gone(repository, error));
        }
        Ok(Upload { id, offset: 0 })
    }

    /// How far an upload of the repository is.
    ///
    /// # Errors
    /// [`RegistryError::UploadUnknown`].
    pub async fn upload(&self, repository: &Repository, id: &str) -> Result<Upload, RegistryError> {
        self.require_upload(repository, id).await?;
        Ok(Upload { id: id.to_owned(), offset: length(id, &self.upload_path(id))? })
    }

    /// Takes the next bytes. `start`: where the client says that they begin; `length`: how many it says there are. What
    /// came before a body broke off is kept.
    ///
    /// # Errors
    /// [`RegistryError::OutOfOrder`], [`RegistryError::WrongLength`], [`RegistryError::BrokenOff`],
    /// [`RegistryError::UploadUnknown`].
    pub async fn append(
        &self,
        repository: &Repository,
        id: &str,
        range: Option<(u64, u64)>,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<Upload, RegistryError> {
        self.require_upload(repository, id).await?;
        let held = self.shared.running.lock(id).await?;
        let (held, result) = self.write(held, id, range, pieces).await?;
        drop(held);
        Ok(Upload { id: id.to_owned(), offset: result? })
    }

    /// Takes the last bytes, if any, and makes the blob one of the repository. A digest that is not that of the bytes
    /// ends the upload.
    ///
    /// # Errors
    /// As [`Registry::append`], and [`RegistryError::WrongDigest`].
    pub async fn finish_upload(
        &self,
        repository: &Repository,
        id: &str,
        digest: &Digest,
        range: Option<(u64, u64)>,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<(), RegistryError> {
        self.require_upload(repository, id).await?;
        let held = self.shared.running.lock(id).await?;
        let (mut held, result) = self.write(held, id, range, pieces).await?;
        result?;
        let Some(Progress { hasher, offset }) = held.take() else {
            return Err(RegistryError::UploadUnknown { id: id.to_owned() });
        };
        let found = Digest::finish(hasher);
        if found != *digest {
            self.forget_upload(id).await?;
            return Err(RegistryError::WrongDigest { expected: *digest, found });
        }
        self.adopt(repository, id, digest, offset).await
    }

    /// Ends an upload without a blob.
    ///
    /// # Errors
    /// [`RegistryError::UploadUnknown`], [`RegistryError::UploadBusy`].
    pub async fn cancel_upload(&self, repository: &Repository, id: &str) -> Result<(), RegistryError> {
        self.require_upload(repository, id).await?;
        let _held = self.shared.running.lock(id).await?;
        self.forget_upload(id).await
    }

    /// Writes on a thread of its own; the lock goes along and comes back.
    async fn write(
        &self,
        held: OwnedMutexGuard<Known>,
        id: &str,
        range: Option<(u64, u64)>,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<(OwnedMutexGuard<Known>, Result<u64, RegistryError>), RegistryError> {
        let (id, path) = (id.to_owned(), self.upload_path(id));
        let writing = tokio::task::spawn_blocking(move || {
            let mut held = held;
            let result = take(&mut held, &id, &path, range, pieces);
            (held, result)
        });
        writing.await.map_err(joining)
    }

    /// The bytes become a blob, unless the store has them already; then the row. The sweep is held off meanwhile.
    async fn adopt(&self, repository: &Repository, id: &str, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        let _gate = self.shared.leases.shared().await;
        let (registry, path, digest) = (self.clone(), self.upload_path(id), *digest);
        let moving = tokio::task::spawn_blocking(move || match registry.has_bytes(&digest) {
            true => remove(&path),
            false => Ok(registry.shared.content.adopt(&path, &digest)?),
        });
        moving.await.map_err(joining)??;
        self.shared.running.forget(id);
        fault::step(Step::UploadAdopted);
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let inserted = blobs::insert(&mut transaction, repository.id, &digest.to_string(), size, now_ns()).await;
        inserted.map_err(|error| gone(repository, error))?;
        rows::delete(&mut transaction, id).await?;
        fault::rows(Fault::UploadRows)?;
        transaction.commit().await?;
        fault::step(Step::UploadRecorded);
        Ok(())
    }

    async fn require_upload(&self, repository: &Repository, id: &str) -> Result<(), RegistryError> {
        let unknown = || RegistryError::UploadUnknown { id: id.chars().take(64).collect() };
        // It names a file.
        if Uuid::parse_str(id).is_err() || id.len() != 36 {
            return Err(unknown());
        }
        if rows::exists(&self.shared.read, repository.id, id).await? { Ok(()) } else { Err(unknown()) }
    }

    pub(super) async fn forget_upload(&self, id: &str) -> Result<(), RegistryError> {
        remove(&self.upload_path(id))?;
        self.shared.running.forget(id);
        fault::step(Step::UploadForgotten);
        let mut connection = self.shared.write.acquire().await?;
        rows::delete(&mut connection, id).await?;
        Ok(())
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.shared.content.uploads().join(id)
    }
}

/// Appends what comes to the file; gives its length.
fn take(
    held: &mut Known,
    id: &str,
    path: &Path,
    range: Option<(u64, u64)>,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<u64, RegistryError> {
    let found = length(id, path)?;
    let mut progress = match held.take() {
        Some(progress) if progress.offset == found => progress,
        _ => again(path)?,
    };
    let begun = progress.offset;
    if let Some((start, _)) = range.filter(|(start, _)| *start != begun) {
        *held = Some(progress);
        return Err(RegistryError::OutOfOrder { start, offset: begun });
    }
    let before = progress.clone();
    let mut file = OpenOptions::new().append(true).open(path).map_err(RegistryError::io("open", path))?;
    let mut broken = None;
    while let Some(piece) = pieces.blocking_recv() {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        };
        progress.hasher.update(&piece);
        progress.offset += piece.len() as u64;
        if let Err(error) = fault::write(Fault::UploadWrite).and_then(|()| file.write_all(&piece)) {
            // Part of the piece may be there; the hash is computed anew.
            return Err(RegistryError::io("write", path)(error));
        }
    }
    let wrong = range.filter(|(_, length)| broken.is_none() && progress.offset - begun != *length);
    if let Some((_, expected)) = wrong {
        let length = progress.offset - begun;
        file.set_len(begun).map_err(RegistryError::io("cut", path))?;
        *held = Some(before);
        return Err(RegistryError::WrongLength { expected, found: length });
    }
    fault::write(Fault::UploadSync).and_then(|()| file.sync_data()).map_err(RegistryError::io("sync", path))?;
    let offset = progress.offset;
    *held = Some(progress);
    match broken {
        Some(reason) => Err(RegistryError::BrokenOff { offset, reason }),
        None => Ok(offset),
    }
}

/// The hash of what lies in the file.
fn again(path: &Path) -> Result<Progress, RegistryError> {
    let mut file = File::open(path).map_err(RegistryError::io("open", path))?;
    let mut progress = Progress::default();
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer).map_err(RegistryError::io("read", path))? {
            0 => return Ok(progress),
            count => {
                progress.hasher.update(&buffer[..count]);
                progress.offset += count as u64;
            }
        }
    }
}

fn length(id: &str, path: &Path) -> Result<u64, RegistryError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(RegistryError::UploadUnknown { id: id.to_owned() })
        }
        Err(error) => Err(RegistryError::io("look at", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), RegistryError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RegistryError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
