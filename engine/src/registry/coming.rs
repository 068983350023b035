//! A blob of the cache as one client gets it while it comes. The last byte goes to nobody before the whole was verified.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::error::joining;
use super::fill::Stage;
use super::{Blob, Registry, RegistryError, Repository};
use crate::digest::Digest;

/// Bytes given out at once.
const PIECE: u64 = 256 << 10;

/// A blob on its way.
#[derive(Debug)]
pub struct Coming {
    registry: Registry,
    repository: Repository,
    digest: Digest,
    size: u64,
    stage: watch::Receiver<Stage>,
    at: u64,
    reading: Option<(usize, Arc<File>)>,
}

impl Coming {
    pub(super) fn new(
        registry: Registry,
        repository: Repository,
        digest: Digest,
        size: u64,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        Self { registry, repository, digest, size, stage, at: 0, reading: None }
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Waits until something of it is there.
    ///
    /// # Errors
    /// [`RegistryError::Filling`]: why it does not come.
    pub async fn begun(&mut self) -> Result<(), RegistryError> {
        match &*self.stage.wait_for(|stage| !matches!(stage, Stage::Begun)).await.map_err(lost)? {
            Stage::Failed(error) => Err(RegistryError::Filling(error.clone())),
            _ => Ok(()),
        }
    }

    /// Waits until it is whole, and opens it.
    ///
    /// # Errors
    /// [`RegistryError::Filling`]: why it does not come.
    pub async fn whole(mut self) -> Result<Blob, RegistryError> {
        let ended = |stage: &Stage| matches!(stage, Stage::Whole { .. } | Stage::Failed(_));
        if let Stage::Failed(error) = &*self.stage.wait_for(ended).await.map_err(lost)? {
            return Err(RegistryError::Filling(error.clone()));
        }
        self.link().await?;
        self.registry.blob(&self.repository, &self.digest).await
    }

    /// The next bytes; `None`: that was all.
    ///
    /// # Errors
    /// [`RegistryError::Filling`]: why there are no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let stage = self.stage.borrow_and_update().clone();
            let (attempt, until, whole) = match stage {
                Stage::Begun => (0, 0, false),
                Stage::Coming { attempt, file, bytes } => {
                    self.must_be(attempt)?;
                    self.reading = Some((attempt, file));
                    (attempt, bytes.min(self.size.saturating_sub(1)), false)
                }
                Stage::Whole { attempt } => {
                    self.must_be(attempt)?;
                    (attempt, self.size, true)
                }
                Stage::Failed(error) => return Err(RegistryError::Filling(error)),
            };
            if self.at < until {
                return self.read(attempt, until).await.map(Some);
            }
            if whole {
                self.link().await?;
                return Ok(None);
            }
            self.stage.changed().await.map_err(lost)?;
        }
    }

    /// What another place gives may be other bytes than those that went out already.
    fn must_be(&self, attempt: usize) -> Result<(), RegistryError> {
        match &self.reading {
            Some((other, _)) if *other != attempt && self.at > 0 => Err(RegistryError::BrokenOff {
                offset: self.at,
                reason: "the place that it came from gave wrong bytes or broke off: ask again".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    async fn read(&mut self, attempt: usize, until: u64) -> Result<Bytes, RegistryError> {
        let file = match &self.reading {
            Some((_, file)) if self.at > 0 || until < self.size => file.clone(),
            // It is whole, and nothing went out yet.
            _ => Arc::new(self.registry.open_bytes(&self.digest)?),
        };
        let (at, length) = (self.at, (until - self.at).min(PIECE));
        let reading = {
            let file = file.clone();
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
                file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
            })
        };
        let piece = reading.await.map_err(joining)?;
        let piece = piece.map_err(RegistryError::io("read", self.digest.hex()))?;
        self.at += length;
        self.reading = Some((attempt, file));
        Ok(piece)
    }

    /// Who joined another repository's has it as well.
    async fn link(&self) -> Result<(), RegistryError> {
        self.registry.add_blob(&self.repository, &self.digest, self.size).await
    }
}

/// The task that brings it is gone.
fn lost(_: watch::error::RecvError) -> RegistryError {
    RegistryError::BrokenOff { offset: 0, reason: "the work on it was lost".to_owned() }
}
