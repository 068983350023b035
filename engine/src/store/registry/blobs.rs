//! The table `repository_blobs`.

use sqlx::{SqliteConnection, SqlitePool};

/// A blob in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobRow {
    pub digest: String,
    pub size: i64,
    pub used_at: i64,
}

pub(crate) async fn find(pool: &SqlitePool, repository_id: i64, digest: &str) -> sqlx::Result<Option<BlobRow>> {
    sqlx::query_as!(
        BlobRow,
        "SELECT digest, size, used_at FROM repository_blobs WHERE repository_id = ? AND digest = ?",
        repository_id,
        digest
    )
    .fetch_optional(pool)
    .await
}

/// Those of `digests` (a JSON list) that are there.
pub(crate) async fn among(
    connection: &mut SqliteConnection,
    repository_id: i64,
    digests: &str,
) -> sqlx::Result<Vec<BlobRow>> {
    sqlx::query_as!(
        BlobRow,
        "SELECT digest, size, used_at FROM repository_blobs
         WHERE repository_id = ? AND digest IN (SELECT value FROM json_each(?))",
        repository_id,
        digests
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    repository_id: i64,
    digest: &str,
    size: i64,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO repository_blobs (repository_id, digest, size, used_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (repository_id, digest) DO UPDATE SET used_at = excluded.used_at",
        repository_id,
        digest,
        size,
        now
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether a repository whose name begins with `prefix` has it, of any team.
pub(crate) async fn is_cached_from(pool: &SqlitePool, digest: &str, prefix: &str) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT 1 AS "one!: i64" FROM repository_blobs b JOIN repositories r ON r.id = b.repository_id
           WHERE b.digest = ?1 AND substr(r.name, 1, length(?2)) = ?2 LIMIT 1"#,
        digest,
        prefix
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.is_some())
}

/// Notes that somebody who may push asked for it.
pub(crate) async fn touch(pool: &SqlitePool, repository_id: i64, digest: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE repository_blobs SET used_at = ? WHERE repository_id = ? AND digest = ?",
        now,
        repository_id,
        digest
    )
    .execute(pool)
    .await
    .map(drop)
}

pub(crate) async fn delete(pool: &SqlitePool, repository_id: i64, digest: &str) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("DELETE FROM repository_blobs WHERE repository_id = ? AND digest = ?", repository_id, digest)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes those that no manifest needs and nobody used since `before`; says how many.
pub(crate) async fn delete_orphans(connection: &mut SqliteConnection, before: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM repository_blobs WHERE used_at < ? AND NOT EXISTS
         (SELECT 1 FROM manifest_links l WHERE l.repository_id = repository_blobs.repository_id
          AND l.child = repository_blobs.digest AND l.kind = 'blob')",
        before
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
