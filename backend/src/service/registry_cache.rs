//! Repositories of the registry inside that fill themselves from other registries: what a pull asks for is there, or
//! comes, by the team's own name at that registry.

use sampan_engine::images::PullEvent;
use sampan_engine::reference::ImageReference;
use sampan_engine::registry::{Cached, FRESH_NS, Source};

use super::registry::Named;
use super::{Result, registries};
use crate::app::App;
use crate::clock::now_ns;
use crate::policy::action::Pull;
use crate::policy::{Granted, Repository};

/// Where the repository is filled from for this caller; `None`: it is an ordinary one, or the caller is not of the team,
/// to whom a public one gives what is there.
pub(super) async fn source(app: &App, target: &Granted<Pull, Repository>) -> Result<Option<Source>> {
    let Some(reference) = target.noun().fills().clone() else { return Ok(None) };
    let credentials = registries::credentials(app, target.owner(), reference.registry(), None).await?;
    Ok(Some(app.engine.registry().source(reference, &credentials, target.is_elevated()).await?))
}

/// A manifest, from there if need be.
pub(super) async fn manifest(
    app: &App,
    target: &Granted<Pull, Repository>,
    source: &Source,
    named: &Named,
) -> Result<Cached> {
    let (registry, team, name) = (app.engine.registry(), target.owner().team_id, target.noun().name().name());
    Ok(match named {
        Named::Tag(tag) => registry.cached_by_tag(team, name, source, tag).await?,
        Named::Digest(digest) => registry.cached_by_digest(team, name, source, digest).await?,
    })
}

/// The same before a pull into the team's images, which says when it had to go by what the registry said once.
pub(super) async fn prepare(
    app: &App,
    target: &Granted<Pull, Repository>,
    source: &Source,
    reference: &ImageReference,
    tell: &(dyn Fn(PullEvent) + Send + Sync),
) -> Result<Cached> {
    let named = match reference.digest() {
        Some(digest) => Named::Digest(digest),
        None => Named::Tag(reference.tag().unwrap_or("latest").parse()?),
    };
    let cached = manifest(app, target, source, &named).await?;
    let age = cached.as_of.map_or(0, |at| now_ns() - at);
    if age > FRESH_NS {
        let seconds = age / 1_000_000_000;
        tell(PullEvent::Note(format!(
            "the registry of {} cannot be reached: what it is, it said {seconds} s ago",
            reference.familiar()
        )));
    }
    Ok(cached)
}
