//! Access tokens, kept until they expire, each for the credentials and the scope that it was got with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Digest;

/// Most tokens that are kept.
const TOKENS: usize = 1_000;
/// A token without a word about its life lives so long. Spec: distribution, auth/token.md.
const LIFE: Duration = Duration::from_secs(60);
/// No token is kept longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// One that is about to expire is not used any more.
const MARGIN: Duration = Duration::from_secs(10);

/// Who may do what where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// `https://host[:port]`.
    pub endpoint: String,
    /// Of the credentials.
    pub who: Digest,
    /// `repository:a/b:pull`, …
    pub scope: String,
}

/// Values of `Authorization`. In memory only.
#[derive(Default)]
pub(super) struct Tokens {
    kept: Mutex<HashMap<Key, (String, Instant)>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// One that still holds.
    pub fn get(&self, key: &Key) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    /// Keeps one.
    pub fn put(&self, key: Key, value: String, life: Option<Duration>) {
        let life = life.unwrap_or(LIFE).min(LONGEST).saturating_sub(MARGIN);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= TOKENS {
            let now = Instant::now();
            kept.retain(|_, (_, until)| *until > now);
            if kept.len() >= TOKENS {
                kept.clear();
            }
        }
        kept.insert(key, (value, Instant::now() + life));
    }

    /// It was refused.
    pub fn forget(&self, key: &Key) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
