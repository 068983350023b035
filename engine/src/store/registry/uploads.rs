//! The table `uploads`.

use sqlx::{SqliteConnection, SqlitePool};

pub(crate) async fn insert(pool: &SqlitePool, id: &str, repository_id: i64, now: i64) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO uploads (id, repository_id, started_at) VALUES (?, ?, ?)", id, repository_id, now)
        .execute(pool)
        .await
        .map(drop)
}

/// Whether the repository has it.
pub(crate) async fn exists(pool: &SqlitePool, repository_id: i64, id: &str) -> sqlx::Result<bool> {
    let found =
        sqlx::query_scalar!("SELECT started_at FROM uploads WHERE id = ? AND repository_id = ?", id, repository_id)
            .fetch_optional(pool)
            .await?;
    Ok(found.is_some())
}

/// How many a repository has.
pub(crate) async fn count(pool: &SqlitePool, repository_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM uploads WHERE repository_id = ?"#, repository_id)
        .fetch_one(pool)
        .await
}

pub(crate) async fn delete(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<bool> {
    Ok(sqlx::query!("DELETE FROM uploads WHERE id = ?", id).execute(connection).await?.rows_affected() == 1)
}

/// Id and start of every one.
pub(crate) async fn all(pool: &SqlitePool) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(r#"SELECT id AS "id!", started_at FROM uploads"#).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.started_at)).collect())
}
