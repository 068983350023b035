//! Table `host_folders`.

use super::Accounts;

/// One grant as it lies there.
pub(in crate::accounts) struct FolderRow {
    pub(in crate::accounts) path: String,
    pub(in crate::accounts) read_only: i64,
    pub(in crate::accounts) created_at: i64,
}

impl Accounts {
    /// Grants a folder, or the same folder in another way.
    pub(in crate::accounts) async fn upsert_folder(
        &self,
        team_id: i64,
        path: &str,
        read_only: bool,
        now: i64,
    ) -> sqlx::Result<u64> {
        let done = sqlx::query!(
            "INSERT INTO host_folders (team_id, path, read_only, created_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (team_id, path) DO UPDATE SET read_only = ?3",
            team_id,
            path,
            read_only,
            now
        )
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected())
    }

    pub(in crate::accounts) async fn delete_folder(&self, team_id: i64, path: &str) -> sqlx::Result<u64> {
        let done = sqlx::query!("DELETE FROM host_folders WHERE team_id = ? AND path = ?", team_id, path)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected())
    }

    /// By path.
    pub(in crate::accounts) async fn select_folders(&self, team_id: i64) -> sqlx::Result<Vec<FolderRow>> {
        sqlx::query_as!(
            FolderRow,
            "SELECT path, read_only, created_at FROM host_folders WHERE team_id = ? ORDER BY path",
            team_id
        )
        .fetch_all(&self.read)
        .await
    }
}
