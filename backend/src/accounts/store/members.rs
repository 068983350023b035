//! Table `memberships`.

use super::Accounts;

/// One membership as it lies there.
pub(in crate::accounts) struct MemberRow {
    pub(in crate::accounts) user_id: i64,
    pub(in crate::accounts) user_name: String,
    pub(in crate::accounts) team_id: i64,
    pub(in crate::accounts) team_name: String,
    pub(in crate::accounts) role: String,
    pub(in crate::accounts) created_at: i64,
}

impl Accounts {
    /// Adds a member or gives another role; false: it would have been the last owner.
    pub(in crate::accounts) async fn upsert_member(
        &self,
        team_id: i64,
        user_id: i64,
        role: &str,
        now: i64,
    ) -> sqlx::Result<bool> {
        let done = sqlx::query!(
            "INSERT INTO memberships (team_id, user_id, role, created_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (team_id, user_id) DO UPDATE SET role = ?3
            WHERE ?3 = 'owner' OR role != 'owner'
                OR (SELECT count(*) FROM memberships WHERE team_id = ?1 AND role = 'owner') > 1",
            team_id,
            user_id,
            role,
            now
        )
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a member; false: the last owner, or no member.
    pub(in crate::accounts) async fn delete_member(&self, team_id: i64, user_id: i64) -> sqlx::Result<bool> {
        let done = sqlx::query!(
            "DELETE FROM memberships WHERE team_id = ?1 AND user_id = ?2 AND (role != 'owner'
                OR (SELECT count(*) FROM memberships WHERE team_id = ?1 AND role = 'owner') > 1)",
            team_id,
            user_id
        )
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    pub(in crate::accounts) async fn select_members(&self, team_id: i64) -> sqlx::Result<Vec<MemberRow>> {
        sqlx::query_as!(
            MemberRow,
            r#"SELECT user_id, users.name AS user_name, team_id, teams.name AS team_name, role,
                memberships.created_at AS created_at
            FROM memberships JOIN users ON users.id = user_id JOIN teams ON teams.id = team_id
            WHERE team_id = ? ORDER BY user_id"#,
            team_id
        )
        .fetch_all(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_memberships(&self, user_id: i64) -> sqlx::Result<Vec<MemberRow>> {
        sqlx::query_as!(
            MemberRow,
            r#"SELECT user_id, users.name AS user_name, team_id, teams.name AS team_name, role,
                memberships.created_at AS created_at
            FROM memberships JOIN users ON users.id = user_id JOIN teams ON teams.id = team_id
            WHERE user_id = ? ORDER BY team_id"#,
            user_id
        )
        .fetch_all(&self.read)
        .await
    }
}
