//! Volumes.

use std::collections::BTreeMap;

use sampan_engine::volumes::{Usage, Volume as Seen};

use serde_json::Value;

use super::Result;
use crate::app::App;
use crate::policy::action::{Create, List, Prune, Remove, View};
use crate::policy::{Granted, Volume, Volumes};

/// Makes one, or gives the one that has this name already. No name: an anonymous one.
pub async fn create(
    app: &App,
    target: Granted<Create, Volumes>,
    name: Option<&str>,
    labels: BTreeMap<String, String>,
) -> Result<Seen> {
    let volume = app.engine.volumes().create(target.owner(), name, labels).await?;
    app.note(&target, &volume.name, Value::Null);
    Ok(volume)
}

/// The team's, by name.
pub async fn list(app: &App, target: &Granted<List, Volumes>) -> Result<Vec<Seen>> {
    Ok(app.engine.volumes().list(target.owner()).await?)
}

/// One.
pub async fn inspect(app: &App, target: &Granted<View, Volume>) -> Result<Seen> {
    Ok(app.engine.volumes().get(target.owner(), target.noun().name()).await?)
}

/// Space it takes.
pub async fn usage(app: &App, target: &Granted<View, Volume>) -> Result<Usage> {
    Ok(app.engine.volumes().usage(target.owner(), target.noun().name()).await?)
}

/// Removes it with its content.
pub async fn remove(app: &App, target: Granted<Remove, Volume>) -> Result<()> {
    app.make_room();
    app.engine.volumes().remove(target.owner(), target.noun().name()).await?;
    app.note(&target, target.noun().name(), Value::Null);
    Ok(())
}

/// Removes what no container has: anonymous ones only, or `all`. Gives the names and the bytes.
pub async fn prune(app: &App, target: Granted<Prune, Volumes>, all: bool) -> Result<(Vec<String>, u64)> {
    app.make_room();
    let (names, bytes) = app.engine.volumes().prune(target.owner(), all).await?;
    app.note(&target, "unused", serde_json::json!({ "removed": names }));
    Ok((names, bytes))
}
