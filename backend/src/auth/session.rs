//! Session cookies.

use super::caller::{Caller, Door, Scopes, Shown, Who};
use super::secret::{equal, hash};
use crate::accounts::{AccountsError, SessionRow};
use crate::app::App;

/// Name of the cookie. Set it with HttpOnly, SameSite=Lax, Path=/, and Secure when the address is https.
pub const COOKIE: &str = "sampan_session";
/// Name of the form field (and, for scripts, of the header) that carries the CSRF token.
pub const CSRF_FIELD: &str = "csrf";
/// Header that carries the CSRF token of a script's request.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// A browser that is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who, for the policy.
    pub caller: Caller,
    /// What every form must carry.
    csrf: String,
    /// Logs in with a second factor.
    pub has_totp: bool,
    /// `en` or `zh-CN`.
    pub language: String,
    /// `system`, `light` or `dark`.
    pub theme: String,
}

impl Session {
    /// The token to put into each form.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a form carried the right token.
    pub fn csrf_is(&self, shown: &str) -> bool {
        equal(&self.csrf, shown)
    }

    /// `users.id`.
    pub fn user_id(&self) -> i64 {
        self.caller.user_id().unwrap_or_default()
    }
}

/// The session of a cookie's value; `None`: there is none (any more).
///
/// # Errors
/// [`AccountsError::Store`].
pub async fn find(app: &App, cookie: &str, door: Door) -> Result<Option<Session>, AccountsError> {
    if cookie.len() != 43 {
        return Ok(None);
    }
    let hash = hash(cookie);
    let found = app.accounts.session(&hash, app.config.session_idle).await?;
    Ok(found.map(|row| of(row, door, Shown::Session(hash))))
}

/// Who has the session now, with `team_id` in view, whatever the session itself has in view. This is no use of it.
pub(in crate::auth) async fn of_hash(
    app: &App,
    hash: [u8; 32],
    team_id: Option<i64>,
    door: Door,
) -> Result<Option<Caller>, AccountsError> {
    let found = app.accounts.session_in(&hash, app.config.session_idle, team_id).await?;
    Ok(found.map(|row| of(row, door, Shown::Session(hash)).caller))
}

fn of(row: SessionRow, door: Door, shown: Shown) -> Session {
    let caller = Caller {
        who: Who::User { id: row.user_id, name: row.user_name },
        team: row.team,
        administrator: row.is_administrator,
        scopes: Scopes::ALL,
        door,
        shown,
        registry: None,
    };
    Session { caller, csrf: row.csrf, has_totp: row.has_totp, language: row.language, theme: row.theme }
}

/// Puts another team of the user in view.
///
/// # Errors
/// [`AccountsError::NotFound`] for a team that the user is not in, as for one that does not exist.
pub async fn switch_team(app: &App, cookie: &str, session: &Session, team: &str) -> Result<(), AccountsError> {
    app.accounts.switch_team(cookie, session.user_id(), team).await
}

/// Ends the session.
///
/// # Errors
/// [`AccountsError::Store`].
pub async fn logout(app: &App, cookie: &str) -> Result<(), AccountsError> {
    app.accounts.end_session(cookie).await
}
