//! Table `users`.

use super::Accounts;
use crate::accounts::{UserInfo, UserSecrets};

impl Accounts {
    pub(in crate::accounts) async fn insert_user(
        &self,
        name: &str,
        password_hash: &str,
        is_administrator: bool,
        now: i64,
    ) -> sqlx::Result<i64> {
        let is_administrator = i64::from(is_administrator);
        let done = sqlx::query!(
            "INSERT INTO users (name, password_hash, is_administrator, created_at) VALUES (?, ?, ?, ?)",
            name,
            password_hash,
            is_administrator,
            now
        )
        .execute(&self.write)
        .await?;
        Ok(done.last_insert_rowid())
    }

    pub(in crate::accounts) async fn select_users(&self, after: i64, most: i64) -> sqlx::Result<Vec<UserInfo>> {
        sqlx::query_as!(
            UserInfo,
            r#"SELECT id, name, is_administrator AS "is_administrator: bool",
                totp_secret IS NOT NULL AS "has_totp!: bool", language, theme, created_at, disabled_at
            FROM users WHERE id > ? ORDER BY id LIMIT ?"#,
            after,
            most
        )
        .fetch_all(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_user(&self, id: i64) -> sqlx::Result<Option<UserInfo>> {
        sqlx::query_as!(
            UserInfo,
            r#"SELECT id, name, is_administrator AS "is_administrator: bool",
                totp_secret IS NOT NULL AS "has_totp!: bool", language, theme, created_at, disabled_at
            FROM users WHERE id = ?"#,
            id
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_user_named(&self, name: &str) -> sqlx::Result<Option<UserInfo>> {
        sqlx::query_as!(
            UserInfo,
            r#"SELECT id, name, is_administrator AS "is_administrator: bool",
                totp_secret IS NOT NULL AS "has_totp!: bool", language, theme, created_at, disabled_at
            FROM users WHERE name = ?"#,
            name
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_secrets(&self, name: &str) -> sqlx::Result<Option<UserSecrets>> {
        sqlx::query_as!(
            UserSecrets,
            r#"SELECT id, name, password_hash, totp_secret, totp_last_step, recovery_codes
            FROM users WHERE name = ? AND disabled_at IS NULL"#,
            name
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn update_password(&self, id: i64, password_hash: &str) -> sqlx::Result<u64> {
        let done = sqlx::query!("UPDATE users SET password_hash = ? WHERE id = ?", password_hash, id)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected())
    }

    pub(in crate::accounts) async fn update_totp(
        &self,
        id: i64,
        secret: Option<&[u8]>,
        step: i64,
        recovery_codes: &str,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query!(
            "UPDATE users SET totp_secret = ?, totp_last_step = ?, recovery_codes = ? WHERE id = ?",
            secret,
            step,
            recovery_codes,
            id
        )
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected())
    }

    /// Takes a time step; false: it, or a later one, was taken before.
    pub(in crate::accounts) async fn take_totp_step(&self, id: i64, step: i64) -> sqlx::Result<bool> {
        let done = sqlx::query!("UPDATE users SET totp_last_step = ?1 WHERE id = ?2 AND totp_last_step < ?1", step, id)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces the list of recovery codes if it is still `old`.
    pub(in crate::accounts) async fn swap_recovery_codes(&self, id: i64, old: &str, new: &str) -> sqlx::Result<bool> {
        let done =
            sqlx::query!("UPDATE users SET recovery_codes = ? WHERE id = ? AND recovery_codes = ?", new, id, old)
                .execute(&self.write)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets what is given; false: it would have been the last administrator, or there is no such user.
    pub(in crate::accounts) async fn update_user(
        &self,
        id: i64,
        is_administrator: Option<bool>,
        disabled_at: Option<Option<i64>>,
    ) -> sqlx::Result<bool> {
        let administrator = is_administrator.map(i64::from);
        let (change, value) = (i64::from(disabled_at.is_some()), disabled_at.flatten());
        let done = sqlx::query!(
            "UPDATE users SET is_administrator = coalesce(?1, is_administrator),
                disabled_at = CASE ?2 WHEN 1 THEN ?3 ELSE disabled_at END
            WHERE id = ?4 AND ((coalesce(?1, is_administrator) = 1 AND (?2 = 0 OR ?3 IS NULL)) OR is_administrator = 0
                OR disabled_at IS NOT NULL
                OR (SELECT count(*) FROM users WHERE is_administrator = 1 AND disabled_at IS NULL) > 1)",
            administrator,
            change,
            value,
            id
        )
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    pub(in crate::accounts) async fn update_preferences(
        &self,
        id: i64,
        language: &str,
        theme: &str,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query!("UPDATE users SET language = ?, theme = ? WHERE id = ?", language, theme, id)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected())
    }

    /// Removes a user; false: the last administrator, or no such user.
    pub(in crate::accounts) async fn delete_user(&self, id: i64) -> sqlx::Result<bool> {
        let done = sqlx::query!(
            "DELETE FROM users WHERE id = ? AND (is_administrator = 0 OR disabled_at IS NOT NULL
                OR (SELECT count(*) FROM users WHERE is_administrator = 1 AND disabled_at IS NULL) > 1)",
            id
        )
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    pub(in crate::accounts) async fn count_administrators(&self) -> sqlx::Result<i64> {
        sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM users WHERE is_administrator = 1 AND disabled_at IS NULL"#
        )
        .fetch_one(&self.read)
        .await
    }
}
