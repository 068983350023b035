//! Blobs of the cache on their way: each comes once for all who want it, and is given out while it comes. The last byte
//! goes to nobody before the whole was verified.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::cache::{Source, prefix};
use super::coming::Coming;
use super::error::joining;
use super::{Blob, Registry, RegistryError, Repository};
use crate::clock::now_ns;
use crate::content::{ContentError, Ingest};
use crate::digest::Digest;
use crate::store::registry::{blobs, manifests};
use crate::store::upstream::{self as store, FetchRow};
use crate::upstream::{Remote, UpstreamError};

/// Pieces that wait for the thread that writes them.
const QUEUE: usize = 16;
/// Manifests that name a blob and are looked at for its size.
const NAMING: i64 = 16;

/// The registry's host, and the digest.
type Key = (String, Digest);

/// Blobs on their way, and the repositories that they came for first.
#[derive(Debug, Default)]
pub(super) struct Filling(Mutex<HashMap<Key, (i64, watch::Receiver<Stage>)>>);

/// How far one is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Nothing came yet.
    Begun,
    /// So many bytes lie in the file. Another place's bytes are another try.
    Coming {
        attempt: usize,
        file: Arc<File>,
        bytes: u64,
    },
    /// It is there.
    Whole {
        attempt: usize,
    },
    Failed(Arc<RegistryError>),
}

/// A blob of the cache: there, or on its way.
#[derive(Debug)]
pub enum Filled {
    /// It is there.
    There(Blob),
    /// It comes.
    Coming(Coming),
}

impl Registry {
    /// A blob of a repository of the cache. It comes from the registry if a manifest of the repository names it.
    ///
    /// # Errors
    /// [`RegistryError::BlobUnknown`], [`RegistryError::Upstream`].
    pub async fn cached_blob(
        &self,
        repository: &Repository,
        source: &Source,
        digest: &Digest,
    ) -> Result<Filled, RegistryError> {
        match self.blob(repository, digest).await {
            Err(RegistryError::BlobUnknown { .. }) => {}
            found => return found.map(Filled::There),
        }
        let size = self.said_size(repository, digest).await?;
        let registry = source.reference.registry();
        let key: Key = (registry.to_owned(), *digest);
        let stage = loop {
            match self.shared.filling.find(&key) {
                Some((first, stage)) if first == repository.id => break stage,
                Some((_, stage)) => {
                    self.must_may(source, digest).await?;
                    break stage;
                }
                None => {}
            }
            // Bytes that came from this registry before, for whomever: it says whether they are this caller's as well.
            if self.has_bytes(digest)
                && blobs::is_cached_from(&self.shared.read, &digest.to_string(), &prefix(registry)).await?
            {
                self.must_may(source, digest).await?;
                self.add_blob(repository, digest, size).await?;
                return Ok(Filled::There(self.blob(repository, digest).await?));
            }
            if let Some(stage) = self.begin_fill(&key, repository, source, size) {
                break stage;
            }
        };
        Ok(Filled::Coming(Coming::new(self.clone(), repository.clone(), *digest, size, stage)))
    }

    /// The size of a blob of the cache, there or not yet.
    ///
    /// # Errors
    /// [`RegistryError::BlobUnknown`].
    pub async fn cached_blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, RegistryError> {
        match self.blob_size(repository, digest, false).await {
            Err(RegistryError::BlobUnknown { .. }) => self.said_size(repository, digest).await,
            found => found,
        }
    }

    /// As a manifest of the repository has it.
    async fn said_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, RegistryError> {
        let text = digest.to_string();
        for parent in manifests::naming(&self.shared.read, repository.id, &text, NAMING).await? {
            let Ok(parent) = parent.parse() else { continue };
            let manifest = self.manifest(repository, &parent).await?;
            let checked = super::manifest::check(Some(&manifest.media_type), &manifest.bytes)?;
            if let Some((_, size)) = checked.blobs.iter().find(|(known, _)| known == digest) {
                return Ok(*size);
            }
        }
        Err(RegistryError::BlobUnknown { digest: *digest })
    }

    async fn must_may(&self, source: &Source, digest: &Digest) -> Result<(), RegistryError> {
        match source.places.registry().has_blob(digest).await? {
            true => Ok(()),
            false => Err(RegistryError::BlobUnknown { digest: *digest }),
        }
    }

    pub(super) async fn add_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<(), RegistryError> {
        let _gate = self.shared.leases.shared().await;
        if !self.has_bytes(digest) {
            return Err(RegistryError::BlobUnknown { digest: *digest });
        }
        self.add_row(repository, digest, size).await
    }

    async fn add_row(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        let mut connection = self.shared.write.acquire().await?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let inserted = blobs::insert(&mut connection, repository.id, &digest.to_string(), size, now_ns()).await;
        inserted.map_err(|error| super::manifests::gone(repository, error))
    }

    /// Has it come, unless somebody else just began that. It comes to its end when nobody waits any more, too.
    fn begin_fill(
        &self,
        key: &Key,
        repository: &Repository,
        source: &Source,
        size: u64,
    ) -> Option<watch::Receiver<Stage>> {
        let mut under_way = self.shared.filling.0.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.contains_key(key) {
            return None;
        }
        let (tell, stage) = watch::channel(Stage::Begun);
        under_way.insert(key.clone(), (repository.id, stage.clone()));
        let fill = Fill {
            registry: self.clone(),
            repository: repository.clone(),
            source: source.clone(),
            digest: key.1,
            size,
            tell: Arc::new(tell),
        };
        let key = key.clone();
        tokio::spawn(async move {
            let outcome = fill.run().await;
            fill.registry.shared.filling.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            fill.tell.send_replace(match outcome {
                Ok(attempt) => Stage::Whole { attempt },
                Err(error) => {
                    tracing::info!(digest = %fill.digest, %error, "a blob did not come into the cache");
                    Stage::Failed(Arc::new(error))
                }
            });
        });
        Some(stage)
    }
}

impl Filling {
    fn find(&self, key: &Key) -> Option<(i64, watch::Receiver<Stage>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// One blob being brought.
struct Fill {
    registry: Registry,
    repository: Repository,
    source: Source,
    digest: Digest,
    size: u64,
    tell: Arc<watch::Sender<Stage>>,
}

impl Fill {
    /// From one place after another until one of them gives the right bytes; which try that was.
    async fn run(&self) -> Result<usize, RegistryError> {
        let _lease = self.registry.shared.leases.take([self.digest]);
        let mut last = None;
        for (attempt, place) in self.source.places.in_order().into_iter().enumerate() {
            let outcome = self.download(&place, attempt).await;
            let judged = match &outcome {
                Ok(()) => Ok(()),
                Err(RegistryError::Upstream(error)) => Err(error.clone()),
                Err(RegistryError::Content(ContentError::WrongDigest { expected, found })) => {
                    let what = format!("blob {expected}");
                    Err(UpstreamError::WrongDigest { what, expected: *expected, found: *found })
                }
                // The disk is full: no place is to blame.
                Err(_) => return outcome.map(|()| attempt),
            };
            let another = self.source.places.judge(&place, &judged);
            match outcome {
                Ok(()) => {
                    self.note_fetch(&place).await?;
                    return Ok(attempt);
                }
                Err(error) if !another => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(RegistryError::BlobUnknown { digest: self.digest }))
    }

    async fn download(&self, place: &Remote, attempt: usize) -> Result<(), RegistryError> {
        let ingest = self.registry.shared.content.begin()?;
        let file = Arc::new(ingest.reopen()?);
        let (pieces, arriving) = mpsc::channel::<Bytes>(QUEUE);
        let tell = self.tell.clone();
        let writing = tokio::task::spawn_blocking(move || write(ingest, arriving, attempt, &file, &tell));
        let sent = self.send(place, &pieces).await;
        drop(pieces);
        let ingest = writing.await.map_err(joining)??;
        sent?;
        let _gate = self.registry.shared.leases.shared().await;
        let (digest, size) = (self.digest, self.size);
        let commit = move || ingest.commit(&digest, Some(size));
        tokio::task::spawn_blocking(commit).await.map_err(joining)??;
        self.registry.add_row(&self.repository, &self.digest, self.size).await
    }

    async fn send(&self, place: &Remote, pieces: &mpsc::Sender<Bytes>) -> Result<(), UpstreamError> {
        let mut blob = place.blob(&self.digest, self.size);
        while let Some(piece) = blob.next().await? {
            // Who writes them says why it writes no more.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn note_fetch(&self, place: &Remote) -> Result<(), RegistryError> {
        let row = FetchRow {
            id: 0,
            at: now_ns(),
            reference: self.source.reference.familiar_name(),
            endpoint: place.endpoint().shown(),
            blobs: 1,
            bytes: i64::try_from(self.size).unwrap_or(i64::MAX),
        };
        Ok(store::insert_fetch(&self.registry.shared.read, self.repository.team_id, &row).await?)
    }
}

/// On a thread of its own.
fn write(
    mut ingest: Ingest,
    mut arriving: mpsc::Receiver<Bytes>,
    attempt: usize,
    file: &Arc<File>,
    tell: &watch::Sender<Stage>,
) -> Result<Ingest, ContentError> {
    let mut bytes = 0;
    while let Some(piece) = arriving.blocking_recv() {
        ingest.write(&piece)?;
        bytes += piece.len() as u64;
        tell.send_replace(Stage::Coming { attempt, file: file.clone(), bytes });
    }
    Ok(ingest)
}
