//! Leases: work in progress keeps what it will need.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::digest::Digest;

/// Who holds what. Cheap to clone. In memory only: a new process has no work in progress, and what an old one left is
/// in temporary folders.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    held: Arc<Mutex<HashMap<Digest, usize>>>,
    gate: Arc<RwLock<()>>,
}

/// Keeps some digests from the sweep until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    digests: Vec<Digest>,
}

impl Leases {
    /// None held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps layers (by diff id) and blobs from the sweep; also ones that are not there yet.
    pub fn take(&self, digests: impl IntoIterator<Item = Digest>) -> Lease {
        let digests: Vec<Digest> = digests.into_iter().collect();
        let mut held = self.lock();
        digests.iter().for_each(|digest| *held.entry(*digest).or_default() += 1);
        drop(held);
        Lease { leases: self.clone(), digests }
    }

    /// The same, and waits for the sweep that may have looked at what is held before: what is there now stays.
    pub async fn hold(&self, digests: impl IntoIterator<Item = Digest>) -> Lease {
        let lease = self.take(digests);
        drop(self.shared().await);
        lease
    }

    /// All that is held.
    pub fn held(&self) -> HashSet<Digest> {
        self.lock().keys().copied().collect()
    }

    /// For work that moves things into the store and then commits their rows.
    pub async fn shared(&self) -> OwnedRwLockReadGuard<()> {
        self.gate.clone().read_owned().await
    }

    /// For the sweep.
    pub(super) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.lock();
        for digest in &self.digests {
            if let Some(count) = held.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    held.remove(digest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_lease_waits_for_the_sweep_that_looked_before_it() {
        let leases = Leases::new();
        let sweep = leases.alone().await;
        let mut holding = pin!(leases.hold([Digest::of(b"layer")]));
        let early = tokio::time::timeout(Duration::from_millis(50), holding.as_mut()).await;
        assert!(early.is_err() && leases.held().len() == 1);
        drop(sweep);
        drop(holding.await);
        assert!(leases.held().is_empty());
    }
}
