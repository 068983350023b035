//! API tokens of the caller.

use serde_json::{Value, json};

use super::{Result, ServiceError, record};
use crate::accounts::{IssuedToken, NewToken, TokenInfo};
use crate::app::App;
use crate::auth::Scopes;
use crate::policy::action::{Create, List, Remove, View};
use crate::policy::{Granted, Token, Tokens};

/// The caller's own.
pub async fn list(app: &App, target: &Granted<List, Tokens>) -> Result<Vec<TokenInfo>> {
    Ok(app.accounts.tokens(*target.noun().user_id()).await?)
}

/// One.
pub async fn inspect(app: &App, target: &Granted<View, Token>) -> Result<TokenInfo> {
    Ok(app.accounts.token(*target.noun().id()).await?)
}

/// Makes one for the team in view, with at most the scopes that the caller has now.
pub async fn create(
    app: &App,
    target: Granted<Create, Tokens>,
    name: &str,
    scopes: Scopes,
    expires_at: Option<i64>,
) -> Result<IssuedToken> {
    let caller = target.caller();
    let Some(team) = caller.team() else {
        return Err(ServiceError::Invalid { message: "a token is for a team, and you are in none".to_owned() });
    };
    let has = caller.scopes();
    if (scopes.read && !has.read) || (scopes.write && !has.write) || (scopes.admin && !has.admin) {
        let message = format!("a token cannot have more scopes than its maker, who has {}", has.words().join(", "));
        return Err(ServiceError::Invalid { message });
    }
    let (user_id, team_id) = (*target.noun().user_id(), team.owner.team_id);
    let issued = app.accounts.create_token(NewToken { user_id, team_id, name, scopes, expires_at }).await?;
    record(app, &target, name, Some(team_id), json!({ "scopes": scopes.words() })).await?;
    Ok(issued)
}

/// Removes one: it stops working at once.
pub async fn remove(app: &App, target: Granted<Remove, Token>) -> Result<()> {
    let token = app.accounts.token(*target.noun().id()).await?;
    app.accounts.remove_token(token.id).await?;
    let team_id = target.caller().team().map(|team| team.owner.team_id);
    record(app, &target, &token.name, team_id, Value::Null).await
}
