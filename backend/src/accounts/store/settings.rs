//! Table `settings`.

use super::Accounts;

impl Accounts {
    pub(in crate::accounts) async fn select_setting(&self, name: &str) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar!("SELECT value FROM settings WHERE name = ?", name).fetch_optional(&self.read).await
    }

    pub(in crate::accounts) async fn upsert_setting(&self, name: &str, value: &str) -> sqlx::Result<()> {
        sqlx::query!(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            name,
            value
        )
        .execute(&self.write)
        .await?;
        Ok(())
    }

    pub(in crate::accounts) async fn delete_setting(&self, name: &str, value: &str) -> sqlx::Result<u64> {
        let done =
            sqlx::query!("DELETE FROM settings WHERE name = ? AND value = ?", name, value).execute(&self.write).await?;
        Ok(done.rows_affected())
    }
}
