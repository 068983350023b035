//! Containers.

use std::sync::Arc;
use std::time::Duration;

use sampan_engine::containers::{
    AttachRequest, Attached, Container as Seen, Created, LogQuery, OutputStream, Pruned, Stopped, Top as Processes,
    WaitCondition,
};
use sampan_engine::stats::{Point, Sample, SampleStream};
use sampan_engine::volumes::Usage;

use super::Result;
use crate::app::App;
use crate::policy::action::{
    Attach, Create, Kill, List, Logs, Pause, Prune, Remove, Rename, Resize, Restart, Start, Stats, Stop, Top, Unpause,
    Update, View, Wait,
};
use crate::policy::{Container, ContainerUpdate, Containers, Granted, NewContainer};

/// Makes one.
pub async fn create(app: &App, target: Granted<Create, NewContainer>) -> Result<Created> {
    let name = target.noun().name().as_deref();
    let config = target.noun().config().clone();
    Ok(app.engine.containers().create(target.owner(), name, config).await?)
}

/// The team's, newest first; without `all` only those that run.
pub fn list(app: &App, target: &Granted<List, Containers>, all: bool) -> Vec<Arc<Seen>> {
    app.engine.containers().list(target.owner(), all)
}

/// The container as it is now.
pub fn inspect(app: &App, target: &Granted<View, Container>) -> Result<Arc<Seen>> {
    Ok(app.engine.containers().get(target.owner(), target.noun().id())?)
}

/// Space that its writable layer takes.
pub async fn usage(app: &App, target: &Granted<View, Container>) -> Result<Usage> {
    Ok(app.engine.containers().usage(target.owner(), target.noun().id()).await?)
}

/// Starts the main process.
pub async fn start(app: &App, target: Granted<Start, Container>) -> Result<()> {
    Ok(app.engine.containers().start(target.owner(), target.noun().id()).await?)
}

/// Asks the main process to end, then kills it.
pub async fn stop(
    app: &App,
    target: Granted<Stop, Container>,
    grace: Option<Duration>,
    signal: Option<&str>,
) -> Result<Stopped> {
    Ok(app.engine.containers().stop(target.owner(), target.noun().id(), grace, signal).await?)
}

/// Sends a signal to the main process.
pub async fn kill(app: &App, target: Granted<Kill, Container>, signal: Option<&str>) -> Result<()> {
    Ok(app.engine.containers().kill(target.owner(), target.noun().id(), signal).await?)
}

/// Stops it if it runs, then starts it.
pub async fn restart(
    app: &App,
    target: Granted<Restart, Container>,
    grace: Option<Duration>,
    signal: Option<&str>,
) -> Result<()> {
    Ok(app.engine.containers().restart(target.owner(), target.noun().id(), grace, signal).await?)
}

/// Freezes it.
pub async fn pause(app: &App, target: Granted<Pause, Container>) -> Result<()> {
    Ok(app.engine.containers().pause(target.owner(), target.noun().id()).await?)
}

/// Thaws it.
pub async fn unpause(app: &App, target: Granted<Unpause, Container>) -> Result<()> {
    Ok(app.engine.containers().unpause(target.owner(), target.noun().id()).await?)
}

/// Its exit code, once the condition holds.
pub async fn wait(app: &App, target: Granted<Wait, Container>, condition: WaitCondition) -> Result<i32> {
    Ok(app.engine.containers().wait(target.owner(), target.noun().id(), condition).await?)
}

/// Gives it another name.
pub async fn rename(app: &App, target: Granted<Rename, Container>, name: &str) -> Result<()> {
    Ok(app.engine.containers().rename(target.owner(), target.noun().id(), name).await?)
}

/// Removes it; with `force` also one that runs, with `volumes` its anonymous volumes too.
pub async fn remove(app: &App, target: Granted<Remove, Container>, force: bool, volumes: bool) -> Result<()> {
    Ok(app.engine.containers().remove(target.owner(), target.noun().id(), force, volumes).await?)
}

/// Joins its streams.
pub async fn attach(app: &App, target: Granted<Attach, Container>, request: AttachRequest) -> Result<Attached> {
    Ok(app.engine.containers().attach(target.owner(), target.noun().id(), request).await?)
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
    Ok(app.engine.containers().update(target.owner(), target.noun().id(), change).await?)
}

/// Removes all of the team that do not run and for which `wanted` says so.
pub async fn prune(
    app: &App,
    target: Granted<Prune, Containers>,
    wanted: &(dyn Fn(&Seen) -> bool + Send + Sync),
) -> Result<Pruned> {
    Ok(app.engine.containers().prune(target.owner(), wanted).await?)
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
