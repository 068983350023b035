//! Table `teams`.

use super::Accounts;
use crate::accounts::TeamRow;

impl Accounts {
    /// Inserts a team and names its key after its id, which AUTOINCREMENT never gives twice.
    pub(in crate::accounts) async fn insert_team(&self, name: &str, base_id: i64, now: i64) -> sqlx::Result<i64> {
        let mut transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let id = sqlx::query!(
            "INSERT INTO teams (name, key, base_id, created_at) VALUES (?, lower(hex(randomblob(8))), ?, ?)",
            name,
            base_id,
            now
        )
        .execute(&mut *transaction)
        .await?
        .last_insert_rowid();
        let key = format!("t{id}");
        sqlx::query!("UPDATE teams SET key = ? WHERE id = ?", key, id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(id)
    }

    pub(in crate::accounts) async fn select_teams(&self) -> sqlx::Result<Vec<TeamRow>> {
        sqlx::query_as!(TeamRow, "SELECT id, name, key, base_id, created_at FROM teams ORDER BY id")
            .fetch_all(&self.read)
            .await
    }

    pub(in crate::accounts) async fn select_team(&self, id: i64) -> sqlx::Result<Option<TeamRow>> {
        sqlx::query_as!(TeamRow, "SELECT id, name, key, base_id, created_at FROM teams WHERE id = ?", id)
            .fetch_optional(&self.read)
            .await
    }

    pub(in crate::accounts) async fn select_team_named(&self, name: &str) -> sqlx::Result<Option<TeamRow>> {
        sqlx::query_as!(TeamRow, "SELECT id, name, key, base_id, created_at FROM teams WHERE name = ?", name)
            .fetch_optional(&self.read)
            .await
    }

    pub(in crate::accounts) async fn select_team_of_id(&self, host_id: i64) -> sqlx::Result<Option<TeamRow>> {
        sqlx::query_as!(
            TeamRow,
            "SELECT id, name, key, base_id, created_at FROM teams WHERE base_id <= ?1 AND ?1 < base_id + 65536",
            host_id
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn update_team_name(&self, id: i64, name: &str) -> sqlx::Result<u64> {
        let done = sqlx::query!("UPDATE teams SET name = ? WHERE id = ?", name, id).execute(&self.write).await?;
        Ok(done.rows_affected())
    }

    /// How many containers, volumes, images and repositories a team has.
    pub(in crate::accounts) async fn count_things(&self, id: i64) -> sqlx::Result<[i64; 4]> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM containers WHERE team_id = ?1) AS "containers!: i64",
                (SELECT count(*) FROM volumes WHERE team_id = ?1) AS "volumes!: i64",
                (SELECT count(*) FROM images WHERE team_id = ?1) AS "images!: i64",
                (SELECT count(*) FROM repositories WHERE team_id = ?1) AS "repositories!: i64""#,
            id
        )
        .fetch_one(&self.read)
        .await?;
        Ok([row.containers, row.volumes, row.images, row.repositories])
    }

    pub(in crate::accounts) async fn delete_team(&self, id: i64) -> sqlx::Result<u64> {
        let done = sqlx::query!("DELETE FROM teams WHERE id = ?", id).execute(&self.write).await?;
        Ok(done.rows_affected())
    }
}
