//! Robots of the team in view.

use serde_json::{Value, json};

use super::{Result, record};
use crate::accounts::{IssuedRobot, NewRobot, RobotInfo};
use crate::app::App;
use crate::policy::action::{Create, List, Remove};
use crate::policy::{Granted, Robot, Robots};

/// What a robot is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Unique in the team.
    pub name: &'a str,
    /// May push as well as pull.
    pub push: bool,
    /// Only repositories whose names begin so; empty: all of the team.
    pub repositories: &'a str,
    /// Nanoseconds since 1970; `None`: it does not expire.
    pub expires_at: Option<i64>,
}

/// The team's, by name.
pub async fn list(app: &App, target: &Granted<List, Robots>) -> Result<Vec<RobotInfo>> {
    Ok(app.accounts.robots(target.owner().team_id).await?)
}

/// Makes one; gives what it logs in as, and its secret.
pub async fn create(app: &App, target: &Granted<Create, Robots>, wanted: Wanted<'_>) -> Result<(String, IssuedRobot)> {
    let Wanted { name, push, repositories, expires_at } = wanted;
    let team = app.accounts.team(target.owner().team_id).await?;
    let issued = app.accounts.create_robot(NewRobot { team_id: team.id, name, push, repositories, expires_at }).await?;
    let details = json!({ "push": push, "repositories": repositories });
    record(app, target, name, Some(team.id), details).await?;
    Ok((format!("{}+{name}", team.name), issued))
}

/// Removes one: its secret stops working at once.
pub async fn remove(app: &App, target: &Granted<Remove, Robot>) -> Result<()> {
    let team_id = target.owner().team_id;
    let name = app.accounts.remove_robot(team_id, *target.noun().id()).await?;
    record(app, target, &name, Some(team_id), Value::Null).await
}
