//! The first run: a token that only who started the server sees makes the first administrator.

use std::net::IpAddr;

use super::login::LoginError;
use super::secret::{Secret, equal, hash_hex};
use crate::accounts::{AccountsError, DEFAULT_TEAM, NewSession, NewUser};
use crate::app::App;
use crate::auth::Role;

const SETTING: &str = "setup_token";
/// Key by which tries at the token are counted; no user can have this name.
const THROTTLE: &str = "*setup*";

/// Makes a new token when there is no administrator yet, in place of an older one; the caller prints it. `None`: the
/// first run is over.
///
/// # Errors
/// [`AccountsError::Store`].
pub async fn issue(app: &App) -> Result<Option<Secret>, AccountsError> {
    if app.accounts.has_administrator().await? {
        return Ok(None);
    }
    let token = Secret::new("");
    app.accounts.set_setting(SETTING, &hash_hex(token.expose())).await?;
    Ok(Some(token))
}

/// Whether the pages should show the first run.
///
/// # Errors
/// [`AccountsError::Store`].
pub async fn is_wanted(app: &App) -> Result<bool, AccountsError> {
    Ok(!app.accounts.has_administrator().await?)
}

/// What somebody typed at the first run.
#[derive(Clone, Copy)]
pub struct First<'a> {
    /// The printed token.
    pub token: &'a str,
    /// Name of the administrator.
    pub name: &'a str,
    /// Their password.
    pub password: &'a str,
    /// Where they are.
    pub address: IpAddr,
    /// What their browser says about itself.
    pub agent: &'a str,
}

/// Whether `token` is the printed one.
///
/// # Errors
/// [`LoginError`].
pub async fn check(app: &App, token: &str, address: IpAddr) -> Result<bool, LoginError> {
    app.throttle.check(address, THROTTLE)?;
    Ok(stored_if_right(app, token).await?.is_some())
}

/// Makes the administrator, an owner of the team `default`, and begins their session. What is left of the first run
/// (a second factor) they do logged in, at any time. `None`: the token is wrong or used.
///
/// # Errors
/// [`LoginError`].
pub async fn finish(app: &App, first: First<'_>) -> Result<Option<NewSession>, LoginError> {
    app.throttle.check(first.address, THROTTLE)?;
    let Some(stored) = stored_if_right(app, first.token).await? else { return Ok(None) };
    let password_hash = app.passwords.hash(first.password).await?;
    // Of two that come at once, one takes the token; a user that cannot be made gives it back.
    if !app.accounts.take_setting(SETTING, &stored).await? {
        return Ok(None);
    }
    let user = NewUser { name: first.name, password_hash: &password_hash, is_administrator: true };
    let id = match app.accounts.create_user(user).await {
        Ok(id) => id,
        Err(error) => {
            app.accounts.set_setting(SETTING, &stored).await?;
            return Err(error.into());
        }
    };
    let team = app.accounts.team_named(DEFAULT_TEAM).await?;
    app.accounts.set_member(team.id, id, Role::Owner).await?;
    Ok(Some(app.accounts.begin_session(id, &first.address.to_string(), first.agent).await?))
}

async fn stored_if_right(app: &App, token: &str) -> Result<Option<String>, AccountsError> {
    if app.accounts.has_administrator().await? {
        return Ok(None);
    }
    let stored = app.accounts.setting(SETTING).await?;
    Ok(stored.filter(|stored| equal(stored, &hash_hex(token.trim()))))
}
