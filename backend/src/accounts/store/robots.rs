//! Table `robots`.

use super::Accounts;

/// A robot to be.
pub(in crate::accounts) struct NewRobotRow<'a> {
    pub(in crate::accounts) team_id: i64,
    pub(in crate::accounts) name: &'a str,
    pub(in crate::accounts) prefix: &'a str,
    pub(in crate::accounts) hash: &'a [u8],
    pub(in crate::accounts) push: bool,
    pub(in crate::accounts) repositories: &'a str,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) expires_at: Option<i64>,
}

/// A robot as lists show it.
pub(in crate::accounts) struct RobotRow {
    pub(in crate::accounts) id: i64,
    pub(in crate::accounts) name: String,
    pub(in crate::accounts) prefix: String,
    pub(in crate::accounts) push: bool,
    pub(in crate::accounts) repositories: String,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) expires_at: Option<i64>,
    pub(in crate::accounts) last_used_at: Option<i64>,
}

/// A robot as its secret is checked.
pub(in crate::accounts) struct RobotOwnerRow {
    pub(in crate::accounts) robot_id: i64,
    pub(in crate::accounts) name: String,
    pub(in crate::accounts) push: bool,
    pub(in crate::accounts) repositories: String,
    pub(in crate::accounts) last_used_at: Option<i64>,
    pub(in crate::accounts) team_id: i64,
    pub(in crate::accounts) team_name: String,
    pub(in crate::accounts) team_key: String,
    pub(in crate::accounts) base_id: i64,
}

impl Accounts {
    pub(in crate::accounts) async fn insert_robot(&self, robot: NewRobotRow<'_>) -> sqlx::Result<i64> {
        let done = sqlx::query!(
            "INSERT INTO robots (team_id, name, prefix, hash, push, repositories, created_at, expires_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            robot.team_id,
            robot.name,
            robot.prefix,
            robot.hash,
            robot.push,
            robot.repositories,
            robot.created_at,
            robot.expires_at
        )
        .execute(&self.write)
        .await?;
        Ok(done.last_insert_rowid())
    }

    pub(in crate::accounts) async fn select_robot_owner(
        &self,
        hash: &[u8],
        now: i64,
    ) -> sqlx::Result<Option<RobotOwnerRow>> {
        sqlx::query_as!(
            RobotOwnerRow,
            r#"SELECT robots.id AS robot_id, robots.name AS name, push AS "push: bool", repositories, last_used_at,
                teams.id AS team_id, teams.name AS team_name, teams.key AS team_key, teams.base_id AS base_id
            FROM robots JOIN teams ON teams.id = robots.team_id
            WHERE hash = ? AND (expires_at IS NULL OR expires_at > ?)"#,
            hash,
            now
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn update_robot_used(&self, id: i64, now: i64) -> sqlx::Result<()> {
        sqlx::query!("UPDATE robots SET last_used_at = ? WHERE id = ?", now, id).execute(&self.write).await?;
        Ok(())
    }

    pub(in crate::accounts) async fn select_robots(&self, team_id: i64) -> sqlx::Result<Vec<RobotRow>> {
        sqlx::query_as!(
            RobotRow,
            r#"SELECT id, name, prefix, push AS "push: bool", repositories, created_at, expires_at, last_used_at
            FROM robots WHERE team_id = ? ORDER BY name"#,
            team_id
        )
        .fetch_all(&self.read)
        .await
    }

    pub(in crate::accounts) async fn delete_robot(&self, team_id: i64, id: i64) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar!("DELETE FROM robots WHERE team_id = ? AND id = ? RETURNING name", team_id, id)
            .fetch_optional(&self.write)
            .await
    }
}
