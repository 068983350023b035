//! Teams.

use serde_json::{Value, json};

use super::{Result, record};
use crate::accounts::TeamRow;
use crate::app::App;
use crate::policy::action::{Create, List, Remove, Rename, View};
use crate::policy::{Granted, Team, Teams};

/// All teams for an administrator, else those that the caller is in.
pub async fn list(app: &App, target: &Granted<List, Teams>) -> Result<Vec<TeamRow>> {
    let caller = target.caller();
    let teams = app.accounts.teams().await?;
    if caller.is_administrator() && caller.scopes().admin {
        return Ok(teams);
    }
    let view = caller.team().map(|team| team.owner.team_id);
    Ok(teams.into_iter().filter(|team| Some(team.id) == view).collect())
}

/// One.
pub async fn inspect(app: &App, target: &Granted<View, Team>) -> Result<TeamRow> {
    Ok(app.accounts.team(*target.noun().id()).await?)
}

/// Makes one.
pub async fn create(app: &App, target: Granted<Create, Teams>, name: &str) -> Result<TeamRow> {
    let team = app.accounts.create_team(name).await?;
    record(app, &target, name, Some(team.id), Value::Null).await?;
    Ok(team)
}

/// Gives it another name.
pub async fn rename(app: &App, target: Granted<Rename, Team>, name: &str) -> Result<()> {
    let id = *target.noun().id();
    app.accounts.rename_team(id, name).await?;
    record(app, &target, target.noun().name(), Some(id), json!({ "to": name })).await
}

/// Removes one that has nothing any more.
pub async fn remove(app: &App, target: Granted<Remove, Team>) -> Result<()> {
    app.accounts.remove_team(*target.noun().id()).await?;
    record(app, &target, target.noun().name(), None, Value::Null).await
}
