//! All rows of the registry, whoever's they are, and putting right what they say: for the doctor.

use sqlx::{SqliteConnection, SqlitePool};

/// A manifest, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct AnyManifestRow {
    pub repository_id: i64,
    /// `team/name`.
    pub repository: String,
    pub digest: String,
    pub media_type: String,
    pub size: i64,
    pub artifact_type: Option<String>,
    pub subject: Option<String>,
    pub annotations: String,
    /// A JSON list.
    pub tags: String,
}

/// A blob, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct AnyBlobRow {
    pub repository_id: i64,
    /// `team/name`.
    pub repository: String,
    pub digest: String,
    pub size: i64,
}

/// What a manifest needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AnyLinkRow {
    pub repository_id: i64,
    pub parent: String,
    pub child: String,
    /// `blob` or `manifest`.
    pub kind: String,
}

/// A tag whose manifest has no row.
#[derive(Debug, Clone)]
pub(crate) struct DanglingTagRow {
    pub repository_id: i64,
    /// `team/name`.
    pub repository: String,
    pub name: String,
    pub digest: String,
}

pub(crate) async fn manifests(pool: &SqlitePool) -> sqlx::Result<Vec<AnyManifestRow>> {
    sqlx::query_as!(
        AnyManifestRow,
        r#"SELECT m.repository_id, lower(t.name) || '/' || r.name AS "repository!: String", m.digest, m.media_type, m.size,
                  m.artifact_type, m.subject, m.annotations,
                  (SELECT json_group_array(g.name) FROM repository_tags g
                   WHERE g.repository_id = m.repository_id AND g.digest = m.digest) AS "tags!: String"
           FROM manifests m JOIN repositories r ON r.id = m.repository_id JOIN teams t ON t.id = r.team_id
           ORDER BY m.repository_id, m.digest"#
    )
    .fetch_all(pool)
    .await
}

pub(crate) async fn blobs(pool: &SqlitePool) -> sqlx::Result<Vec<AnyBlobRow>> {
    sqlx::query_as!(
        AnyBlobRow,
        r#"SELECT b.repository_id, lower(t.name) || '/' || r.name AS "repository!: String", b.digest, b.size
           FROM repository_blobs b JOIN repositories r ON r.id = b.repository_id JOIN teams t ON t.id = r.team_id
           ORDER BY b.repository_id, b.digest"#
    )
    .fetch_all(pool)
    .await
}

pub(crate) async fn links(pool: &SqlitePool) -> sqlx::Result<Vec<AnyLinkRow>> {
    sqlx::query_as!(AnyLinkRow, "SELECT repository_id, parent, child, kind FROM manifest_links").fetch_all(pool).await
}

pub(crate) async fn dangling_tags(pool: &SqlitePool) -> sqlx::Result<Vec<DanglingTagRow>> {
    sqlx::query_as!(
        DanglingTagRow,
        r#"SELECT g.repository_id, lower(t.name) || '/' || r.name AS "repository!: String", g.name, g.digest
           FROM repository_tags g JOIN repositories r ON r.id = g.repository_id JOIN teams t ON t.id = r.team_id
           WHERE NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = g.repository_id AND m.digest = g.digest)
           ORDER BY g.repository_id, g.name"#
    )
    .fetch_all(pool)
    .await
}

/// Writes what a manifest's own bytes say; its links go.
pub(crate) async fn correct_manifest(connection: &mut SqliteConnection, row: &AnyManifestRow) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE manifests SET media_type = ?3, size = ?4, artifact_type = ?5, subject = ?6, annotations = ?7
         WHERE repository_id = ?1 AND digest = ?2",
        row.repository_id,
        row.digest,
        row.media_type,
        row.size,
        row.artifact_type,
        row.subject,
        row.annotations
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM manifest_links WHERE repository_id = ? AND parent = ?", row.repository_id, row.digest)
        .execute(connection)
        .await
        .map(drop)
}

/// No repository has a blob any more.
pub(crate) async fn forget_blob(connection: &mut SqliteConnection, digest: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM repository_blobs WHERE digest = ?", digest).execute(connection).await.map(drop)
}

/// Writes how many bytes a blob has.
pub(crate) async fn correct_size(
    connection: &mut SqliteConnection,
    repository_id: i64,
    digest: &str,
    size: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE repository_blobs SET size = ? WHERE repository_id = ? AND digest = ?",
        size,
        repository_id,
        digest
    )
    .execute(connection)
    .await
    .map(drop)
}
