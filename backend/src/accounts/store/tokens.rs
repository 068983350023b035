//! Table `tokens`.

use super::Accounts;

/// A token to be.
pub(in crate::accounts) struct NewTokenRow<'a> {
    pub(in crate::accounts) team_id: i64,
    pub(in crate::accounts) user_id: i64,
    pub(in crate::accounts) name: &'a str,
    pub(in crate::accounts) prefix: &'a str,
    pub(in crate::accounts) hash: &'a [u8],
    pub(in crate::accounts) scopes: &'a str,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) expires_at: Option<i64>,
}

/// A token as lists show it.
pub(in crate::accounts) struct TokenRow {
    pub(in crate::accounts) id: i64,
    pub(in crate::accounts) user_id: i64,
    pub(in crate::accounts) team_name: String,
    pub(in crate::accounts) name: String,
    pub(in crate::accounts) prefix: String,
    pub(in crate::accounts) scopes: String,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) expires_at: Option<i64>,
    pub(in crate::accounts) last_used_at: Option<i64>,
}

/// A token as it is checked: whose it is and what they are now.
pub(in crate::accounts) struct TokenOwnerRow {
    pub(in crate::accounts) token_id: i64,
    pub(in crate::accounts) scopes: String,
    pub(in crate::accounts) last_used_at: Option<i64>,
    pub(in crate::accounts) user_id: i64,
    pub(in crate::accounts) user_name: String,
    pub(in crate::accounts) is_administrator: bool,
    pub(in crate::accounts) team_id: i64,
    pub(in crate::accounts) team_name: String,
    pub(in crate::accounts) team_key: String,
    pub(in crate::accounts) base_id: i64,
    pub(in crate::accounts) role: Option<String>,
}

impl Accounts {
    pub(in crate::accounts) async fn insert_token(&self, token: NewTokenRow<'_>) -> sqlx::Result<i64> {
        let done = sqlx::query!(
            "INSERT INTO tokens (team_id, user_id, name, prefix, hash, scopes, created_at, expires_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            token.team_id,
            token.user_id,
            token.name,
            token.prefix,
            token.hash,
            token.scopes,
            token.created_at,
            token.expires_at
        )
        .execute(&self.write)
        .await?;
        Ok(done.last_insert_rowid())
    }

    pub(in crate::accounts) async fn select_token_owner(
        &self,
        hash: &[u8],
        now: i64,
    ) -> sqlx::Result<Option<TokenOwnerRow>> {
        sqlx::query_as!(
            TokenOwnerRow,
            r#"SELECT tokens.id AS token_id, scopes, last_used_at, users.id AS user_id, users.name AS user_name,
                users.is_administrator AS "is_administrator: bool", teams.id AS team_id, teams.name AS team_name,
                teams.key AS team_key, teams.base_id AS base_id, memberships.role AS "role?"
            FROM tokens JOIN users ON users.id = tokens.user_id JOIN teams ON teams.id = tokens.team_id
                LEFT JOIN memberships ON memberships.team_id = tokens.team_id AND memberships.user_id = tokens.user_id
            WHERE hash = ? AND users.disabled_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"#,
            hash,
            now
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn update_token_used(&self, id: i64, now: i64) -> sqlx::Result<()> {
        sqlx::query!("UPDATE tokens SET last_used_at = ? WHERE id = ?", now, id).execute(&self.write).await?;
        Ok(())
    }

    pub(in crate::accounts) async fn select_tokens(&self, user_id: i64) -> sqlx::Result<Vec<TokenRow>> {
        sqlx::query_as!(
            TokenRow,
            "SELECT tokens.id AS id, user_id, teams.name AS team_name, tokens.name AS name, prefix, scopes,
                tokens.created_at AS created_at, expires_at, last_used_at
            FROM tokens JOIN teams ON teams.id = team_id WHERE user_id = ? ORDER BY tokens.id",
            user_id
        )
        .fetch_all(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_token(&self, id: i64) -> sqlx::Result<Option<TokenRow>> {
        sqlx::query_as!(
            TokenRow,
            "SELECT tokens.id AS id, user_id, teams.name AS team_name, tokens.name AS name, prefix, scopes,
                tokens.created_at AS created_at, expires_at, last_used_at
            FROM tokens JOIN teams ON teams.id = team_id WHERE tokens.id = ?",
            id
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn delete_token(&self, id: i64) -> sqlx::Result<u64> {
        Ok(sqlx::query!("DELETE FROM tokens WHERE id = ?", id).execute(&self.write).await?.rows_affected())
    }

    pub(in crate::accounts) async fn delete_tokens_in(&self, team_id: i64, user_id: i64) -> sqlx::Result<()> {
        sqlx::query!("DELETE FROM tokens WHERE team_id = ? AND user_id = ?", team_id, user_id)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}
