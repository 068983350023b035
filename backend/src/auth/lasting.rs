//! Whether a caller still is who they were: asked while something long stays open for them.

use std::sync::Arc;
use std::time::Duration;

use super::caller::{Caller, Shown};
use super::{session, token};
use crate::accounts::AccountsError;
use crate::app::App;

/// Whether what the caller showed still gives just the same rights: the token or session is there, its user is not
/// disabled, team, role and scopes are what they were.
///
/// # Errors
/// [`AccountsError`].
pub async fn holds(app: &App, caller: &Caller) -> Result<bool, AccountsError> {
    let now = match caller.shown {
        Shown::Token(hash) => token::of_hash(app, hash, caller.door).await?,
        Shown::Session(hash) => {
            let team_id = caller.team.as_ref().map(|team| team.owner.team_id);
            session::of_hash(app, hash, team_id, caller.door).await?
        }
        Shown::Place | Shown::Registry => return Ok(true),
    };
    Ok(now.as_ref() == Some(caller))
}

/// Returns when it no longer [`holds`], or when that cannot be found out; asks `every` so often.
pub async fn ended(app: Arc<App>, caller: Caller, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match holds(&app, &caller).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!(actor = caller.actor(), "what a connection was opened with was revoked or changed");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a connection is closed: the accounts cannot be asked whether it may stay");
                return;
            }
        }
    }
}
