//! Members of teams.

use serde_json::{Value, json};

use super::{Result, record};
use crate::accounts::Member;
use crate::app::App;
use crate::auth::Role;
use crate::policy::action::{Create, List, Remove, Update};
use crate::policy::{Granted, Members};

/// Who is in the team.
pub async fn list(app: &App, target: &Granted<List, Members>) -> Result<Vec<Member>> {
    Ok(app.accounts.members(*target.noun().team_id()).await?)
}

/// Adds a user, or gives a member another role.
pub async fn add(app: &App, target: Granted<Create, Members>, user: &str, role: Role) -> Result<()> {
    let (team_id, user) = (*target.noun().team_id(), app.accounts.user_named(user).await?);
    app.accounts.set_member(team_id, user.id, role).await?;
    record(app, &target, &user.name, Some(team_id), json!({ "role": role })).await
}

/// Gives a member another role.
pub async fn change(app: &App, target: Granted<Update, Members>, user: &str, role: Role) -> Result<()> {
    let team_id = *target.noun().team_id();
    let user = member(app, team_id, user).await?;
    app.accounts.set_member(team_id, user.user_id, role).await?;
    record(app, &target, &user.user_name, Some(team_id), json!({ "role": role })).await
}

/// Takes a member out, with their tokens for the team.
pub async fn remove(app: &App, target: Granted<Remove, Members>, user: &str) -> Result<()> {
    let team_id = *target.noun().team_id();
    let user = member(app, team_id, user).await?;
    app.accounts.remove_member(team_id, user.user_id).await?;
    record(app, &target, &user.user_name, Some(team_id), Value::Null).await
}

async fn member(app: &App, team_id: i64, user: &str) -> Result<Member> {
    let members = app.accounts.members(team_id).await?;
    let found = members.into_iter().find(|member| member.user_name.eq_ignore_ascii_case(user));
    Ok(found.ok_or_else(|| crate::accounts::AccountsError::NotFound { noun: "member", name: user.to_owned() })?)
}
