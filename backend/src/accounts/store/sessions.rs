//! Table `sessions`.

use super::Accounts;

/// A session to be.
pub(in crate::accounts) struct NewSessionRow<'a> {
    pub(in crate::accounts) hash: &'a [u8],
    pub(in crate::accounts) user_id: i64,
    pub(in crate::accounts) team_id: Option<i64>,
    pub(in crate::accounts) csrf: &'a str,
    pub(in crate::accounts) now: i64,
    pub(in crate::accounts) address: &'a str,
    pub(in crate::accounts) agent: &'a str,
}

/// A session as it is checked: whose it is and what they are now.
pub(in crate::accounts) struct SessionOwnerRow {
    pub(in crate::accounts) csrf: String,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) last_used_at: i64,
    pub(in crate::accounts) user_id: i64,
    pub(in crate::accounts) user_name: String,
    pub(in crate::accounts) is_administrator: bool,
    pub(in crate::accounts) has_totp: bool,
    pub(in crate::accounts) language: String,
    pub(in crate::accounts) theme: String,
    pub(in crate::accounts) team_id: Option<i64>,
}

/// A session as its owner sees it in a list.
pub(in crate::accounts) struct SessionListRow {
    pub(in crate::accounts) hash: Vec<u8>,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) last_used_at: i64,
    pub(in crate::accounts) address: String,
    pub(in crate::accounts) agent: String,
}

impl Accounts {
    pub(in crate::accounts) async fn insert_session(&self, session: NewSessionRow<'_>) -> sqlx::Result<()> {
        sqlx::query!(
            "INSERT INTO sessions (hash, user_id, team_id, csrf, created_at, last_used_at, address, agent)
            VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
            session.hash,
            session.user_id,
            session.team_id,
            session.csrf,
            session.now,
            session.address,
            session.agent
        )
        .execute(&self.write)
        .await?;
        Ok(())
    }

    pub(in crate::accounts) async fn select_session_owner(&self, hash: &[u8]) -> sqlx::Result<Option<SessionOwnerRow>> {
        sqlx::query_as!(
            SessionOwnerRow,
            r#"SELECT csrf, sessions.created_at AS created_at, last_used_at, users.id AS user_id,
                users.name AS user_name, is_administrator AS "is_administrator: bool",
                totp_secret IS NOT NULL AS "has_totp!: bool", language, theme, team_id
            FROM sessions JOIN users ON users.id = user_id WHERE hash = ? AND disabled_at IS NULL"#,
            hash
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_sessions(&self, user_id: i64) -> sqlx::Result<Vec<SessionListRow>> {
        sqlx::query_as!(
            SessionListRow,
            "SELECT hash, created_at, last_used_at, address, agent FROM sessions WHERE user_id = ?
            ORDER BY last_used_at DESC",
            user_id
        )
        .fetch_all(&self.read)
        .await
    }

    pub(in crate::accounts) async fn update_session_used(&self, hash: &[u8], now: i64) -> sqlx::Result<()> {
        sqlx::query!("UPDATE sessions SET last_used_at = ? WHERE hash = ?", now, hash).execute(&self.write).await?;
        Ok(())
    }

    pub(in crate::accounts) async fn update_session_team(&self, hash: &[u8], team_id: i64) -> sqlx::Result<()> {
        sqlx::query!("UPDATE sessions SET team_id = ? WHERE hash = ?", team_id, hash).execute(&self.write).await?;
        Ok(())
    }

    pub(in crate::accounts) async fn delete_session(&self, hash: &[u8]) -> sqlx::Result<u64> {
        Ok(sqlx::query!("DELETE FROM sessions WHERE hash = ?", hash).execute(&self.write).await?.rows_affected())
    }

    pub(in crate::accounts) async fn delete_sessions_of(&self, user_id: i64) -> sqlx::Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE user_id = ?", user_id).execute(&self.write).await?;
        Ok(())
    }

    pub(in crate::accounts) async fn delete_idle_sessions(&self, used_before: i64) -> sqlx::Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE last_used_at < ?", used_before).execute(&self.write).await?;
        Ok(())
    }
}
