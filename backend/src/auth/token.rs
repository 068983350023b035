//! Bearer tokens.

use super::caller::{Caller, Door, Shown, Who};
use super::secret::hash;
use crate::accounts::{AccountsError, TokenOwner};
use crate::app::App;

/// Longest token that is looked at.
const LONGEST: usize = 256;

/// Who shows `token`; `None`: nobody that is known.
///
/// # Errors
/// [`AccountsError::Store`].
pub async fn caller(app: &App, token: &str, door: Door) -> Result<Option<Caller>, AccountsError> {
    if token.is_empty() || token.len() > LONGEST {
        return Ok(None);
    }
    of_hash(app, hash(token), door).await
}

/// The same by what is kept of a token.
pub(in crate::auth) async fn of_hash(app: &App, hash: [u8; 32], door: Door) -> Result<Option<Caller>, AccountsError> {
    Ok(app.accounts.owner_of_token(&hash).await?.map(|owner| of(owner, door, Shown::Token(hash))))
}

fn of(owner: TokenOwner, door: Door, shown: Shown) -> Caller {
    Caller {
        who: Who::User { id: owner.user_id, name: owner.user_name },
        team: Some(owner.team),
        administrator: owner.is_administrator,
        scopes: owner.scopes,
        door,
        shown,
        registry: None,
    }
}
