//! The table `repository_tags`. Names sort by their bytes.

use sqlx::{SqliteConnection, SqlitePool};

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagRow {
    pub name: String,
    pub digest: String,
    pub tagged_by: String,
    pub tagged_at: i64,
}

/// Behind `after`.
pub(crate) async fn page(pool: &SqlitePool, repository_id: i64, after: &str, most: i64) -> sqlx::Result<Vec<TagRow>> {
    sqlx::query_as!(
        TagRow,
        "SELECT name, digest, tagged_by, tagged_at FROM repository_tags
         WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?",
        repository_id,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// The same, names alone.
pub(crate) async fn names(pool: &SqlitePool, repository_id: i64, after: &str, most: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT name FROM repository_tags WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?",
        repository_id,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// Which manifest a tag names.
pub(crate) async fn digest(
    connection: &mut SqliteConnection,
    repository_id: i64,
    name: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT digest FROM repository_tags WHERE repository_id = ? AND name = ?", repository_id, name)
        .fetch_optional(connection)
        .await
}

/// What a tag of the cache is, and when its registry last said so.
pub(crate) async fn checked(pool: &SqlitePool, repository_id: i64, name: &str) -> sqlx::Result<Option<(String, i64)>> {
    let row = sqlx::query!(
        r#"SELECT digest, coalesce(checked_at, 0) AS "at!: i64" FROM repository_tags WHERE repository_id = ? AND name = ?"#,
        repository_id,
        name
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.digest, row.at)))
}

/// Notes that its registry says so now.
pub(crate) async fn confirm(
    executor: impl sqlx::SqliteExecutor<'_>,
    repository_id: i64,
    name: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE repository_tags SET checked_at = ? WHERE repository_id = ? AND name = ?",
        now,
        repository_id,
        name
    )
    .execute(executor)
    .await
    .map(drop)
}

pub(crate) async fn put(connection: &mut SqliteConnection, repository_id: i64, row: &TagRow) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO repository_tags (repository_id, name, digest, tagged_by, tagged_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, tagged_by = excluded.tagged_by,
             tagged_at = excluded.tagged_at",
        repository_id,
        row.name,
        row.digest,
        row.tagged_by,
        row.tagged_at
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn delete(connection: &mut SqliteConnection, repository_id: i64, name: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM repository_tags WHERE repository_id = ? AND name = ?", repository_id, name)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes since when a manifest has no tag, unless another one names it.
pub(crate) async fn left(
    connection: &mut SqliteConnection,
    repository_id: i64,
    digest: &str,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE manifests SET untagged_at = ?3 WHERE repository_id = ?1 AND digest = ?2
         AND NOT EXISTS (SELECT 1 FROM repository_tags t WHERE t.repository_id = ?1 AND t.digest = ?2)",
        repository_id,
        digest,
        now
    )
    .execute(connection)
    .await
    .map(drop)
}

/// All but the `keep` newest.
pub(crate) async fn beyond(
    connection: &mut SqliteConnection,
    repository_id: i64,
    keep: i64,
) -> sqlx::Result<Vec<TagRow>> {
    sqlx::query_as!(
        TagRow,
        "SELECT name, digest, tagged_by, tagged_at FROM repository_tags WHERE repository_id = ?
         ORDER BY tagged_at DESC, name DESC LIMIT -1 OFFSET ?",
        repository_id,
        keep
    )
    .fetch_all(connection)
    .await
}
