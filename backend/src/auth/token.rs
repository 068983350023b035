//! Bearer tokens.

use super::caller::{Caller, Door, Who};
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
    Ok(app.accounts.owner_of_token(token).await?.map(|owner| of(owner, door)))
}

fn of(owner: TokenOwner, door: Door) -> Caller {
    Caller {
        who: Who::User { id: owner.user_id, name: owner.user_name },
        team: Some(owner.team),
        administrator: owner.is_administrator,
        scopes: owner.scopes,
        door,
    }
}
