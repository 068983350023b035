//! Containers.

use std::sync::Arc;
use std::time::Duration;

use sampan_engine::containers::{
    AttachRequest, Attached, ChangeStream, Commit as Committing, Container as Seen, Created, FileStream, Found,
    LogQuery, OutputStream, Pruned, Stopped, Top as Processes, WaitCondition,
};
use sampan_engine::events::Action;
use sampan_engine::reference::ImageReference;
use sampan_engine::stats::{Point, Sample, SampleStream};
use sampan_engine::volumes::Usage;

use serde_json::{Value, json};
use tokio::io::AsyncRead;

use super::Result;
use crate::app::App;
use crate::policy::action::{
    Attach, Changes, Commit, CopyFrom, CopyTo, Create, Export, Kill, List, Logs, Pause, Prune, Remove, Rename, Resize,
    Restart, Start, Stats, Stop, Top, Unpause, Update, View, Wait,
};
use crate::policy::{Container, ContainerUpdate, Containers, Granted, NewContainer, Verb};

/// Makes one.
pub async fn create(app: &App, target: Granted<Create, NewContainer>) -> Result<Created> {
    let name = target.noun().name().as_deref();
    let config = target.noun().config().clone();
    let done = app.engine.containers().create(target.owner(), name, config).await?;
    let image = &target.noun().config().image;
    app.note(&target, &done.id, serde_json::json!({ "name": name, "image": image }));
    Ok(done)
}

/// The team's, newest first; without `all` only those that run.
pub fn list(app: &App, target: &Granted<List, Containers>, all: bool) -> Vec<Arc<Seen>> {
    app.engine.containers().list(target.owner(), all)
}

/// The container as it is now.
pub fn inspect(app: &App, target: &Granted<View, Container>) -> Result<Arc<Seen>> {
    Ok(app.engine.containers().get(target.owner(), target.noun().id())?)
}

/// Kinds and numbers of the namespaces of its main process.
pub async fn namespaces(app: &App, target: &Granted<View, Container>) -> Result<Vec<(String, u64)>> {
    Ok(app.engine.containers().namespaces(target.owner(), target.noun().id()).await?)
}

/// Space that its writable layer takes.
pub async fn usage(app: &App, target: &Granted<View, Container>) -> Result<Usage> {
    Ok(app.engine.containers().usage(target.owner(), target.noun().id()).await?)
}

/// Starts the main process.
pub async fn start(app: &App, target: Granted<Start, Container>) -> Result<()> {
    app.engine.containers().start(target.owner(), target.noun().id()).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(())
}

/// Asks the main process to end, then kills it.
pub async fn stop(
    app: &App,
    target: Granted<Stop, Container>,
    grace: Option<Duration>,
    signal: Option<&str>,
) -> Result<Stopped> {
    let done = app.engine.containers().stop(target.owner(), target.noun().id(), grace, signal).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(done)
}

/// Sends a signal to the main process.
pub async fn kill(app: &App, target: Granted<Kill, Container>, signal: Option<&str>) -> Result<()> {
    app.engine.containers().kill(target.owner(), target.noun().id(), signal).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(())
}

/// Stops it if it runs, then starts it.
pub async fn restart(
    app: &App,
    target: Granted<Restart, Container>,
    grace: Option<Duration>,
    signal: Option<&str>,
) -> Result<()> {
    app.engine.containers().restart(target.owner(), target.noun().id(), grace, signal).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(())
}

/// Freezes it.
pub async fn pause(app: &App, target: Granted<Pause, Container>) -> Result<()> {
    app.engine.containers().pause(target.owner(), target.noun().id()).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(())
}

/// Thaws it.
pub async fn unpause(app: &App, target: Granted<Unpause, Container>) -> Result<()> {
    app.engine.containers().unpause(target.owner(), target.noun().id()).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(())
}

/// Its exit code, once the condition holds.
pub async fn wait(app: &App, target: Granted<Wait, Container>, condition: WaitCondition) -> Result<i32> {
    Ok(app.engine.containers().wait(target.owner(), target.noun().id(), condition).await?)
}

/// Gives it another name.
pub async fn rename(app: &App, target: Granted<Rename, Container>, name: &str) -> Result<()> {
    app.engine.containers().rename(target.owner(), target.noun().id(), name).await?;
    app.note(&target, target.noun().id(), serde_json::json!({ "to": name }));
    Ok(())
}

/// Removes it; with `force` also one that runs, with `volumes` its anonymous volumes too.
pub async fn remove(app: &App, target: Granted<Remove, Container>, force: bool, volumes: bool) -> Result<()> {
    app.make_room();
    app.engine.containers().remove(target.owner(), target.noun().id(), force, volumes).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(())
}

/// Joins its streams.
pub async fn attach(app: &App, target: Granted<Attach, Container>, request: AttachRequest) -> Result<Attached> {
    let done = app.engine.containers().attach(target.owner(), target.noun().id(), request).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(done)
}

/// Sets the size of its terminal.
pub async fn resize(app: &App, target: Granted<Resize, Container>, rows: u16, columns: u16) -> Result<()> {
    Ok(app.engine.containers().resize(target.owner(), target.noun().id(), rows, columns).await?)
}

/// What it wrote.
pub async fn logs(app: &App, target: Granted<Logs, Container>, query: LogQuery) -> Result<OutputStream> {
    Ok(app.engine.containers().logs(target.owner(), target.noun().id(), query).await?)
}

/// Its processes.
pub async fn top(app: &App, target: Granted<Top, Container>, arguments: &str) -> Result<Processes> {
    Ok(app.engine.containers().top(target.owner(), target.noun().id(), arguments).await?)
}

/// Changes limits and policy; gives warnings.
pub async fn update(app: &App, target: Granted<Update, ContainerUpdate>) -> Result<Vec<String>> {
    let change = target.noun().update().clone();
    let done = app.engine.containers().update(target.owner(), target.noun().id(), change).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(done)
}

/// Removes all of the team that do not run and for which `wanted` says so.
pub async fn prune(
    app: &App,
    target: Granted<Prune, Containers>,
    wanted: &(dyn Fn(&Seen) -> bool + Send + Sync),
) -> Result<Pruned> {
    app.make_room();
    let done = app.engine.containers().prune(target.owner(), wanted).await?;
    app.note(&target, "unused", serde_json::json!({ "removed": done.ids.len() }));
    Ok(done)
}

/// One reading now.
pub async fn sample(app: &App, target: &Granted<Stats, Container>) -> Result<Arc<Sample>> {
    Ok(app.engine.stats().sample(target.owner(), target.noun().id()).await?)
}

/// A reading a second.
pub fn samples(app: &App, target: &Granted<Stats, Container>) -> Result<SampleStream> {
    Ok(app.engine.stats().stream(target.owner(), target.noun().id())?)
}

/// The last ten minutes in steps of ten seconds.
pub fn history(app: &App, target: &Granted<Stats, Container>) -> Result<Vec<Point>> {
    Ok(app.engine.stats().history(target.owner(), target.noun().id())?)
}

/// What lies at a path of it: a link itself, unless the path ends with a slash.
pub async fn look(app: &App, target: &Granted<CopyFrom, Container>, path: &str) -> Result<Found> {
    Ok(app.engine.containers().look(target.owner(), target.noun().id(), path).await?)
}

/// The same, with all beneath it as a tar.
pub async fn copy_from(app: &App, target: Granted<CopyFrom, Container>, path: &str) -> Result<(Found, FileStream)> {
    let done = app.engine.containers().read_files(target.owner(), target.noun().id(), path).await?;
    app.note(&target, target.noun().id(), json!({ "path": path }));
    Ok(done)
}

/// How files are copied into a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copying {
    /// A folder stays a folder, and what is none becomes none.
    pub keep_kinds: bool,
    /// All of it becomes the container's user's.
    pub as_user: bool,
}

/// Takes a tar in at a folder of it.
pub async fn copy_to(
    app: &App,
    target: Granted<CopyTo, Container>,
    path: &str,
    how: Copying,
    archive: impl AsyncRead + Send + Unpin,
) -> Result<()> {
    let how = (how.keep_kinds, how.as_user);
    let done = app.engine.containers().write_files(target.owner(), target.noun().id(), path, how, archive).await;
    // Also where it failed: what came before that is there.
    app.note(&target, target.noun().id(), json!({ "path": path, "whole": done.is_ok() }));
    Ok(done?)
}

/// All of its root as a tar.
pub async fn export(app: &App, target: Granted<Export, Container>) -> Result<FileStream> {
    let done = app.engine.containers().export(target.owner(), target.noun().id()).await?;
    app.note(&target, target.noun().id(), Value::Null);
    Ok(done)
}

/// What it has made of its image's files.
pub async fn changes(app: &App, target: &Granted<Changes, Container>) -> Result<ChangeStream> {
    Ok(app.engine.containers().changes(target.owner(), target.noun().id()).await?)
}

/// Makes an image of it; gives the image's id.
pub async fn commit(app: &App, target: Granted<Commit, Container>, commit: Committing) -> Result<String> {
    let name = commit.name.as_ref().map(ToString::to_string);
    let familiar = commit.name.as_ref().map(ImageReference::familiar);
    let id = app.engine.containers().commit(target.owner(), target.noun().id(), commit).await?.to_string();
    app.note(&target, target.noun().id(), json!({ "image": id, "name": name }));
    if let Some(name) = &familiar {
        super::image_events::tell(app, target.owner(), Action::Tag, &id, name).await;
    }
    Ok(id)
}

/// Notes that the caller was shown the values of the container's variables, before they are.
pub async fn reveal_environment(app: &App, target: &Granted<Update, Container>) -> Result<()> {
    let team = Some(target.owner().team_id);
    super::record(app, target, target.noun().name(), team, serde_json::json!({ "revealed": "environment" })).await
}

/// Whether the caller may read the values of its environment, which may be secrets: those who may change it.
pub fn reveals(target: &Granted<View, Container>) -> bool {
    target.may(Verb::Update)
}
