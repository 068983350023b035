//! API tokens: one user, one team, at most these scopes. Only the SHA-256 of a token is stored.

use sampan_engine::owner::Owner;

use super::members::role_of;
use super::store::{NewTokenRow, TokenRow};
use super::{Accounts, AccountsError, names};
use crate::auth::secret::{Secret, hash};
use crate::auth::{Role, Scopes, TeamView};
use crate::clock::now_ns;

/// What every token begins with, so that scanners for leaked secrets find it.
const MARK: &str = "spn_";
/// Characters of a token that lists show, the mark included.
const PREFIX: usize = 12;
/// The last use is written at most once in this many nanoseconds.
const USED_EVERY_NS: i64 = 60_000_000_000;

/// A token to be.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// `users.id`.
    pub user_id: i64,
    /// `teams.id`.
    pub team_id: i64,
    /// Unique for this user in this team.
    pub name: &'a str,
    /// What it may at most.
    pub scopes: Scopes,
    /// Nanoseconds since 1970; `None`: it does not expire.
    pub expires_at: Option<i64>,
}

/// A token that was made: the only time that its text is seen.
pub struct IssuedToken {
    /// `tokens.id`.
    pub id: i64,
    /// The token.
    pub token: Secret,
}

/// A token as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// `tokens.id`.
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// The team it is for.
    pub team_name: String,
    /// Its name.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it may at most.
    pub scopes: Scopes,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// Nanoseconds since 1970.
    pub expires_at: Option<i64>,
    /// Nanoseconds since 1970, to the minute.
    pub last_used_at: Option<i64>,
}

/// Whose a presented token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// `users.id`.
    pub user_id: i64,
    /// The user's name.
    pub user_name: String,
    /// May do what an administrator may.
    pub is_administrator: bool,
    /// The token's team, with the user's role in it now.
    pub team: TeamView,
    /// What the token may at most.
    pub scopes: Scopes,
}

impl TryFrom<TokenRow> for TokenInfo {
    type Error = AccountsError;

    fn try_from(row: TokenRow) -> Result<Self, Self::Error> {
        let scopes = scopes_of(&row.scopes)?;
        let TokenRow { id, user_id, team_name, name, prefix, created_at, expires_at, last_used_at, .. } = row;
        Ok(Self { id, user_id, team_name, name, prefix, scopes, created_at, expires_at, last_used_at })
    }
}

fn scopes_of(text: &str) -> Result<Scopes, AccountsError> {
    let unreadable = || AccountsError::Unreadable { what: "list of scopes", value: text.to_owned() };
    let words: Vec<String> = serde_json::from_str(text).map_err(|_| unreadable())?;
    Scopes::from_words(&words).map_err(|_| unreadable())
}

impl Accounts {
    /// Makes a token. The user must be in the team, or an administrator.
    ///
    /// # Errors
    /// [`AccountsError::NotAMember`], [`AccountsError::BadName`], [`AccountsError::Taken`], [`AccountsError::Invalid`].
    pub async fn create_token(&self, token: NewToken<'_>) -> Result<IssuedToken, AccountsError> {
        names::check("token", token.name)?;
        let now = now_ns();
        if token.expires_at.is_some_and(|at| at <= now) {
            return Err(AccountsError::Invalid { message: "the token's expiry is in the past".to_owned() });
        }
        let (user, team) = (self.user(token.user_id).await?, self.team(token.team_id).await?);
        let member = self.memberships(user.id).await?.iter().any(|member| member.team_id == team.id);
        if !member && !user.is_administrator {
            return Err(AccountsError::NotAMember { user: user.name, team: team.name });
        }
        let secret = Secret::new(MARK);
        let row = NewTokenRow {
            team_id: token.team_id,
            user_id: token.user_id,
            name: token.name,
            prefix: &secret.expose()[..PREFIX],
            hash: &hash(secret.expose()),
            scopes: &serde_json::json!(token.scopes.words()).to_string(),
            created_at: now,
            expires_at: token.expires_at,
        };
        let id = self.insert_token(row).await.map_err(|source| AccountsError::taken("token", token.name, source))?;
        Ok(IssuedToken { id, token: secret })
    }

    /// Whose the token with that SHA-256 is; `None`: nobody's, expired, of a disabled user, or of one who has left the
    /// team.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn owner_of_token(&self, hash: &[u8; 32]) -> Result<Option<TokenOwner>, AccountsError> {
        let now = now_ns();
        let Some(row) = self.select_token_owner(hash, now).await? else { return Ok(None) };
        let role = match row.role {
            Some(role) => role_of(&role)?,
            None if row.is_administrator => Role::Owner,
            None => return Ok(None),
        };
        if row.last_used_at.is_none_or(|used| now - used > USED_EVERY_NS) {
            self.update_token_used(row.token_id, now).await?;
        }
        let base_id = u32::try_from(row.base_id)
            .map_err(|_| AccountsError::Unreadable { what: "first host id", value: row.base_id.to_string() })?;
        let owner = Owner { team_id: row.team_id, key: row.team_key, base_id };
        Ok(Some(TokenOwner {
            user_id: row.user_id,
            user_name: row.user_name,
            is_administrator: row.is_administrator,
            team: TeamView { owner, name: row.team_name, role },
            scopes: scopes_of(&row.scopes)?,
        }))
    }

    /// The tokens of a user.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn tokens(&self, user_id: i64) -> Result<Vec<TokenInfo>, AccountsError> {
        self.select_tokens(user_id).await?.into_iter().map(TokenInfo::try_from).collect()
    }

    /// One token.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn token(&self, id: i64) -> Result<TokenInfo, AccountsError> {
        match self.select_token(id).await? {
            Some(row) => TokenInfo::try_from(row),
            None => Err(AccountsError::NotFound { noun: "token", name: id.to_string() }),
        }
    }

    /// Removes a token: it stops working at once.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn remove_token(&self, id: i64) -> Result<(), AccountsError> {
        match self.delete_token(id).await? {
            0 => Err(AccountsError::NotFound { noun: "token", name: id.to_string() }),
            _ => Ok(()),
        }
    }
}
