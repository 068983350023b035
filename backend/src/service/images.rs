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
        app.note(&target, &image.id.to_string(), json!({ "references": names }));
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
    app.engine.tell_image(target.owner(), Action::Import, &id, names.first().unwrap_or(&id));
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
        app.engine.tell_image(first.owner(), Action::Save, &id, &id);
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
    Ok(pulled)
}

/// What a name is at its registry.
pub async fn distribution(
    app: &App,
    target: &Granted<Pull, Images>,
    reference: ImageReference,
    given: Option<Credentials>,
) -> Result<Distribution> {
    let credentials = registries::credentials(app, target.owner(), reference.registry(), given).await?;
    let request = PullRequest { reference, platform: None, credentials, elevated: target.is_elevated() };
    Ok(app.engine.images().distribution(&request).await?)
}

/// Gives an image to its registry, by one tag or by all of its repository.
pub async fn push(
    app: &App,
    target: Granted<Push, Image>,
    reference: ImageReference,
    all: bool,
    given: Option<Credentials>,
    tell: &(dyn Fn(PushEvent) + Send + Sync),
) -> Result<Vec<Pushed>> {
    if let Some(name) = own_registry::named(app, &reference)? {
        let pushed = own_registry::push(app, &target, &name, (&reference, all), given, tell).await?;
        for one in &pushed {
            app.note(&target, &reference.familiar_name(), json!({ "tag": one.tag, "digest": one.digest }));
        }
        return Ok(pushed);
    }
    let credentials = registries::credentials(app, target.owner(), reference.registry(), given).await?;
    let request = PushRequest { reference, all, credentials, elevated: target.is_elevated() };
    let pushed = app.engine.images().push(target.owner(), &request, tell).await?;
    for one in &pushed {
        app.note(&target, &request.reference.familiar_name(), json!({ "tag": one.tag, "digest": one.digest }));
    }
    Ok(pushed)
}

/// Gives it a further name, taking that from another image of the team if need be.
pub async fn tag(app: &App, target: Granted<Tag, Image>, reference: &str) -> Result<Tagged> {
    let tagged = app.engine.images().tag(target.owner(), target.noun().reference(), reference).await?;
    app.note(&target, target.noun().reference(), json!({ "reference": reference }));
    Ok(tagged)
}

/// Takes a name, and the image with its last one; `force` also where stopped containers stand in the way.
pub async fn remove(app: &App, target: Granted<Remove, Image>, force: bool) -> Result<Vec<Removed>> {
    app.make_room();
    let removed = app.engine.images().remove(target.owner(), target.noun().reference(), force).await?;
    app.note(&target, target.noun().reference(), json!({ "force": force }));
    Ok(removed)
}

/// Removes what no container of the team uses.
pub async fn prune(app: &App, target: Granted<Prune, Images>, filter: &PruneFilter) -> Result<Pruned> {
    app.make_room();
    let pruned = app.engine.images().prune(target.owner(), filter).await?;
    app.note(&target, "unused images", json!({ "bytes": pruned.reclaimed_bytes }));
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
