//! Rows of `images`, `tags` and `layers`. Every query about an image names its team.

use sqlx::{SqliteConnection, SqlitePool};

/// A row of `images`.
#[derive(Debug, Clone)]
pub(crate) struct ImageRow {
    pub id: String,
    pub config: String,
    pub diff_ids: String,
    pub size: i64,
    pub high_ids: String,
    pub created_at: i64,
}

/// A row of `tags`.
#[derive(Debug, Clone)]
pub(crate) struct TagRow {
    pub reference: String,
    pub image_id: String,
}

/// A container that uses an image.
#[derive(Debug, Clone)]
pub(crate) struct UserRow {
    pub id: String,
    pub image_id: String,
    pub state: String,
}

/// A row of `layers`.
#[derive(Debug, Clone)]
pub(crate) struct LayerRow {
    pub diff_id: String,
    pub size: i64,
    pub disk_bytes: i64,
}

pub(crate) async fn list(pool: &SqlitePool, team_id: i64) -> sqlx::Result<Vec<ImageRow>> {
    sqlx::query_as!(
        ImageRow,
        "SELECT id, config, diff_ids, size, high_ids, created_at FROM images WHERE team_id = ? ORDER BY created_at DESC, id",
        team_id
    )
    .fetch_all(pool)
    .await
}

/// At most two images whose id begins with a text: one is found, two are ambiguous.
pub(crate) async fn by_id_prefix(pool: &SqlitePool, team_id: i64, prefix: &str) -> sqlx::Result<Vec<ImageRow>> {
    let end = format!("{prefix}g");
    sqlx::query_as!(
        ImageRow,
        "SELECT id, config, diff_ids, size, high_ids, created_at FROM images
         WHERE team_id = ? AND id >= ? AND id < ? ORDER BY id LIMIT 2",
        team_id,
        prefix,
        end
    )
    .fetch_all(pool)
    .await
}

pub(crate) async fn by_reference(pool: &SqlitePool, team_id: i64, reference: &str) -> sqlx::Result<Option<ImageRow>> {
    sqlx::query_as!(
        ImageRow,
        "SELECT i.id, i.config, i.diff_ids, i.size, i.high_ids, i.created_at
         FROM tags t JOIN images i ON i.team_id = t.team_id AND i.id = t.image_id WHERE t.team_id = ? AND t.reference = ?",
        team_id,
        reference
    )
    .fetch_optional(pool)
    .await
}

pub(crate) async fn by_digest(
    pool: &SqlitePool,
    team_id: i64,
    repository: &str,
    digest: &str,
) -> sqlx::Result<Option<ImageRow>> {
    sqlx::query_as!(
        ImageRow,
        "SELECT i.id, i.config, i.diff_ids, i.size, i.high_ids, i.created_at
         FROM image_digests d JOIN images i ON i.team_id = d.team_id AND i.id = d.image_id
         WHERE d.team_id = ? AND d.repository = ? AND d.digest = ?",
        team_id,
        repository,
        digest
    )
    .fetch_optional(pool)
    .await
}

pub(crate) async fn insert(connection: &mut SqliteConnection, team_id: i64, row: &ImageRow) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO images (team_id, id, config, diff_ids, size, high_ids, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (team_id, id) DO NOTHING",
        team_id,
        row.id,
        row.config,
        row.diff_ids,
        row.size,
        row.high_ids,
        row.created_at
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn delete(connection: &mut SqliteConnection, team_id: i64, id: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM images WHERE team_id = ? AND id = ?", team_id, id).execute(connection).await.map(drop)
}

pub(crate) async fn tags(connection: &mut SqliteConnection, team_id: i64) -> sqlx::Result<Vec<TagRow>> {
    sqlx::query_as!(TagRow, "SELECT reference, image_id FROM tags WHERE team_id = ? ORDER BY reference", team_id)
        .fetch_all(connection)
        .await
}

/// Gives the image that had the tag before, if another had it.
pub(crate) async fn tag(
    connection: &mut SqliteConnection,
    team_id: i64,
    reference: &str,
    image_id: &str,
    now: i64,
) -> sqlx::Result<Option<String>> {
    let before =
        sqlx::query_scalar!("SELECT image_id FROM tags WHERE team_id = ? AND reference = ?", team_id, reference)
            .fetch_optional(&mut *connection)
            .await?;
    sqlx::query!(
        "INSERT INTO tags (team_id, reference, image_id, tagged_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (team_id, reference) DO UPDATE SET image_id = excluded.image_id, tagged_at = excluded.tagged_at",
        team_id,
        reference,
        image_id,
        now
    )
    .execute(connection)
    .await?;
    Ok(before.filter(|before| before != image_id))
}

pub(crate) async fn untag(connection: &mut SqliteConnection, team_id: i64, reference: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM tags WHERE team_id = ? AND reference = ?", team_id, reference)
        .execute(connection)
        .await
        .map(drop)
}

/// The team's containers with the images they were made from.
pub(crate) async fn users(connection: &mut SqliteConnection, team_id: i64) -> sqlx::Result<Vec<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"SELECT id AS "id!", image_id, state FROM containers WHERE team_id = ? ORDER BY created_at, id"#,
        team_id
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn insert_layer(connection: &mut SqliteConnection, row: &LayerRow, now: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO layers (diff_id, size, disk_bytes, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (diff_id) DO NOTHING",
        row.diff_id,
        row.size,
        row.disk_bytes,
        now
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn layers(connection: &mut SqliteConnection) -> sqlx::Result<Vec<LayerRow>> {
    sqlx::query_as!(LayerRow, "SELECT diff_id, size, disk_bytes FROM layers").fetch_all(connection).await
}

pub(crate) async fn delete_layer(connection: &mut SqliteConnection, diff_id: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM layers WHERE diff_id = ?", diff_id).execute(connection).await.map(drop)
}

/// An image with its names, whoever's it is.
#[derive(Debug)]
pub(crate) struct AnyImageRow {
    pub team_id: i64,
    pub id: String,
    pub config: String,
    pub diff_ids: String,
    /// Its references, separated by commas.
    pub tags: Option<String>,
}

/// Every image of every team.
pub(crate) async fn all(pool: &SqlitePool) -> sqlx::Result<Vec<AnyImageRow>> {
    sqlx::query_as!(
        AnyImageRow,
        r#"SELECT i.team_id, i.id, i.config, i.diff_ids,
           (SELECT group_concat(t.reference, ', ') FROM tags t WHERE t.team_id = i.team_id AND t.image_id = i.id)
           AS "tags: String" FROM images i ORDER BY i.team_id, i.id"#
    )
    .fetch_all(pool)
    .await
}

/// Id and layers of every image of every team: what the sweep keeps.
pub(crate) async fn marks(connection: &mut SqliteConnection) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!("SELECT DISTINCT id, diff_ids FROM images").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.diff_ids)).collect())
}

/// Layers that are blobs of repositories, too: of one team's, or of all. There are fewer layers than blobs: each is looked
/// up by its digest.
pub(crate) async fn layers_in_repositories(
    connection: &mut SqliteConnection,
    team_id: Option<i64>,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT b.digest AS "digest!" FROM layers l CROSS JOIN repository_blobs b ON b.digest = l.diff_id
         JOIN repositories r ON r.id = b.repository_id WHERE r.team_id = COALESCE(?, r.team_id)"#,
        team_id
    )
    .fetch_all(connection)
    .await
}
