//! The registry inside. Pushes and removals are written to the audit trail; pulls are only counted.

use std::collections::HashMap;

use sampan_engine::digest::Digest;
use sampan_engine::images::{Difference, Distribution, Image, ImageError, PullEvent, Pulled, Side};
use sampan_engine::reference::ImageReference;
use sampan_engine::registry::{
    Change, Counts, Filled, Listed, ListedManifest, ListedTag, Manifest, NewManifest, Piece, Referrers, RegistryError,
    Repository as Seen, Retained, Stored, Tag, TeamUsage, Upload,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Result, registry_cache};
use crate::app::App;
use crate::auth::Caller;
use crate::policy::action::{List, Prune, Pull, Push, Remove, Update, View};
use crate::policy::{Action, Granted, Images, Repositories, Repository};

/// A tag or a digest, as a client names a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

impl std::str::FromStr for Named {
    type Err = RegistryError;

    /// A digest where it has a colon, which no tag has.
    fn from_str(text: &str) -> std::result::Result<Self, RegistryError> {
        match text.contains(':') {
            true => text
                .parse()
                .map(Self::Digest)
                .map_err(|_| RegistryError::ManifestUnknown { reference: text.chars().take(100).collect() }),
            false => text.parse().map(Self::Tag),
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(out),
            Self::Digest(digest) => digest.fmt(out),
        }
    }
}

/// The repository as it is; only one that a push will make is not there.
fn there<A: Action>(target: &Granted<A, Repository>) -> Result<&Seen> {
    let noun = target.noun();
    let unknown = || RegistryError::RepositoryUnknown { name: noun.name().to_string() };
    Ok(noun.found().as_ref().ok_or_else(unknown)?)
}

/// The same, made when it is not there.
async fn made(app: &App, target: &Granted<Push, Repository>) -> Result<Seen> {
    Ok(match target.noun().found() {
        Some(found) => found.clone(),
        None => app.engine.registry().ensure(target.owner(), target.noun().name().name()).await?,
    })
}

/// A manifest; of a tag of the cache also when its registry last said so, nanoseconds since 1970. `counts`: this is a
/// pull, no look.
pub async fn manifest(
    app: &App,
    target: &Granted<Pull, Repository>,
    named: &Named,
    counts: bool,
) -> Result<(Manifest, Option<i64>)> {
    let registry = app.engine.registry();
    if let Some(source) = registry_cache::source(app, target).await? {
        let cached = registry_cache::manifest(app, target, &source, named).await?;
        if counts {
            registry.count_pull(&cached.repository);
        }
        return Ok((cached.manifest, cached.as_of));
    }
    let repository = there(target)?;
    let manifest = match named {
        Named::Tag(tag) => registry.manifest_by_tag(repository, tag).await?,
        Named::Digest(digest) => registry.manifest(repository, digest).await?,
    };
    if counts {
        registry.count_pull(repository);
    }
    Ok((manifest, None))
}

/// The size of a blob. Who may push relies on the answer.
pub async fn blob_size(app: &App, target: &Granted<Pull, Repository>, digest: &Digest) -> Result<u64> {
    if target.noun().fills().is_some() {
        return Ok(app.engine.registry().cached_blob_size(there(target)?, digest).await?);
    }
    let pushing = target.may(crate::policy::Verb::Push);
    Ok(app.engine.registry().blob_size(there(target)?, digest, pushing).await?)
}

/// A blob, open, or on its way into the cache.
pub async fn blob(app: &App, target: &Granted<Pull, Repository>, digest: &Digest) -> Result<Filled> {
    let (registry, repository) = (app.engine.registry(), there(target)?);
    Ok(match registry_cache::source(app, target).await? {
        Some(source) => registry.cached_blob(repository, &source, digest).await?,
        None => Filled::There(registry.blob(repository, digest).await?),
    })
}

/// Names of tags behind `after`.
pub async fn tag_names(app: &App, target: &Granted<Pull, Repository>, after: &str, most: u32) -> Result<Vec<String>> {
    Ok(app.engine.registry().tag_names(there(target)?, after, most).await?)
}

/// What is about a manifest.
pub async fn referrers(
    app: &App,
    target: &Granted<Pull, Repository>,
    subject: &Digest,
    artifact_type: Option<&str>,
    after: &str,
) -> Result<Referrers> {
    Ok(app.engine.registry().referrers(there(target)?, subject, artifact_type, after).await?)
}

/// Whole names of repositories that the caller may pull from, behind `after`.
pub async fn catalog(app: &App, caller: &Caller, after: &str, most: u32) -> Result<Vec<String>> {
    let teams = app.policy().catalog_teams(caller).await?;
    Ok(app.engine.registry().catalog(&teams, after, most).await?)
}

/// Begins an upload.
pub async fn begin_upload(app: &App, target: &Granted<Push, Repository>) -> Result<Upload> {
    let repository = made(app, target).await?;
    Ok(app.engine.registry().begin_upload(&repository).await?)
}

/// Puts a blob of another repository into this one; false: it is not there.
pub async fn mount(
    app: &App,
    target: &Granted<Push, Repository>,
    from: &Granted<Pull, Repository>,
    digest: &Digest,
) -> Result<bool> {
    let Some(from) = from.noun().found() else { return Ok(false) };
    let repository = made(app, target).await?;
    Ok(app.engine.registry().mount(&repository, from, digest).await?)
}

/// How far an upload is.
pub async fn upload(app: &App, target: &Granted<Push, Repository>, id: &str) -> Result<Upload> {
    Ok(app.engine.registry().upload(there(target)?, id).await?)
}

/// Takes the next bytes of an upload. `range`: where they begin and how many they are, if the client says.
pub async fn append(
    app: &App,
    target: &Granted<Push, Repository>,
    id: &str,
    range: Option<(u64, u64)>,
    pieces: mpsc::Receiver<Piece>,
) -> Result<Upload> {
    Ok(app.engine.registry().append(there(target)?, id, range, pieces).await?)
}

/// Takes the last bytes, if any, and makes the blob.
pub async fn finish_upload(
    app: &App,
    target: &Granted<Push, Repository>,
    id: &str,
    digest: &Digest,
    range: Option<(u64, u64)>,
    pieces: mpsc::Receiver<Piece>,
) -> Result<()> {
    let repository = made(app, target).await?;
    Ok(app.engine.registry().finish_upload(&repository, id, digest, range, pieces).await?)
}

/// Ends an upload without a blob.
pub async fn cancel_upload(app: &App, target: &Granted<Push, Repository>, id: &str) -> Result<()> {
    Ok(app.engine.registry().cancel_upload(there(target)?, id).await?)
}

/// Takes a manifest in, under a tag or its digest, and gives it `tags` as well.
pub async fn put_manifest(
    app: &App,
    target: &Granted<Push, Repository>,
    named: &Named,
    tags: &[Tag],
    content_type: Option<&str>,
    bytes: &[u8],
) -> Result<Stored> {
    let repository = made(app, target).await?;
    let (digest, tags) = match named {
        Named::Digest(digest) => (Some(*digest), tags.to_vec()),
        Named::Tag(tag) => (None, [std::slice::from_ref(tag), tags].concat()),
    };
    let by = target.caller().actor();
    let new = NewManifest { content_type, bytes, digest, tags: &tags, by: &by };
    let stored = app.engine.registry().put_manifest(&repository, new).await?;
    let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    app.note(target, target.noun().name().whole(), json!({ "digest": stored.digest, "tags": tags }));
    Ok(stored)
}

/// Gives an image of the engine to the repository under a tag: no byte is copied.
pub(super) async fn publish(app: &App, target: &Granted<Push, Repository>, image: &Image, tag: &Tag) -> Result<Stored> {
    let repository = made(app, target).await?;
    let stored = app.engine.registry().publish(image, &repository, tag, &target.caller().actor()).await?;
    app.note(target, target.noun().name().whole(), json!({ "digest": stored.digest, "tags": [tag.as_str()] }));
    Ok(stored)
}

/// Makes what `reference` names in the repository an image of the team in view.
pub(super) async fn obtain(
    app: &App,
    source: &Granted<Pull, Repository>,
    target: &Granted<Pull, Images>,
    reference: &ImageReference,
    platform: Option<&str>,
    tell: &(dyn Fn(PullEvent) + Send + Sync),
) -> Result<Pulled> {
    let registry = app.engine.registry();
    if let Some(upstream) = registry_cache::source(app, source).await? {
        let cached = registry_cache::prepare(app, source, &upstream, reference, tell).await?;
        let from = (&cached.repository, Some(&upstream));
        return Ok(registry.obtain(target.owner(), from, reference, platform, tell).await?);
    }
    Ok(registry.obtain(target.owner(), (there(source)?, None), reference, platform, tell).await?)
}

/// What `reference` names in the repository.
pub(super) async fn distribution(
    app: &App,
    source: &Granted<Pull, Repository>,
    reference: &ImageReference,
) -> Result<Distribution> {
    if let Some(upstream) = registry_cache::source(app, source).await? {
        let cached = registry_cache::prepare(app, source, &upstream, reference, &|_| {}).await?;
        return Ok(app.engine.registry().distribution((&cached.repository, Some(&upstream)), reference).await?);
    }
    Ok(app.engine.registry().distribution((there(source)?, None), reference).await?)
}

/// Takes a tag away, or a manifest with all its tags.
pub async fn delete_manifest(app: &App, target: &Granted<Remove, Repository>, named: &Named) -> Result<()> {
    let (registry, repository) = (app.engine.registry(), there(target)?);
    match named {
        Named::Tag(tag) => drop(registry.delete_tag(repository, tag).await?),
        Named::Digest(digest) => registry.delete_manifest(repository, digest).await?,
    }
    app.note(target, target.noun().name().whole(), json!({ "manifest": named.to_string() }));
    Ok(())
}

/// Takes a blob away.
pub async fn delete_blob(app: &App, target: &Granted<Remove, Repository>, digest: &Digest) -> Result<()> {
    app.engine.registry().delete_blob(there(target)?, digest).await?;
    app.note(target, target.noun().name().whole(), json!({ "blob": digest }));
    Ok(())
}

/// How many repositories the team has.
pub async fn count(app: &App, target: &Granted<List, Repositories>) -> Result<u64> {
    Ok(app.engine.registry().count(target.owner()).await?)
}

/// The team's repositories with `text` in their names, by name, behind `after`.
pub async fn list(
    app: &App,
    target: &Granted<List, Repositories>,
    text: &str,
    after: &str,
    most: u32,
) -> Result<Vec<Listed>> {
    Ok(app.engine.registry().list(target.owner(), text, after, most).await?)
}

/// What the team has in all.
pub async fn usage(app: &App, target: &Granted<List, Repositories>) -> Result<TeamUsage> {
    Ok(app.engine.registry().usage(target.owner()).await?)
}

/// One repository.
pub async fn inspect(app: &App, target: &Granted<View, Repository>) -> Result<(Seen, Counts)> {
    let repository = there(target)?;
    Ok((repository.clone(), app.engine.registry().counts(repository).await?))
}

/// Its tags behind `after`.
pub async fn tags(app: &App, target: &Granted<View, Repository>, after: &str, most: u32) -> Result<Vec<ListedTag>> {
    Ok(app.engine.registry().tags(there(target)?, after, most).await?)
}

/// Its manifests behind `after`.
pub async fn manifests(
    app: &App,
    target: &Granted<View, Repository>,
    after: &str,
    most: u32,
) -> Result<Vec<ListedManifest>> {
    Ok(app.engine.registry().manifests(there(target)?, after, most).await?)
}

/// Those of its manifests that neither a tag nor an index names, behind `after`.
pub async fn untagged(
    app: &App,
    target: &Granted<View, Repository>,
    after: &str,
    most: u32,
) -> Result<Vec<ListedManifest>> {
    Ok(app.engine.registry().untagged(there(target)?, after, most).await?)
}

/// Bytes of the blobs that each of its manifests needs.
pub async fn bytes(app: &App, target: &Granted<View, Repository>, digests: &[&str]) -> Result<HashMap<String, u64>> {
    Ok(app.engine.registry().bytes(there(target)?, digests).await?)
}

/// Gives it other settings.
pub async fn change(app: &App, target: &Granted<Update, Repository>, change: Change) -> Result<(Seen, Counts)> {
    let registry = app.engine.registry();
    let changed = registry.change(there(target)?, change).await?;
    let details = json!({
        "public": changed.public,
        "immutable_tags": changed.immutable_tags,
        "keep_tags": changed.keep_tags,
        "keep_untagged_days": changed.keep_untagged_days,
    });
    app.note(target, target.noun().name().whole(), details);
    let counts = registry.counts(&changed).await?;
    Ok((changed, counts))
}

/// Removes it with all that is in it.
pub async fn remove(app: &App, target: &Granted<Remove, Repository>) -> Result<()> {
    app.engine.registry().remove(there(target)?).await?;
    app.note(target, target.noun().name().whole(), json!({ "repository": true }));
    Ok(())
}

/// Applies its rules about what to keep.
pub async fn retain(app: &App, target: &Granted<Prune, Repository>) -> Result<Retained> {
    let gone = app.engine.registry().retain(there(target)?).await?;
    app.note(target, target.noun().name().whole(), json!({ "tags": gone.tags, "manifests": gone.manifests }));
    Ok(gone)
}

/// What is different between two images of a repository; at most `most` of files and of packages each are listed.
pub async fn difference(
    app: &App,
    target: &Granted<View, Repository>,
    (before, after): (&Named, &Named),
    most: usize,
) -> Result<Difference> {
    let (before, after) = (side(app, target, before).await?, side(app, target, after).await?);
    Ok(app.engine.images().difference_of(before, after, most).await?)
}

async fn side(app: &App, target: &Granted<View, Repository>, named: &Named) -> Result<Side> {
    let (registry, repository) = (app.engine.registry(), there(target)?);
    let (manifest, mark) = match named {
        Named::Tag(tag) => (registry.manifest_by_tag(repository, tag).await?, ':'),
        Named::Digest(digest) => (registry.manifest(repository, digest).await?, '@'),
    };
    let reference: ImageReference =
        format!("{}{mark}{named}", target.noun().name()).parse().map_err(ImageError::from)?;
    Ok(registry.side(repository, &reference, manifest).await?)
}
