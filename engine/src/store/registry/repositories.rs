//! The table `repositories`.

use sqlx::{SqliteConnection, SqlitePool};

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryRow {
    pub id: i64,
    pub team_id: i64,
    pub name: String,
    pub public: bool,
    pub immutable_tags: bool,
    pub keep_tags: Option<i64>,
    pub keep_untagged_days: Option<i64>,
    pub pulls: i64,
    pub last_pulled_at: Option<i64>,
    pub created_at: i64,
}

/// A row with what lies in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedRow {
    pub id: i64,
    pub team_id: i64,
    pub name: String,
    pub public: bool,
    pub immutable_tags: bool,
    pub keep_tags: Option<i64>,
    pub keep_untagged_days: Option<i64>,
    pub pulls: i64,
    pub last_pulled_at: Option<i64>,
    pub created_at: i64,
    pub tags: i64,
    pub manifests: i64,
    pub bytes: i64,
    /// 0: nothing was pushed yet.
    pub pushed_at: i64,
}

pub(crate) async fn find(pool: &SqlitePool, team_id: i64, name: &str) -> sqlx::Result<Option<RepositoryRow>> {
    sqlx::query_as!(
        RepositoryRow,
        r#"SELECT id, team_id, name, public AS "public: bool", immutable_tags AS "immutable_tags: bool", keep_tags,
                  keep_untagged_days, pulls, last_pulled_at, created_at
           FROM repositories WHERE team_id = ? AND name = ?"#,
        team_id,
        name
    )
    .fetch_optional(pool)
    .await
}

/// Those with rules about what to keep.
pub(crate) async fn with_rules(pool: &SqlitePool) -> sqlx::Result<Vec<RepositoryRow>> {
    sqlx::query_as!(
        RepositoryRow,
        r#"SELECT id, team_id, name, public AS "public: bool", immutable_tags AS "immutable_tags: bool", keep_tags,
                  keep_untagged_days, pulls, last_pulled_at, created_at
           FROM repositories WHERE keep_tags IS NOT NULL OR keep_untagged_days IS NOT NULL"#
    )
    .fetch_all(pool)
    .await
}

/// Id and name of those without a manifest and without anything on its way.
pub(crate) async fn empty(pool: &SqlitePool) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        "SELECT id, name FROM repositories r WHERE NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id)
         AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.repository_id = r.id)"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Does nothing when it is there.
pub(crate) async fn insert(pool: &SqlitePool, team_id: i64, name: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO repositories (team_id, name, created_at) VALUES (?, ?, ?) ON CONFLICT (team_id, name) DO NOTHING",
        team_id,
        name,
        now
    )
    .execute(pool)
    .await
    .map(drop)
}

/// How many a team has.
pub(crate) async fn count(pool: &SqlitePool, team_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM repositories WHERE team_id = ?"#, team_id)
        .fetch_one(pool)
        .await
}

/// The team's with `text` in their names, by name, behind `after`.
pub(crate) async fn page(
    pool: &SqlitePool,
    team_id: i64,
    text: &str,
    after: &str,
    most: i64,
) -> sqlx::Result<Vec<ListedRow>> {
    sqlx::query_as!(
        ListedRow,
        r#"SELECT id, team_id, name, public AS "public: bool", immutable_tags AS "immutable_tags: bool", keep_tags,
                  keep_untagged_days, pulls, last_pulled_at, created_at,
                  (SELECT count(*) FROM repository_tags t WHERE t.repository_id = r.id) AS "tags!: i64",
                  (SELECT count(*) FROM manifests m WHERE m.repository_id = r.id) AS "manifests!: i64",
                  (SELECT coalesce(sum(b.size), 0) FROM repository_blobs b WHERE b.repository_id = r.id) AS "bytes!: i64",
                  max((SELECT coalesce(max(m.pushed_at), 0) FROM manifests m WHERE m.repository_id = r.id),
                      (SELECT coalesce(max(t.tagged_at), 0) FROM repository_tags t WHERE t.repository_id = r.id))
                      AS "pushed_at!: i64"
           FROM repositories r WHERE team_id = ? AND instr(name, ?) > 0 AND name > ? ORDER BY name LIMIT ?"#,
        team_id,
        text,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// What one repository has: tags, manifests, bytes of its blobs.
pub(crate) async fn counts(pool: &SqlitePool, id: i64) -> sqlx::Result<(i64, i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM repository_tags WHERE repository_id = ?1) AS "tags!: i64",
                  (SELECT count(*) FROM manifests WHERE repository_id = ?1) AS "manifests!: i64",
                  (SELECT coalesce(sum(size), 0) FROM repository_blobs WHERE repository_id = ?1) AS "bytes!: i64""#,
        id
    )
    .fetch_one(pool)
    .await?;
    Ok((row.tags, row.manifests, row.bytes))
}

/// Ids and names, in lower case, of `teams` (a JSON list of ids) and of all that have something public, as whole names
/// (`team/name`) have them in the order of their bytes.
pub(crate) async fn catalog_teams(pool: &SqlitePool, teams: &str) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        r#"SELECT id, lower(name) AS "name!: String" FROM teams t WHERE id IN (SELECT value FROM json_each(?))
           OR EXISTS (SELECT 1 FROM repositories r WHERE r.team_id = t.id AND r.public = 1)
           ORDER BY lower(name) || '/'"#,
        teams
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Names behind `after`, in the order of their bytes.
pub(crate) async fn names(pool: &SqlitePool, team_id: i64, after: &str, most: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT name FROM repositories WHERE team_id = ? AND name > ? ORDER BY name LIMIT ?",
        team_id,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

/// The same of the public ones.
pub(crate) async fn public_names(pool: &SqlitePool, team_id: i64, after: &str, most: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT name FROM repositories WHERE team_id = ? AND public = 1 AND name > ? ORDER BY name LIMIT ?",
        team_id,
        after,
        most
    )
    .fetch_all(pool)
    .await
}

pub(crate) async fn update(pool: &SqlitePool, row: &RepositoryRow) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE repositories SET public = ?, immutable_tags = ?, keep_tags = ?, keep_untagged_days = ? WHERE id = ?",
        row.public,
        row.immutable_tags,
        row.keep_tags,
        row.keep_untagged_days,
        row.id
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn delete(pool: &SqlitePool, id: i64) -> sqlx::Result<bool> {
    Ok(sqlx::query!("DELETE FROM repositories WHERE id = ?", id).execute(pool).await?.rows_affected() == 1)
}

pub(crate) async fn add_pulls(connection: &mut SqliteConnection, id: i64, count: i64, last: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE repositories SET pulls = pulls + ?, last_pulled_at = ? WHERE id = ?", count, last, id)
        .execute(connection)
        .await
        .map(drop)
}

/// How many repositories a team has, and bytes of the blobs in them, each counted once.
pub(crate) async fn usage_of_team(pool: &SqlitePool, team_id: i64) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM repositories WHERE team_id = ?1) AS "repositories!: i64",
                  (SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT b.digest, b.size FROM repository_blobs b
                   JOIN repositories r ON r.id = b.repository_id WHERE r.team_id = ?1)) AS "bytes!: i64""#,
        team_id
    )
    .fetch_one(pool)
    .await?;
    Ok((row.repositories, row.bytes))
}
