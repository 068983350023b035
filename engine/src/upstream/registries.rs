//! The registries as an administrator sets them up and a person asks them: rules, mirrors, what served what.

use std::sync::Arc;

use sqlx::SqlitePool;

use super::{Credentials, Health, Hit, Mirror, Registry, Remote, Rules, State, Transport, UpstreamError, base, search};
use crate::clock::now_ns;
use crate::kind::Kind;
use crate::owner::Owner;
use crate::reference::ImageReference;
use crate::store::upstream::{self, MirrorRow, RegistryRow};

/// Most bytes of a registry's certificates.
const PEM_BYTES: usize = 256 << 10;
/// Most registries, and most mirrors, that something is said about.
const RULES: usize = 1_000;

/// The registries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registries {
    pool: SqlitePool,
    transport: Transport,
    health: Health,
}

/// A mirror and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorState {
    /// What is said about it.
    pub mirror: Mirror,
    /// What is known against it.
    pub state: Option<State>,
    /// What is known against the registry itself: it was asked, and could not be reached.
    pub registry: Option<State>,
}

/// What one place gave to one pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Counts up.
    pub id: i64,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// What was pulled, as Docker shows it.
    pub reference: String,
    /// `https://host[:port]`.
    pub endpoint: String,
    /// Layers and configurations.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why something about registries was not done.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// The registry, or a setting.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The database refused.
    #[error("cannot reach the records of registries")]
    Store(#[from] sqlx::Error),
}

impl RegistriesError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Upstream(error) => error.kind(),
            Self::Store(_) => Kind::Internal,
        }
    }
}

impl Registries {
    /// Those of one instance.
    pub fn new(pool: SqlitePool, transport: Transport, health: Health) -> Self {
        Self { pool, transport, health }
    }

    /// What is said about registries.
    ///
    /// # Errors
    /// [`RegistriesError::Store`].
    pub async fn list(&self) -> Result<Vec<Registry>, RegistriesError> {
        Ok(upstream::registries(&self.pool).await?.into_iter().map(Registry::from).collect())
    }

    /// Says something about a registry, instead of what was said before.
    ///
    /// # Errors
    /// [`UpstreamError::Setting`] for a host that is none, or certificates that do not read.
    pub async fn put(&self, registry: &Registry) -> Result<(), RegistriesError> {
        let host = checked_host(&registry.host)?;
        if let Some(pem) = &registry.ca_pem {
            check_pem(pem)?;
        }
        let known = self.list().await?;
        if known.len() >= RULES && !known.iter().any(|other| other.host == host) {
            return Err(setting(format!("at most {RULES} registries can be set up")).into());
        }
        let row = RegistryRow {
            host,
            plain_http: registry.plain_http,
            ca_pem: registry.ca_pem.clone(),
            teams_may: registry.teams_may,
        };
        Ok(upstream::put_registry(&self.pool, &row, now_ns()).await?)
    }

    /// Says nothing about a registry any more.
    ///
    /// # Errors
    /// [`RegistriesError::Store`].
    pub async fn remove(&self, host: &str) -> Result<(), RegistriesError> {
        Ok(upstream::delete_registry(&self.pool, host).await?)
    }

    /// The mirrors of all registries, in the order in which they are asked.
    ///
    /// # Errors
    /// [`RegistriesError::Store`].
    pub async fn mirrors(&self) -> Result<Vec<MirrorState>, RegistriesError> {
        let rows = upstream::mirrors(&self.pool).await?.into_iter().map(Mirror::from);
        let rules = Rules::load(&self.pool).await?;
        let state = |mirror: Mirror| {
            let registry = rules.endpoint(&mirror.upstream, false).ok();
            let registry = registry.and_then(|endpoint| self.health.of(&endpoint.shown()));
            MirrorState { state: self.health.of(&mirror.url), registry, mirror }
        };
        Ok(rows.map(state).collect())
    }

    /// Adds a mirror, or changes the one of that registry and address. Its id.
    ///
    /// # Errors
    /// [`UpstreamError::Setting`].
    pub async fn put_mirror(&self, mirror: &Mirror) -> Result<i64, RegistriesError> {
        let upstream_host = checked_host(&mirror.upstream)?;
        let url = base(&mirror.url)?.as_str().trim_end_matches('/').to_owned();
        if upstream::mirrors(&self.pool).await?.len() >= RULES {
            return Err(setting(format!("at most {RULES} mirrors can be set up")).into());
        }
        let row = MirrorRow { id: 0, upstream: upstream_host, url, position: mirror.position, enabled: mirror.enabled };
        Ok(upstream::put_mirror(&self.pool, &row, now_ns()).await?)
    }

    /// Takes a mirror away.
    ///
    /// # Errors
    /// [`RegistriesError::Store`].
    pub async fn remove_mirror(&self, id: i64) -> Result<(), RegistriesError> {
        Ok(upstream::delete_mirror(&self.pool, id).await?)
    }

    /// What served a team's pulls, newest first, below `before`.
    ///
    /// # Errors
    /// [`RegistriesError::Store`].
    pub async fn served(&self, owner: &Owner, before: Option<i64>, most: u32) -> Result<Vec<Served>, RegistriesError> {
        let before = before.unwrap_or(i64::MAX);
        let rows = upstream::fetches(&self.pool, owner.team_id, before, i64::from(most)).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let served = rows.into_iter().map(|row| Served {
            id: row.id,
            at: row.at,
            reference: row.reference,
            endpoint: row.endpoint,
            blobs: count(row.blobs),
            bytes: count(row.bytes),
        });
        Ok(served.collect())
    }

    /// Whether a registry takes these credentials.
    ///
    /// # Errors
    /// [`UpstreamError::Unauthorized`].
    pub async fn log_in(
        &self,
        registry: &str,
        credentials: Credentials,
        elevated: bool,
    ) -> Result<(), RegistriesError> {
        let rules = Arc::new(Rules::load(&self.pool).await?);
        let registry = checked_host(registry)?;
        let reference: ImageReference =
            format!("{registry}/any").parse().map_err(|error| setting(format!("{error}")))?;
        let endpoint = rules.endpoint(&registry, elevated)?;
        Ok(Remote::new(&self.transport, &rules, endpoint, elevated, credentials, &reference).log_in().await?)
    }

    /// Searches a registry by words.
    ///
    /// # Errors
    /// [`UpstreamError::NoSearch`].
    pub async fn search(
        &self,
        registry: &str,
        term: &str,
        limit: u32,
        credentials: &Credentials,
        elevated: bool,
    ) -> Result<Vec<Hit>, RegistriesError> {
        let rules = Arc::new(Rules::load(&self.pool).await?);
        Ok(search(&self.transport, &rules, elevated, credentials, registry, term, limit).await?)
    }
}

/// A registry's host as it stands in names of images.
fn checked_host(text: &str) -> Result<String, UpstreamError> {
    let wrong = || setting(format!("{text:?} is no registry: it is host or host:port, as in names of images"));
    let text = if text == "index.docker.io" { "docker.io" } else { text };
    let reference: ImageReference = format!("{text}/a/b").parse().map_err(|_| wrong())?;
    if reference.registry() == text { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn check_pem(pem: &str) -> Result<(), UpstreamError> {
    let wrong = || setting("these are no certificates in PEM".to_owned());
    if pem.len() > PEM_BYTES {
        return Err(wrong());
    }
    let read = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| wrong())?;
    if read.is_empty() { Err(wrong()) } else { Ok(()) }
}

fn setting(reason: String) -> UpstreamError {
    UpstreamError::Setting { reason }
}
