//! The table `volumes`.

use sqlx::SqlitePool;

/// One row; `used_by` is a JSON list of the names of its containers.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub id: String,
    pub team_id: i64,
    pub name: String,
    pub anonymous: i64,
    pub labels: String,
    pub created_at: i64,
    pub used_by: String,
}

/// The team's, by name.
pub(crate) async fn of_team(pool: &SqlitePool, team_id: i64) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT v.id AS "id!", v.team_id, v.name, v.anonymous, v.labels, v.created_at,
                  (SELECT json_group_array(c.name) FROM container_volumes u JOIN containers c ON c.id = u.container_id
                   WHERE u.volume_id = v.id) AS "used_by!: String"
           FROM volumes v WHERE v.team_id = ? ORDER BY v.name"#,
        team_id
    )
    .fetch_all(pool)
    .await
}

/// The team's volume of that name.
pub(crate) async fn by_name(pool: &SqlitePool, team_id: i64, name: &str) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT v.id AS "id!", v.team_id, v.name, v.anonymous, v.labels, v.created_at,
                  (SELECT json_group_array(c.name) FROM container_volumes u JOIN containers c ON c.id = u.container_id
                   WHERE u.volume_id = v.id) AS "used_by!: String"
           FROM volumes v WHERE v.team_id = ? AND v.name = ?"#,
        team_id,
        name
    )
    .fetch_optional(pool)
    .await
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct New<'a> {
    pub id: &'a str,
    pub team_id: i64,
    pub name: &'a str,
    pub anonymous: bool,
    pub labels: &'a str,
    pub created_at: i64,
}

/// Inserts a volume; `false` when the team has one of that name already.
pub(crate) async fn insert(pool: &SqlitePool, new: New<'_>) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO volumes (id, team_id, name, anonymous, labels, created_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (team_id, name) DO NOTHING",
        new.id,
        new.team_id,
        new.name,
        new.anonymous,
        new.labels,
        new.created_at
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a volume that no container has; `false` when one has it or it is gone.
pub(crate) async fn delete_unused(pool: &SqlitePool, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM volumes WHERE id = ?
         AND NOT EXISTS (SELECT 1 FROM container_volumes u WHERE u.volume_id = volumes.id)",
        id
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ids of all volumes of the instance.
pub(crate) async fn all_ids(pool: &SqlitePool) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT id AS "id!" FROM volumes"#).fetch_all(pool).await
}
