//! Name, password and code to a session.

use std::net::IpAddr;

use super::throttle::TooMany;
use super::totp;
use crate::accounts::{AccountsError, NewSession};
use crate::app::App;

/// What somebody typed.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// User name.
    pub name: &'a str,
    /// Password.
    pub password: &'a str,
    /// Code of the authenticator, or a recovery code; empty when none was asked for yet.
    pub code: &'a str,
    /// Where they are.
    pub address: IpAddr,
    /// What their browser says about itself.
    pub agent: &'a str,
    /// The session they had; it ends, whoever's it was.
    pub old_cookie: Option<&'a str>,
}

/// What came of it.
pub enum Outcome {
    /// They are in: set the cookie.
    In(NewSession),
    /// Name and password are right, and a code is wanted: ask for it, with name and password once more.
    CodeWanted,
    /// Wrong; the same for a wrong name, password or code.
    Wrong,
}

/// Why it could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Too many tries.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Something of ours failed, or too many wait.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

/// Checks an attempt and begins a session. An unknown user takes as long as a known one.
///
/// # Errors
/// [`LoginError`].
pub async fn login(app: &App, attempt: Attempt<'_>) -> Result<Outcome, LoginError> {
    app.throttle.check(attempt.address, attempt.name)?;
    let user = app.accounts.secrets_of(attempt.name).await?;
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let right = app.passwords.verify(attempt.password, stored).await?;
    let Some(user) = user.filter(|_| right) else {
        tracing::info!(user.name = attempt.name, address = %attempt.address, "somebody could not log in");
        return Ok(Outcome::Wrong);
    };
    if user.totp_secret.is_some() {
        if attempt.code.trim().is_empty() {
            return Ok(Outcome::CodeWanted);
        }
        if !totp::verify(app, &user, attempt.code).await? {
            tracing::info!(user.id = user.id, address = %attempt.address, "a wrong or used code");
            return Ok(Outcome::Wrong);
        }
    }
    if let Some(old) = attempt.old_cookie {
        app.accounts.end_session(old).await?;
    }
    let session = app.accounts.begin_session(user.id, &attempt.address.to_string(), attempt.agent).await?;
    tracing::info!(user.id = user.id, address = %attempt.address, "a session began");
    Ok(Outcome::In(session))
}

/// Whether `password` is the user's: asked again before passwords, second factors and tokens are changed.
///
/// # Errors
/// [`LoginError`].
pub async fn confirm_password(app: &App, name: &str, password: &str, address: IpAddr) -> Result<bool, LoginError> {
    app.throttle.check(address, name)?;
    let user = app.accounts.secrets_of(name).await?;
    Ok(app.passwords.verify(password, user.as_ref().map(|user| user.password_hash.as_str())).await?)
}
