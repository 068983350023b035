//! Images.

use sampan_engine::events::Action;
use sampan_engine::images::{Difference, Distribution, PullEvent, PullRequest, Pulled, PushEvent, PushRequest, Pushed};
use sampan_engine::images::{
    HistoryLine, Image as Seen, ImageUsage, Loaded, Making, Progress, PruneFilter, Pruned, Removed, SavedArchive,
    Tagged, Usage,
};
use sampan_engine::reference::ImageReference;
use sampan_engine::upstream::Credentials;
use serde_json::json;
use tokio::io::AsyncRead;

use super::image_events::{tell, tell_moved, tell_pruned, tell_removed};
use super::{Result, ServiceError, own_registry, registries};
use crate::app::App;
use crate::policy::action::{Import, List, Load, Prune, Pull, Push, Remove, Save, Tag, View};
use crate::policy::{Granted, Image, Images};

/// The team's, newest first.
pub async fn list(app: &App, target: &Granted<List, Images>) -> Result<Vec<Seen>> {
    Ok(app.engine.images().list(target.owner()).await?)
}

/// One.
pub async fn inspect(app: &App, target: &Granted<View, Image>) -> Result<Seen> {
    Ok(app.engine.images().find(target.owner(), target.noun().reference()).await?)
}

/// How it was made, newest step first.
pub async fn history(app: &App, target: &Granted<View, Image>) -> Result<Vec<HistoryLine>> {
    Ok(app.engine.images().history(target.owner(), target.noun().reference()).await?)
}

/// Takes in an archive: all its images, or none.
pub async fn load(
    app: &App,
    target: Granted<Load, Images>,
    archive: impl AsyncRead + Send + Unpin,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Vec<Loaded>> {
    let loaded = app.engine.images().load(target.owner(), archive, progress).await?;
    for image in &loaded {
        let names: Vec<String> = image.tags.iter().map(|tag| tag.reference.familiar()).collect();
        let id = image.id.to_string();
        app.note(&target, &id, json!({ "references": names }));
        tell(app, target.owner(), Action::Load, &id, &id).await;
    }
    Ok(loaded)
}

/// Makes an image of a tar: all of it, or none.
pub async fn import(
    app: &App,
    target: Granted<Import, Images>,
    tar: impl AsyncRead + Send + Unpin,
    making: Making,
) -> Result<Loaded> {
    let made = app.engine.images().import(target.owner(), tar, making).await?;
    let id = made.id.to_string();
    let names: Vec<String> = made.tags.iter().map(|tag| tag.reference.familiar()).collect();
    for name in &names {
        tell(app, target.owner(), Action::Tag, &id, name).await;
    }
    tell(app, target.owner(), Action::Import, &id, &id).await;
    app.note(&target, &id, json!({ "references": names }));
    Ok(made)
}

/// Makes an archive of images, by name or id.
pub async fn save(app: &App, targets: &[Granted<Save, Image>]) -> Result<SavedArchive> {
    let Some(first) = targets.first() else {
        return Err(ServiceError::Invalid { message: "no image is named".to_owned() });
    };
    let names: Vec<String> = targets.iter().map(|target| target.noun().reference().clone()).collect();
    let archive = app.engine.images().save(first.owner(), &names).await?;
    for id in archive.images() {
        let id = id.to_string();
        app.note(first, &id, json!({ "bytes": archive.size() }));
        tell(app, first.owner(), Action::Save, &id, &id).await;
    }
    Ok(archive)
}

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullOrder {
    /// With a tag or a digest.
    pub reference: ImageReference,
    /// `None`: this host's.
    pub platform: Option<String>,
    /// Shown to the registry; `None`: what the team has there.
    pub given: Option<Credentials>,
    /// Every tag of the repository.
    pub all: bool,
}

/// Brings an image from a registry, or all of a repository.
pub async fn pull(
    app: &App,
    target: Granted<Pull, Images>,
    order: PullOrder,
    tell: &(dyn Fn(PullEvent) + Send + Sync),
) -> Result<Vec<Pulled>> {
    let PullOrder { reference, platform, given, all } = order;
    if let Some(name) = own_registry::named(app, &reference)? {
        let how = (platform.as_deref(), given);
        let pulled = own_registry::pull(app, &target, &name, (&reference, all), how, tell).await?;
        for image in &pulled {
            app.note(&target, &reference.familiar(), json!({ "image": image.id, "digest": image.digest }));
        }
        tell_moved(app, target.owner(), Action::Pull, &reference, all).await;
        return Ok(pulled);
    }
    let credentials = registries::credentials(app, target.owner(), reference.registry(), given).await?;
    let request = PullRequest { reference, platform, credentials, elevated: target.is_elevated() };
    let images = app.engine.images();
    let pulled = match all {
        true => images.pull_all(target.owner(), &request, tell).await?,
        false => vec![images.pull(target.owner(), &request, tell).await?],
    };
    for image in &pulled {
        app.note(&target, &request.reference.familiar(), json!({ "image": image.id, "digest": image.digest }));
    }
    tell_moved(app, target.owner(), Action::Pull, &request.reference, all).await;
    Ok(pulled)
}

/// What a name is at its registry.
pub async fn distribution(
    app: &App,
    target: &Granted<Pull, Images>,
    reference: ImageReference,
    given: Option<Credentials>,
) -> Result<Distribution> {
    if let Some(name) = own_registry::named(app, &reference)? {
        return own_registry::distribution(app, target, &name, &reference, given).await;
    }
    let credentials = registries::credentials(app, target.owner(), reference.registry(), given).await?;
    let request = PullRequest { reference, platform: None, credentials, elevated: target.is_elevated() };
    Ok(app.engine.images().distribution(&request).await?)
}

/// What to push.
#[derive(Debug, Clone)]
pub struct PushOrder {
    /// With the tag.
    pub reference: ImageReference,
    /// Every tag that the team has of the repository.
    pub all: bool,
    /// `os[/architecture[/variant]]` that the image must be for; `None`: any.
    pub platform: Option<String>,
    /// Shown to the registry; `None`: what the team has there.
    pub given: Option<Credentials>,
}

/// Gives an image to its registry, by one tag or by all of its repository.
pub async fn push(
    app: &App,
    target: Granted<Push, Image>,
    order: PushOrder,
    tell: &(dyn Fn(PushEvent) + Send + Sync),
) -> Result<Vec<Pushed>> {
    let PushOrder { reference, all, platform, given } = order;
    if let Some(name) = own_registry::named(app, &reference)? {
        let pushed =
            own_registry::push(app, &target, &name, (&reference, all), (platform.as_deref(), given), tell).await?;
        for one in &pushed {
            app.note(&target, &reference.familiar_name(), json!({ "tag": one.tag, "digest": one.digest }));
        }
        tell_moved(app, target.owner(), Action::Push, &reference, all).await;
        return Ok(pushed);
    }
    let credentials = registries::credentials(app, target.owner(), reference.registry(), given).await?;
    let request = PushRequest { reference, all, platform, credentials, elevated: target.is_elevated() };
    let pushed = app.engine.images().push(target.owner(), &request, tell).await?;
    for one in &pushed {
        app.note(&target, &request.reference.familiar_name(), json!({ "tag": one.tag, "digest": one.digest }));
    }
    tell_moved(app, target.owner(), Action::Push, &request.reference, all).await;
    Ok(pushed)
}

/// Gives it a further name, taking that from another image of the team if need be.
pub async fn tag(app: &App, target: Granted<Tag, Image>, reference: &str) -> Result<Tagged> {
    let tagged = app.engine.images().tag(target.owner(), target.noun().reference(), reference).await?;
    app.note(&target, target.noun().reference(), json!({ "reference": reference }));
    tell(app, target.owner(), Action::Tag, &tagged.id.to_string(), &tagged.reference.familiar()).await;
    Ok(tagged)
}

/// Takes a name, and the image with its last one; `force` also where stopped containers stand in the way.
pub async fn remove(app: &App, target: Granted<Remove, Image>, force: bool) -> Result<Vec<Removed>> {
    app.make_room();
    let images = app.engine.images();
    let id = images.find(target.owner(), target.noun().reference()).await?.id.to_string();
    let removed = images.remove(target.owner(), target.noun().reference(), force).await?;
    app.note(&target, target.noun().reference(), json!({ "force": force }));
    tell_removed(app, target.owner(), &id, &removed);
    Ok(removed)
}

/// Removes what no container of the team uses.
pub async fn prune(app: &App, target: Granted<Prune, Images>, filter: &PruneFilter) -> Result<Pruned> {
    app.make_room();
    let pruned = app.engine.images().prune(target.owner(), filter).await?;
    app.note(&target, "unused images", json!({ "bytes": pruned.reclaimed_bytes }));
    tell_pruned(app, target.owner(), &pruned.removed, pruned.reclaimed_bytes);
    Ok(pruned)
}

/// What is different between two; at most `most` of files and of packages each are listed.
pub async fn difference(
    app: &App,
    before: &Granted<View, Image>,
    after: &Granted<View, Image>,
    most: usize,
) -> Result<Difference> {
    let names = (before.noun().reference().as_str(), after.noun().reference().as_str());
    Ok(app.engine.images().difference(before.owner(), names, most).await?)
}

/// What one takes of the disk.
pub async fn usage_of(app: &App, target: &Granted<View, Image>) -> Result<ImageUsage> {
    Ok(app.engine.images().usage_of(target.owner(), target.noun().reference()).await?)
}

/// What the team's images take of the disk.
pub async fn usage(app: &App, target: &Granted<List, Images>) -> Result<Usage> {
    Ok(app.engine.images().usage(target.owner()).await?)
}
