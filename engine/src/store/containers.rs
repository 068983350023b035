//! The tables `containers` and `container_volumes`.

use sqlx::{SqliteExecutor, SqlitePool};

/// One row, with what the engine must know of its team.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub id: String,
    pub team_id: i64,
    pub team_key: String,
    pub base_id: i64,
    pub name: String,
    pub image_id: String,
    pub config: String,
    pub resolved: String,
    pub state: String,
    pub run: String,
    pub created_at: i64,
}

/// All rows, oldest first.
pub(crate) async fn all(pool: &SqlitePool) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT c.id AS "id!", c.team_id, t.key AS team_key, t.base_id, c.name, c.image_id, c.config, c.resolved,
                  c.state, c.run, c.created_at
           FROM containers c JOIN teams t ON t.id = c.team_id ORDER BY c.created_at, c.id"#
    )
    .fetch_all(pool)
    .await
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct New<'a> {
    pub id: &'a str,
    pub team_id: i64,
    pub name: &'a str,
    pub image_id: &'a str,
    pub config: &'a str,
    pub resolved: &'a str,
    pub created_at: i64,
    /// Ids of its volumes.
    pub volumes: &'a [String],
}

/// Inserts a container in state `created` and its claims on volumes, all or nothing.
pub(crate) async fn insert(pool: &SqlitePool, new: New<'_>) -> Result<(), sqlx::Error> {
    if new.volumes.is_empty() {
        // One statement is all or nothing by itself, and each is a change of threads.
        return insert_row(pool, &new).await;
    }
    let mut transaction = pool.begin().await?;
    insert_row(&mut *transaction, &new).await?;
    for volume in new.volumes {
        sqlx::query!("INSERT OR IGNORE INTO container_volumes (container_id, volume_id) VALUES (?, ?)", new.id, volume)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn insert_row(at: impl SqliteExecutor<'_>, new: &New<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO containers (id, team_id, name, image_id, config, resolved, state, created_at)
         VALUES (?, ?, ?, ?, ?, ?, 'created', ?)",
        new.id,
        new.team_id,
        new.name,
        new.image_id,
        new.config,
        new.resolved,
        new.created_at
    )
    .execute(at)
    .await
    .map(drop)
}

/// Writes state and run.
pub(crate) async fn set_run(pool: &SqlitePool, id: &str, state: &str, run: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE containers SET state = ?, run = ? WHERE id = ?", state, run, id).execute(pool).await.map(drop)
}

/// Writes the configuration.
pub(crate) async fn set_config(pool: &SqlitePool, id: &str, config: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE containers SET config = ? WHERE id = ?", config, id).execute(pool).await.map(drop)
}

/// Writes the name.
pub(crate) async fn set_name(pool: &SqlitePool, id: &str, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE containers SET name = ? WHERE id = ?", name, id).execute(pool).await.map(drop)
}

/// Removes the row and its claims on volumes.
pub(crate) async fn delete(pool: &SqlitePool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM containers WHERE id = ?", id).execute(pool).await.map(drop)
}
