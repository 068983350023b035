//! The tables `manifests` and `manifest_links`.

use sqlx::{SqliteConnection, SqlitePool};

/// A manifest in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestRow {
    pub digest: String,
    pub media_type: String,
    pub size: i64,
    pub artifact_type: Option<String>,
    pub subject: Option<String>,
    pub annotations: String,
    pub pushed_by: String,
    pub pushed_at: i64,
}

/// The same with its tags, a JSON list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedRow {
    pub digest: String,
    pub media_type: String,
    pub size: i64,
    pub artifact_type: Option<String>,
    pub subject: Option<String>,
    pub pushed_by: String,
    pub pushed_at: i64,
    pub tags: String,
}

pub(crate) async fn by_digest(
    pool: &SqlitePool,
    repository_id: i64,
    digest: &str,
) -> sqlx::Result<Option<ManifestRow>> {
    sqlx::query_as!(
        ManifestRow,
        "SELECT digest, media_type, size, artifact_type, subject, annotations, pushed_by, pushed_at
         FROM manifests WHERE repository_id = ? AND digest = ?",
        repository_id,
        digest
    )
    .fetch_optional(pool)
    .await
}

pub(crate) async fn by_tag(pool: &SqlitePool, repository_id: i64, tag: &str) -> sqlx::Result<Option<ManifestRow>> {
    sqlx::query_as!(
        ManifestRow,
        "SELECT m.digest, m.media_type, m.size, m.artifact_type, m.subject, m.annotations, m.pushed_by, m.pushed_at
         FROM repository_tags t JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
         WHERE t.repository_id = ? AND t.name = ?",
        repository_id,
        tag
    )
    .fetch_optional(pool)
    .await
}

/// In the order of their digests, behind `after`.
pub(crate) async fn page(
    pool: &SqlitePool,
    repository_id: i64,
    after: &str,
    most: i64,
) -> sqlx::Result<Vec<ListedRow>> {
    sqlx::query_as!(
        ListedRow,
        r#"SELECT digest, media_type, size, artifact_type, subject, pushed_by, pushed_at,
                  (SELECT json_group_array(t.name) FROM repository_tags t
                   WHERE t.repository_id = m.repository_id AND t.digest = m.digest) AS "tags!: String"
           FROM manifests m WHERE repository_id = ? AND digest > ? ORDER BY digest LIMIT ?"#,
        repository_id,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// Those that neither a tag nor an index names, in the order of their digests, behind `after`.
pub(crate) async fn untagged(
    pool: &SqlitePool,
    repository_id: i64,
    after: &str,
    most: i64,
) -> sqlx::Result<Vec<ListedRow>> {
    sqlx::query_as!(
        ListedRow,
        r#"SELECT digest, media_type, size, artifact_type, subject, pushed_by, pushed_at, '[]' AS "tags!: String"
           FROM manifests m WHERE repository_id = ?1 AND digest > ?2
           AND NOT EXISTS (SELECT 1 FROM repository_tags t WHERE t.repository_id = ?1 AND t.digest = m.digest)
           AND NOT EXISTS (SELECT 1 FROM manifest_links l
                           WHERE l.repository_id = ?1 AND l.child = m.digest AND l.kind = 'manifest')
           ORDER BY digest LIMIT ?3"#,
        repository_id,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// Bytes of the blobs that each of `digests` (a JSON list of manifests) needs, by itself or by the manifests that it
/// names; each blob once. One that needs none is not in the answer.
pub(crate) async fn bytes(pool: &SqlitePool, repository_id: i64, digests: &str) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE needed (top, digest, kind) AS (
               SELECT value, value, 'manifest' FROM json_each(?2)
               UNION
               SELECT n.top, l.child, l.kind FROM needed n
               JOIN manifest_links l ON l.repository_id = ?1 AND l.parent = n.digest WHERE n.kind = 'manifest')
           SELECT n.top AS "top!: String", sum(b.size) AS "bytes!: i64"
           FROM needed n JOIN repository_blobs b ON b.repository_id = ?1 AND b.digest = n.digest
           WHERE n.kind = 'blob' GROUP BY n.top"#,
        repository_id,
        digests
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.top, row.bytes)).collect())
}

/// What is about the manifest `subject`, in the order of their digests, behind `after`; of one type, or of any.
pub(crate) async fn referrers(
    pool: &SqlitePool,
    repository_id: i64,
    subject: &str,
    artifact_type: Option<&str>,
    after: &str,
    most: i64,
) -> sqlx::Result<Vec<ManifestRow>> {
    sqlx::query_as!(
        ManifestRow,
        "SELECT digest, media_type, size, artifact_type, subject, annotations, pushed_by, pushed_at
         FROM manifests WHERE repository_id = ?1 AND subject = ?2 AND digest > ?4 AND (?3 IS NULL OR artifact_type = ?3)
         ORDER BY digest LIMIT ?5",
        repository_id,
        subject,
        artifact_type,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// Those of `digests` (a JSON list) that are there, with their sizes.
pub(crate) async fn among(
    connection: &mut SqliteConnection,
    repository_id: i64,
    digests: &str,
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        "SELECT digest, size FROM manifests
         WHERE repository_id = ? AND digest IN (SELECT value FROM json_each(?))",
        repository_id,
        digests
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.digest, row.size)).collect())
}

/// A manifest that is there stays as it is.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    repository_id: i64,
    row: &ManifestRow,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO manifests (repository_id, digest, media_type, size, artifact_type, subject, annotations, pushed_by,
                                pushed_at, untagged_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
         ON CONFLICT (repository_id, digest) DO NOTHING",
        repository_id,
        row.digest,
        row.media_type,
        row.size,
        row.artifact_type,
        row.subject,
        row.annotations,
        row.pushed_by,
        row.pushed_at
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes what a manifest needs: `blobs` and `manifests` are JSON lists of digests.
pub(crate) async fn link(
    connection: &mut SqliteConnection,
    repository_id: i64,
    parent: &str,
    blobs: &str,
    manifests: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT OR IGNORE INTO manifest_links (repository_id, parent, child, kind)
         SELECT ?1, ?2, value, 'blob' FROM json_each(?3) UNION SELECT ?1, ?2, value, 'manifest' FROM json_each(?4)",
        repository_id,
        parent,
        blobs,
        manifests
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes that a manifest of the cache was asked for, unless that was noted since `before`.
pub(crate) async fn note_use(
    executor: impl sqlx::SqliteExecutor<'_>,
    repository_id: i64,
    digest: &str,
    now: i64,
    before: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE manifests SET used_at = ?3 WHERE repository_id = ?1 AND digest = ?2 AND coalesce(used_at, 0) < ?4",
        repository_id,
        digest,
        now,
        before
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Removes those of the cache that nobody asked for since `before` and no index needs; says how many.
pub(crate) async fn delete_unused(connection: &mut SqliteConnection, before: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM manifests WHERE used_at < ? AND NOT EXISTS
         (SELECT 1 FROM manifest_links l WHERE l.repository_id = manifests.repository_id AND l.child = manifests.digest
          AND l.kind = 'manifest')",
        before
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// With its links and tags.
pub(crate) async fn delete(connection: &mut SqliteConnection, repository_id: i64, digest: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM manifests WHERE repository_id = ? AND digest = ?", repository_id, digest)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Indexes that name it.
pub(crate) async fn parents(pool: &SqlitePool, repository_id: i64, digest: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT parent FROM manifest_links WHERE repository_id = ? AND child = ? AND kind = 'manifest'",
        repository_id,
        digest
    )
    .fetch_all(pool)
    .await
}

/// Manifests that need a blob.
pub(crate) async fn naming(
    pool: &SqlitePool,
    repository_id: i64,
    digest: &str,
    most: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT parent FROM manifest_links WHERE repository_id = ? AND child = ? AND kind = 'blob' LIMIT ?",
        repository_id,
        digest,
        most
    )
    .fetch_all(pool)
    .await
}

/// Removes those that no tag names since `before`, that no index needs, and that are about no manifest that is there;
/// gives their digests.
pub(crate) async fn delete_untagged(
    connection: &mut SqliteConnection,
    repository_id: i64,
    before: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "DELETE FROM manifests WHERE repository_id = ?1 AND untagged_at < ?2
         AND NOT EXISTS (SELECT 1 FROM repository_tags t WHERE t.repository_id = ?1 AND t.digest = manifests.digest)
         AND NOT EXISTS (SELECT 1 FROM manifest_links l
                         WHERE l.repository_id = ?1 AND l.child = manifests.digest AND l.kind = 'manifest')
         AND NOT EXISTS (SELECT 1 FROM manifests s WHERE s.repository_id = ?1 AND s.digest = manifests.subject)
         RETURNING digest",
        repository_id,
        before
    )
    .fetch_all(connection)
    .await
}
