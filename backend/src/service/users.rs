//! Users.

use serde_json::{Value, json};

use super::{Result, record};
use crate::accounts::{Member, NewUser, UserInfo};
use crate::app::App;
use crate::policy::action::{Create, List, Remove, Update, View};
use crate::policy::{Granted, User, Users};

/// Users with an id above `after`, by id.
pub async fn list(app: &App, _target: &Granted<List, Users>, after: i64, most: u32) -> Result<Vec<UserInfo>> {
    Ok(app.accounts.users(after, most).await?)
}

/// One, with the teams they are in.
pub async fn inspect(app: &App, target: &Granted<View, User>) -> Result<(UserInfo, Vec<Member>)> {
    let id = *target.noun().id();
    Ok((app.accounts.user(id).await?, app.accounts.memberships(id).await?))
}

/// Makes one.
pub async fn create(
    app: &App,
    target: Granted<Create, Users>,
    name: &str,
    password: &str,
    is_administrator: bool,
) -> Result<UserInfo> {
    let password_hash = &app.passwords.hash(password).await?;
    let id = app.accounts.create_user(NewUser { name, password_hash, is_administrator }).await?;
    record(app, &target, name, None, json!({ "administrator": is_administrator })).await?;
    Ok(app.accounts.user(id).await?)
}

/// What is changed of a user; absent values stay.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Administrator or not.
    pub is_administrator: Option<bool>,
    /// Disabled or not.
    pub is_disabled: Option<bool>,
    /// A new password, which ends all their sessions.
    pub password: Option<&'a str>,
    /// Takes their second factor away.
    pub reset_totp: bool,
}

/// Changes one.
pub async fn change(app: &App, target: Granted<Update, User>, change: Change<'_>) -> Result<UserInfo> {
    let id = *target.noun().id();
    let password_hash = match change.password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    app.accounts.change_user(id, change.is_administrator, change.is_disabled).await?;
    if let Some(password_hash) = &password_hash {
        app.accounts.set_password(id, password_hash).await?;
    }
    if change.reset_totp {
        app.accounts.set_totp(id, None, 0, "[]").await?;
    }
    let details = json!({
        "administrator": change.is_administrator,
        "disabled": change.is_disabled,
        "password": password_hash.is_some(),
        "second factor reset": change.reset_totp,
    });
    record(app, &target, target.noun().name(), None, details).await?;
    Ok(app.accounts.user(id).await?)
}

/// Removes one, with memberships, tokens and sessions.
pub async fn remove(app: &App, target: Granted<Remove, User>) -> Result<()> {
    app.accounts.remove_user(*target.noun().id()).await?;
    record(app, &target, target.noun().name(), None, Value::Null).await
}
