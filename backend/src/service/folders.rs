//! Host folders that teams were granted.

use serde_json::{Value, json};

use super::{Result, record};
use crate::accounts::{FolderPath, GrantedFolder};
use crate::app::App;
use crate::policy::action::{Create, List, Remove};
use crate::policy::{Folders, Granted};

/// What the team may bind.
pub async fn list(app: &App, target: &Granted<List, Folders>) -> Result<Vec<GrantedFolder>> {
    Ok(app.accounts.folders(target.noun().team().id).await?)
}

/// Grants one, or another way to use one that was granted.
pub async fn grant(app: &App, target: Granted<Create, Folders>, path: &str, read_only: bool) -> Result<()> {
    let path = FolderPath::new(path, &app.config.data_root)?;
    let team = target.noun().team();
    app.accounts.grant_folder(team, &path, read_only).await?;
    record(app, &target, path.as_str(), Some(team.id), json!({ "read_only": read_only })).await
}

/// Takes one away; containers that run keep it until they end.
pub async fn revoke(app: &App, target: Granted<Remove, Folders>, path: &str) -> Result<()> {
    let team = target.noun().team();
    app.accounts.revoke_folder(team, path).await?;
    record(app, &target, path, Some(team.id), Value::Null).await
}
