//! All places where a repository's bytes are: its mirrors in their order, then the registry itself.
//!
//! The registry is the authority for what a tag is and who may have it. A mirror gives bytes, and they are what they
//! are named by, or it is found out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::remote::{Manifest, Remote};
use super::{Credentials, Rules, Transport, UpstreamError};
use crate::digest::Digest;
use crate::reference::ImageReference;

/// Most places whose state is remembered.
const PLACES: usize = 1_000;
/// A mirror that failed again and again waits at most so many times its first wait.
const DOUBLINGS: u32 = 7;
/// A registry that could not be reached is asked again after this part of a mirror's wait: people mend networks.
const REGISTRY_PART: u32 = 2;

/// Which places failed, and until when they are not asked. Cheap to clone; in memory only.
#[derive(Debug, Clone, Default)]
pub struct Health {
    states: Arc<Mutex<HashMap<String, State>>>,
}

/// How a place is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Times that it failed one after another.
    pub failures: u32,
    /// Not asked before.
    pub until: Instant,
    /// What was wrong.
    pub reason: String,
    /// It gave other bytes than it was asked for.
    pub lied: bool,
}

/// All places of one repository for one caller.
#[derive(Debug, Clone)]
pub struct Places {
    registry: Remote,
    mirrors: Vec<Remote>,
    health: Health,
    wait: Duration,
}

/// A manifest and who gave it.
#[derive(Debug, Clone)]
pub struct Found {
    /// It.
    pub manifest: Manifest,
    /// `https://host[:port]`.
    pub endpoint: String,
    /// The registry itself could not be asked: a mirror's word was taken for what the tag is.
    pub unconfirmed: bool,
}

impl State {
    /// How long it is passed over from now on.
    pub fn rests(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Health {
    /// How a place is; `None`: nothing is known against it.
    pub fn of(&self, endpoint: &str) -> Option<State> {
        self.lock().get(endpoint).cloned()
    }

    fn rests(&self, endpoint: &str) -> bool {
        self.of(endpoint).is_some_and(|state| state.until > Instant::now())
    }

    fn well(&self, endpoint: &str) {
        self.lock().remove(endpoint);
    }

    fn failed(&self, endpoint: &str, error: &UpstreamError, wait: Duration) {
        let lied = matches!(error, UpstreamError::WrongDigest { .. } | UpstreamError::WrongSize { .. });
        let mut states = self.lock();
        if states.len() >= PLACES {
            states.clear();
        }
        let failures = states.get(endpoint).map_or(0, |state| state.failures) + 1;
        // Who lies is not asked for long; who fails, a little longer each time.
        let doublings = if lied { DOUBLINGS } else { (failures - 1).min(DOUBLINGS) };
        let until = Instant::now() + wait * 2_u32.pow(doublings);
        states.insert(endpoint.to_owned(), State { failures, until, reason: error.to_string(), lied });
        tracing::warn!(endpoint, %error, lied, "a mirror is passed over for a while");
    }

    /// A registry itself could not be asked.
    fn absent(&self, endpoint: &str, error: &UpstreamError, wait: Duration) {
        let mut states = self.lock();
        if states.len() >= PLACES {
            states.clear();
        }
        let failures = states.get(endpoint).map_or(0, |state| state.failures) + 1;
        let until = Instant::now() + wait / REGISTRY_PART;
        states.insert(endpoint.to_owned(), State { failures, until, reason: error.to_string(), lied: false });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Those of a reference's repository; `elevated`: an administrator asks. Mirrors are asked without credentials.
    ///
    /// # Errors
    /// [`UpstreamError::Setting`].
    pub fn new(
        transport: &Transport,
        rules: &Arc<Rules>,
        health: &Health,
        elevated: bool,
        credentials: &Credentials,
        reference: &ImageReference,
    ) -> Result<Self, UpstreamError> {
        let endpoint = rules.endpoint(reference.registry(), elevated)?;
        let registry = Remote::new(transport, rules, endpoint, elevated, credentials.clone(), reference);
        let mirrors = rules.mirrors(reference.registry()).into_iter();
        let nobody = |endpoint| Remote::new(transport, rules, endpoint, elevated, Credentials::Anonymous, reference);
        Ok(Self {
            registry,
            mirrors: mirrors.map(nobody).collect(),
            health: health.clone(),
            wait: transport.shared.patience.mirror,
        })
    }

    /// The registry itself.
    pub fn registry(&self) -> &Remote {
        &self.registry
    }

    /// In which order they are asked: the mirrors that are well, then the registry.
    pub fn in_order(&self) -> Vec<Remote> {
        let well = |mirror: &&Remote| !self.health.rests(&mirror.endpoint().shown());
        self.mirrors.iter().filter(well).chain([&self.registry]).cloned().collect()
    }

    /// What came of asking a place: whether the next one is to be asked.
    pub fn judge<T>(&self, place: &Remote, outcome: &Result<T, UpstreamError>) -> bool {
        let endpoint = place.endpoint();
        match outcome {
            Ok(_) => {
                if endpoint.is_mirror {
                    self.health.well(&endpoint.shown());
                }
                false
            }
            // That it has not got something is no fault of a mirror.
            Err(UpstreamError::NoManifest { .. } | UpstreamError::Denied { .. }) => endpoint.is_mirror,
            Err(error) => {
                if endpoint.is_mirror {
                    self.health.failed(&endpoint.shown(), error, self.wait);
                }
                endpoint.is_mirror
            }
        }
    }

    /// What a reference is now. The registry says so where it can be asked; else the first mirror that knows.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn resolve(&self, name: &str) -> Result<Found, UpstreamError> {
        let registry = &self.registry;
        if self.in_order().len() == 1 {
            let manifest = registry.manifest(name).await?;
            return Ok(Found { manifest, endpoint: registry.endpoint().shown(), unconfirmed: false });
        }
        match self.digest(name).await {
            Ok(Some(digest)) => {
                let (manifest, endpoint) = self.manifest(&digest).await?;
                Ok(Found { manifest, endpoint, unconfirmed: false })
            }
            Ok(None) => {
                let manifest = registry.manifest(name).await?;
                Ok(Found { manifest, endpoint: registry.endpoint().shown(), unconfirmed: false })
            }
            Err(error) if error.is_absent() => {
                tracing::warn!(%error, name, "the registry cannot be asked: a mirror's word is taken");
                let outcome = self.first(|place| async move { place.manifest(name).await }).await;
                // What kept us from the registry is what a person needs to know.
                let (manifest, endpoint) = outcome.map_err(|_| error)?;
                Ok(Found { manifest, endpoint, unconfirmed: true })
            }
            Err(error) => Err(error),
        }
    }

    /// What digest a name has at the registry itself, asked once and without patience; `None`: it says none. One that
    /// could not be reached a moment ago is not asked.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn digest(&self, name: &str) -> Result<Option<Digest>, UpstreamError> {
        let shown = self.registry.endpoint().shown();
        if let Some(state) = self.health.of(&shown).filter(|state| state.until > Instant::now()) {
            return Err(UpstreamError::Unreachable {
                method: "Head".to_owned(),
                url: format!("{shown}/v2/"),
                reason: format!("not asked again yet: {}", state.reason),
            });
        }
        let outcome = self.registry.hurried().manifest_digest(name).await;
        match &outcome {
            Err(error) if error.is_absent() => self.health.absent(&shown, error, self.wait),
            _ => self.health.well(&shown),
        }
        outcome
    }

    /// The manifest of a digest.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn manifest(&self, digest: &Digest) -> Result<(Manifest, String), UpstreamError> {
        self.first(|place| async move { place.manifest(&digest.to_string()).await }).await
    }

    /// A small blob.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn small_blob(&self, digest: &Digest, size: u64, limit: usize) -> Result<(Bytes, String), UpstreamError> {
        self.first(|place| async move { place.small_blob(digest, size, limit).await }).await
    }

    async fn first<T, Out>(&self, ask: impl Fn(Remote) -> Out) -> Result<(T, String), UpstreamError>
    where
        Out: Future<Output = Result<T, UpstreamError>>,
    {
        let mut last = None;
        for place in self.in_order() {
            let outcome = ask(place.clone()).await;
            let another = self.judge(&place, &outcome);
            match outcome {
                Ok(found) => return Ok((found, place.endpoint().shown())),
                Err(error) if !another => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| UpstreamError::Setting { reason: "there is no place to ask".to_owned() }))
    }
}
