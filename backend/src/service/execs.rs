//! Further programs in running containers.

use sampan_engine::containers::{Attached, ExecState};

use serde_json::Value;

use super::Result;
use crate::app::App;
use crate::policy::action::{Exec as Run, Resize, Start, View};
use crate::policy::{Container, Exec, Granted, NewExec};

/// Prepares one; gives its id.
pub async fn create(app: &App, target: Granted<Run, NewExec>) -> Result<String> {
    let config = target.noun().config().clone();
    let program = config.command.first().cloned();
    let id = app.engine.containers().exec_create(target.owner(), target.noun().container_id(), config).await?;
    app.note(&target, target.noun().container_id(), serde_json::json!({ "exec": id, "program": program }));
    Ok(id)
}

/// Starts it; `None` when detached. `size`: rows and columns of its terminal.
pub async fn start(
    app: &App,
    target: Granted<Start, Exec>,
    detach: bool,
    size: Option<(u16, u16)>,
) -> Result<Option<Attached>> {
    let done = app.engine.containers().exec_start(target.owner(), target.noun().id(), detach, size).await?;
    app.note(&target, target.noun().container_id(), Value::Null);
    Ok(done)
}

/// What it does.
pub fn inspect(app: &App, target: &Granted<View, Exec>) -> Result<ExecState> {
    Ok(app.engine.containers().exec_get(target.owner(), target.noun().id())?)
}

/// Ids of a container's execs that have not ended.
pub fn of_container(app: &App, target: &Granted<View, Container>) -> Result<Vec<String>> {
    Ok(app.engine.containers().exec_ids(target.owner(), target.noun().id())?)
}

/// Sets the size of its terminal.
pub async fn resize(app: &App, target: Granted<Resize, Exec>, rows: u16, columns: u16) -> Result<()> {
    Ok(app.engine.containers().exec_resize(target.owner(), target.noun().id(), rows, columns).await?)
}
