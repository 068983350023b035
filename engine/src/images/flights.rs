//! Layers on their way: a blob that several pulls want at once from the same registry comes once.
//!
//! A flight belongs to all who wait for it and ends with the last of them. Who may wait was looked at before, for each
//! by what the registry tells them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ImageError;
use crate::digest::Digest;

/// What is fetched: the registry's host, digest and size of the packed layer.
pub(super) type Key = (String, Digest, u64);

/// A layer that lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Landed {
    pub diff_id: Digest,
    /// Who gave it: `https://host[:port]`.
    pub endpoint: String,
    /// The registry itself did.
    pub by_registry: bool,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    Coming(u64),
    /// All bytes came; the last of them are being unpacked.
    Came,
    Landed(Landed),
    /// Why, the one who began it is told.
    Failed,
}

/// One layer on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub stage: watch::Receiver<Stage>,
    failure: Arc<Mutex<Option<ImageError>>>,
    work: JoinHandle<()>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<Key, Weak<Flight>>>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Flight {
    /// What went wrong; whoever asks first is told.
    pub fn failure(&self) -> Option<ImageError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Flights {
    /// The flight of that blob that is under way.
    pub fn find(&self, key: &Key) -> Option<Arc<Flight>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, flight| flight.strong_count() > 0);
        let flight = under_way.get(key)?.upgrade()?;
        let ended = matches!(*flight.stage.borrow(), Stage::Failed);
        (!ended).then_some(flight)
    }

    /// The flight of that blob: the one that is under way, else a new one. Whether it is new.
    pub fn join<Work>(&self, key: &Key, begin: impl FnOnce(watch::Sender<Stage>) -> Work) -> (Arc<Flight>, bool)
    where
        Work: Future<Output = Result<Landed, ImageError>> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let current = under_way.get(key).and_then(Weak::upgrade);
        if let Some(flight) = current.filter(|flight| !matches!(*flight.stage.borrow(), Stage::Failed)) {
            return (flight, false);
        }
        let (tell, stage) = watch::channel(Stage::Coming(0));
        let failure = Arc::new(Mutex::new(None));
        let work = begin(tell.clone());
        let told = failure.clone();
        let work = tokio::spawn(async move {
            let last = match work.await {
                Ok(landed) => Stage::Landed(landed),
                Err(error) => {
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Stage::Failed
                }
            };
            tell.send_replace(last);
        });
        let flight = Arc::new(Flight { stage, failure, work });
        under_way.insert(key.clone(), Arc::downgrade(&flight));
        (flight, true)
    }
}
