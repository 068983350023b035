//! The cache of other registries: a team's repository `cache/REGISTRY/NAME` fills itself with what is pulled through it.
//!
//! The registry says what a tag is and who may have it, to each team by that team's own credentials. What was fetched
//! stays, and is given out while the registry cannot be asked: by digest, and by tag as it was when the registry last
//! said so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::manifest::check;
use super::manifests::{gone, list};
use super::{Manifest, Registry, RegistryError, Repository, Tag};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::reference::ImageReference;
use crate::store::registry::manifests::{self as rows, ManifestRow};
use crate::store::registry::repositories;
use crate::store::registry::tags::{self, TagRow};
use crate::upstream::{self, Credentials, Places, Rules, UpstreamError};

/// What a tag is, is asked again after this time: nanoseconds.
pub const FRESH_NS: i64 = 60_000_000_000;
/// That somebody asked for a manifest is noted at most once in this time.
const NOTE_EVERY_NS: i64 = 3_600_000_000_000;
/// What nobody asked for in this time goes.
const KEEP_NS: i64 = 30 * 86_400_000_000_000;
/// What names of such repositories begin with.
const MARK: &str = "cache/";

/// Another registry's repository, as one caller may read it there.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) reference: ImageReference,
    pub(super) places: Arc<Places>,
}

/// A manifest of the cache.
#[derive(Debug, Clone)]
pub struct Cached {
    /// It.
    pub manifest: Manifest,
    /// Where it lies.
    pub repository: Repository,
    /// When the registry last said that the tag is this: nanoseconds since 1970; `None`: it was asked for by digest.
    pub as_of: Option<i64>,
}

/// Tags that somebody is asking the registry about, so that others wait for the answer.
#[derive(Debug, Default)]
pub(super) struct Asking(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Asking {
    async fn alone(&self, what: String) -> OwnedMutexGuard<()> {
        let one = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, one| Arc::strong_count(one) > 1);
            all.entry(what).or_default().clone()
        };
        one.lock_owned().await
    }
}

/// What a repository of that name (behind the team's) is filled with: `cache/docker.io/library/busybox`. A port stands
/// behind `_`, since a name of a repository has no `:`. `None`: it is an ordinary one.
pub fn cached(name: &str) -> Option<ImageReference> {
    let (host, rest) = name.strip_prefix(MARK)?.split_once('/')?;
    let host = match host.rsplit_once('_') {
        Some((host, port)) if port.parse::<u16>().is_ok() => format!("{host}:{port}"),
        _ => host.to_owned(),
    };
    let is_host = host.contains(['.', ':']) || host == "localhost";
    let reference: ImageReference = is_host.then(|| format!("{host}/{rest}"))?.parse().ok()?;
    (reference.registry() == host).then_some(reference)
}

/// What names of repositories with things of that registry begin with.
pub(super) fn prefix(registry: &str) -> String {
    format!("{MARK}{}/", registry.replace(':', "_"))
}

impl Registry {
    /// Where a repository of the cache is filled from, for one caller.
    ///
    /// # Errors
    /// [`RegistryError::Upstream`] for a host that makes no address.
    pub async fn source(
        &self,
        reference: ImageReference,
        credentials: &Credentials,
        elevated: bool,
    ) -> Result<Source, RegistryError> {
        let rules = Arc::new(Rules::load(&self.shared.read).await?);
        let places = self.shared.images.places(&rules, &reference, credentials, elevated)?;
        Ok(Source { reference, places: Arc::new(places) })
    }

    /// What a tag is. The registry is asked when that is a minute ago; when it cannot be, what it said last counts.
    ///
    /// # Errors
    /// [`RegistryError::Upstream`]: what the registry said.
    pub async fn cached_by_tag(
        &self,
        team_id: i64,
        name: &str,
        source: &Source,
        tag: &Tag,
    ) -> Result<Cached, RegistryError> {
        let _alone = self.shared.asking.alone(format!("{}/{name}:{tag}", team_id)).await;
        let found = self.find(team_id, name).await?;
        let known = match &found {
            Some(repository) => {
                let row = tags::checked(&self.shared.read, repository.id, tag.as_str()).await?;
                row.map(|(digest, at)| (repository.clone(), digest, at))
            }
            None => None,
        };
        let now = now_ns();
        if let Some((repository, digest, at)) = known.as_ref().filter(|(_, _, at)| now - at < FRESH_NS) {
            return self.kept(repository, digest, Some(*at)).await;
        }
        let places = &source.places;
        let manifest = match (places.digest(tag.as_str()).await, known) {
            (Ok(Some(digest)), Some((repository, known, _))) if digest.to_string() == known => {
                tags::confirm(&self.shared.write, repository.id, tag.as_str(), now).await?;
                return self.kept(&repository, &known, Some(now)).await;
            }
            (Ok(Some(digest)), _) => places.manifest(&digest).await?.0,
            (Ok(None), _) => places.registry().manifest(tag.as_str()).await?,
            (Err(error), Some((repository, digest, at))) if error.is_absent() => {
                tracing::info!(%error, %repository.name, %tag, "a registry cannot be asked: what it said last counts");
                return self.kept(&repository, &digest, Some(at)).await;
            }
            (Err(error @ UpstreamError::NoManifest { .. }), Some((repository, ..))) => {
                // The registry has it no more.
                self.delete_tag(&repository, tag).await?;
                return Err(error.into());
            }
            (Err(error), _) => return Err(error.into()),
        };
        let repository = self.ensure_of(team_id, name).await?;
        let manifest = self.keep(&repository, source, manifest, Some((tag, now))).await?;
        Ok(Cached { manifest, repository, as_of: Some(now) })
    }

    /// The manifest of a digest.
    ///
    /// # Errors
    /// [`RegistryError::Upstream`]: what the registry said.
    pub async fn cached_by_digest(
        &self,
        team_id: i64,
        name: &str,
        source: &Source,
        digest: &Digest,
    ) -> Result<Cached, RegistryError> {
        if let Some(repository) = self.find(team_id, name).await? {
            match self.kept(&repository, &digest.to_string(), None).await {
                Err(RegistryError::ManifestUnknown { .. }) => {}
                found => return found,
            }
        }
        let (manifest, _) = source.places.manifest(digest).await?;
        let repository = self.ensure_of(team_id, name).await?;
        let manifest = self.keep(&repository, source, manifest, None).await?;
        Ok(Cached { manifest, repository, as_of: None })
    }

    /// One that is there, and is noted to be of use.
    async fn kept(&self, repository: &Repository, digest: &str, as_of: Option<i64>) -> Result<Cached, RegistryError> {
        let unknown = || RegistryError::ManifestUnknown { reference: digest.to_owned() };
        let manifest = self.manifest(repository, &digest.parse().map_err(|_| unknown())?).await?;
        let now = now_ns();
        rows::note_use(&self.shared.write, repository.id, digest, now, now - NOTE_EVERY_NS).await?;
        Ok(Cached { manifest, repository: repository.clone(), as_of })
    }

    /// Keeps one that came. What it names comes when somebody asks for it.
    async fn keep(
        &self,
        repository: &Repository,
        source: &Source,
        came: upstream::Manifest,
        tag: Option<(&Tag, i64)>,
    ) -> Result<Manifest, RegistryError> {
        let upstream::Manifest { media_type, digest, bytes } = came;
        let _gate = self.shared.leases.shared().await;
        let content = self.shared.content.clone();
        let storing = tokio::task::spawn_blocking(move || {
            let told = Some(media_type.as_str()).filter(|text| !text.is_empty());
            let checked = check(told, &bytes)?;
            content.put(&bytes)?;
            Ok::<_, RegistryError>((checked, bytes))
        });
        let (checked, bytes) = storing.await.map_err(super::error::joining)?.map_err(|error| match error {
            RegistryError::ManifestInvalid { reason } => {
                UpstreamError::Malformed { what: format!("manifest {digest}"), reason }.into()
            }
            other => other,
        })?;
        let (id, text, now) = (repository.id, digest.to_string(), now_ns());
        let row = ManifestRow {
            digest: text.clone(),
            media_type: checked.media_type.clone(),
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            artifact_type: checked.artifact_type.clone(),
            subject: checked.subject.map(|subject| subject.to_string()),
            annotations: serde_json::json!(checked.annotations).to_string(),
            pushed_by: source.reference.registry().to_owned(),
            pushed_at: now,
        };
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        rows::insert(&mut transaction, id, &row).await.map_err(|error| gone(repository, error))?;
        rows::link(&mut transaction, id, &text, &list(&checked.blobs), &list(&checked.manifests)).await?;
        rows::note_use(&mut *transaction, id, &text, now, now).await?;
        if let Some((tag, checked_at)) = tag {
            let tagged_by = row.pushed_by;
            let row = TagRow { name: tag.to_string(), digest: text, tagged_by, tagged_at: now };
            tags::put(&mut transaction, id, &row).await?;
            tags::confirm(&mut *transaction, id, tag.as_str(), checked_at).await?;
        }
        transaction.commit().await?;
        Ok(Manifest { digest, media_type: checked.media_type, bytes: bytes.into() })
    }

    /// Lets go of what nobody asked for in 30 days, and of repositories of the cache that have nothing. What their blobs
    /// were is swept as any other.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn forget_unused(&self) -> Result<(), RegistryError> {
        self.forget_before(now_ns() - KEEP_NS).await
    }

    pub(super) async fn forget_before(&self, before: i64) -> Result<(), RegistryError> {
        let mut transaction = self.shared.write.begin_with("BEGIN IMMEDIATE").await?;
        // An index that went lets its manifests go.
        while rows::delete_unused(&mut transaction, before).await? > 0 {}
        transaction.commit().await?;
        for (id, name) in repositories::empty(&self.shared.read).await? {
            if cached(&name).is_some() {
                repositories::delete(&self.shared.write, id).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_repository_is_filled_with() {
        for (name, filled_with) in [
            ("cache/docker.io/library/busybox", Some("docker.io/library/busybox")),
            ("cache/docker.io/busybox", Some("docker.io/library/busybox")),
            ("cache/ghcr.io/a/b/c", Some("ghcr.io/a/b/c")),
            ("cache/localhost_5000/a", Some("localhost:5000/a")),
            ("cache/192.0.2.1_7443/default/nginx", Some("192.0.2.1:7443/default/nginx")),
            ("cache/tools", None),
            ("cache/tools/a", None),
            ("cache/index.docker.io/library/busybox", None),
            ("cache/docker.io", None),
            ("cached/docker.io/library/busybox", None),
        ] {
            let found = cached(name).map(|found| format!("{}/{}", found.registry(), found.repository()));
            assert_eq!(found.as_deref(), filled_with, "{name}");
        }
        assert_eq!(prefix("localhost:5000"), "cache/localhost_5000/");
    }
}
