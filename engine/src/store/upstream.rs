//! Rows about other registries: what is said about them, and what came from or went to them.

use sqlx::{SqliteConnection, SqlitePool};

/// Most rows of `fetches`.
const FETCHES: i64 = 10_000;

/// A row of `registries`.
#[derive(Debug, Clone)]
pub(crate) struct RegistryRow {
    pub host: String,
    pub plain_http: bool,
    pub ca_pem: Option<String>,
    pub teams_may: bool,
}

/// A row of `mirrors`.
#[derive(Debug, Clone)]
pub(crate) struct MirrorRow {
    pub id: i64,
    pub upstream: String,
    pub url: String,
    pub position: i64,
    pub enabled: bool,
}

/// A row of `packed_layers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedRow {
    pub digest: String,
    pub diff_id: String,
    pub size: i64,
    pub media_type: String,
}

/// A row of `image_digests`.
#[derive(Debug, Clone)]
pub(crate) struct DigestRow {
    pub repository: String,
    pub digest: String,
    pub manifest: String,
    pub image_id: String,
}

/// A row of `fetches`.
#[derive(Debug, Clone)]
pub(crate) struct FetchRow {
    pub id: i64,
    pub at: i64,
    pub reference: String,
    pub endpoint: String,
    pub blobs: i64,
    pub bytes: i64,
}

pub(crate) async fn registries(pool: &SqlitePool) -> sqlx::Result<Vec<RegistryRow>> {
    sqlx::query_as!(
        RegistryRow,
        r#"SELECT host, plain_http AS "plain_http: bool", ca_pem, teams_may AS "teams_may: bool" FROM registries ORDER BY host"#
    )
    .fetch_all(pool)
    .await
}

pub(crate) async fn put_registry(pool: &SqlitePool, row: &RegistryRow, now: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO registries (host, plain_http, ca_pem, teams_may, created_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (host) DO UPDATE SET plain_http = excluded.plain_http, ca_pem = excluded.ca_pem,
         teams_may = excluded.teams_may",
        row.host,
        row.plain_http,
        row.ca_pem,
        row.teams_may,
        now
    )
    .execute(pool)
    .await
    .map(drop)
}

pub(crate) async fn delete_registry(pool: &SqlitePool, host: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM registries WHERE host = ?", host).execute(pool).await.map(drop)
}

pub(crate) async fn mirrors(pool: &SqlitePool) -> sqlx::Result<Vec<MirrorRow>> {
    sqlx::query_as!(
        MirrorRow,
        r#"SELECT id, upstream, url, position, enabled AS "enabled: bool" FROM mirrors ORDER BY upstream, position, id"#
    )
    .fetch_all(pool)
    .await
}

/// Puts a mirror, by upstream and address; its id.
pub(crate) async fn put_mirror(pool: &SqlitePool, row: &MirrorRow, now: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"INSERT INTO mirrors (upstream, url, position, enabled, created_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (upstream, url) DO UPDATE SET position = excluded.position, enabled = excluded.enabled
         RETURNING id AS "id!""#,
        row.upstream,
        row.url,
        row.position,
        row.enabled,
        now
    )
    .fetch_one(pool)
    .await
}

pub(crate) async fn delete_mirror(pool: &SqlitePool, id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM mirrors WHERE id = ?", id).execute(pool).await.map(drop)
}

pub(crate) async fn packed(pool: &SqlitePool, digest: &str) -> sqlx::Result<Option<PackedRow>> {
    sqlx::query_as!(PackedRow, "SELECT digest, diff_id, size, media_type FROM packed_layers WHERE digest = ?", digest)
        .fetch_optional(pool)
        .await
}

pub(crate) async fn packed_of(pool: &SqlitePool, diff_id: &str) -> sqlx::Result<Vec<PackedRow>> {
    sqlx::query_as!(
        PackedRow,
        "SELECT digest, diff_id, size, media_type FROM packed_layers WHERE diff_id = ? ORDER BY size, digest",
        diff_id
    )
    .fetch_all(pool)
    .await
}

/// A fact; its layer's row must be there.
pub(crate) async fn insert_packed(connection: &mut SqliteConnection, row: &PackedRow) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO packed_layers (digest, diff_id, size, media_type) VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        row.digest,
        row.diff_id,
        row.size,
        row.media_type
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn insert_origin(connection: &mut SqliteConnection, digest: &str, registry: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO blob_origins (digest, registry) VALUES (?, ?) ON CONFLICT (digest, registry) DO NOTHING",
        digest,
        registry
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether that registry delivered the bytes once.
pub(crate) async fn is_origin(pool: &SqlitePool, digest: &str, registry: &str) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT 1 AS "one!: i64" FROM blob_origins WHERE digest = ? AND registry = ?"#,
        digest,
        registry
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.is_some())
}

/// Whether an image of the team has that layer.
pub(crate) async fn team_has_layer(pool: &SqlitePool, team_id: i64, diff_id: &str) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT 1 AS "one!: i64" FROM images i, json_each(i.diff_ids) d WHERE i.team_id = ? AND d.value = ? LIMIT 1"#,
        team_id,
        diff_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.is_some())
}

pub(crate) async fn put_digest(
    connection: &mut SqliteConnection,
    team_id: i64,
    row: &DigestRow,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO image_digests (team_id, repository, digest, manifest, image_id, created_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (team_id, repository, digest) DO UPDATE SET manifest = excluded.manifest, image_id = excluded.image_id",
        team_id,
        row.repository,
        row.digest,
        row.manifest,
        row.image_id,
        now
    )
    .execute(connection)
    .await
    .map(drop)
}

/// All of a team.
pub(crate) async fn digests(connection: &mut SqliteConnection, team_id: i64) -> sqlx::Result<Vec<DigestRow>> {
    sqlx::query_as!(
        DigestRow,
        "SELECT repository, digest, manifest, image_id FROM image_digests WHERE team_id = ? ORDER BY repository, created_at, digest",
        team_id
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn delete_digest(
    connection: &mut SqliteConnection,
    team_id: i64,
    repository: &str,
    digest: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM image_digests WHERE team_id = ? AND repository = ? AND digest = ?",
        team_id,
        repository,
        digest
    )
    .execute(connection)
    .await
    .map(drop)
}

/// All of every team, each with its team.
pub(crate) async fn all_digests(pool: &SqlitePool) -> sqlx::Result<Vec<(i64, DigestRow)>> {
    let rows = sqlx::query!(
        "SELECT team_id, repository, digest, manifest, image_id FROM image_digests ORDER BY team_id, created_at DESC, digest"
    )
    .fetch_all(pool)
    .await?;
    let all = rows.into_iter().map(|row| {
        let (repository, digest, manifest, image_id) = (row.repository, row.digest, row.manifest, row.image_id);
        (row.team_id, DigestRow { repository, digest, manifest, image_id })
    });
    Ok(all.collect())
}

/// Digests of every kept manifest and index of every team: what the sweep keeps.
pub(crate) async fn manifests(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(r#"SELECT digest AS "digest!" FROM image_digests UNION SELECT manifest FROM image_digests"#)
        .fetch_all(connection)
        .await
}

pub(crate) async fn insert_fetch(pool: &SqlitePool, team_id: i64, row: &FetchRow) -> sqlx::Result<()> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO fetches (at, team_id, reference, endpoint, blobs, bytes) VALUES (?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        row.at,
        team_id,
        row.reference,
        row.endpoint,
        row.blobs,
        row.bytes
    )
    .fetch_one(pool)
    .await?;
    let last = id - FETCHES;
    sqlx::query!("DELETE FROM fetches WHERE id <= ?", last).execute(pool).await.map(drop)
}

/// A page of a team's, newest first, below `before`.
pub(crate) async fn fetches(pool: &SqlitePool, team_id: i64, before: i64, most: i64) -> sqlx::Result<Vec<FetchRow>> {
    sqlx::query_as!(
        FetchRow,
        "SELECT id, at, reference, endpoint, blobs, bytes FROM fetches WHERE team_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
        team_id,
        before,
        most
    )
    .fetch_all(pool)
    .await
}
