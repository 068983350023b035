//! Table `audit_entries`.

use sqlx::SqlitePool;

use super::Accounts;
use crate::accounts::AuditEntry;

/// An entry to be.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct NewAuditRow {
    pub(in crate::accounts) at: i64,
    pub(in crate::accounts) team_id: Option<i64>,
    pub(in crate::accounts) user_id: Option<i64>,
    pub(in crate::accounts) actor: String,
    pub(in crate::accounts) door: &'static str,
    pub(in crate::accounts) action: &'static str,
    pub(in crate::accounts) noun: &'static str,
    pub(in crate::accounts) target: String,
    pub(in crate::accounts) details: String,
}

impl Accounts {
    /// Inserts all or none; on the disk when it returns.
    pub(in crate::accounts) async fn insert_audit(&self, rows: &[NewAuditRow]) -> sqlx::Result<()> {
        Self::insert_audit_by(&self.write, rows).await
    }

    /// The same, on the disk within a second or so: safe against any kill, not against a power loss.
    pub(in crate::accounts) async fn insert_audit_soon(&self, rows: &[NewAuditRow]) -> sqlx::Result<()> {
        Self::insert_audit_by(&self.write_soon, rows).await
    }

    async fn insert_audit_by(pool: &SqlitePool, rows: &[NewAuditRow]) -> sqlx::Result<()> {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        for row in rows {
            sqlx::query!(
                "INSERT INTO audit_entries (at, team_id, user_id, actor, door, action, noun, target, details)
                VALUES (?, (SELECT id FROM teams WHERE id = ?), (SELECT id FROM users WHERE id = ?), ?, ?, ?, ?, ?, ?)",
                row.at,
                row.team_id,
                row.user_id,
                row.actor,
                row.door,
                row.action,
                row.noun,
                row.target,
                row.details
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// Newest first, with an id below `before`; of one team, or (`None`) of the instance.
    pub(in crate::accounts) async fn select_audit(
        &self,
        team_id: Option<i64>,
        before: i64,
        most: i64,
    ) -> sqlx::Result<Vec<AuditEntry>> {
        sqlx::query_as!(
            AuditEntry,
            "SELECT id, at, actor, door, action, noun, target, details FROM audit_entries
            WHERE team_id IS ? AND id < ? ORDER BY id DESC LIMIT ?",
            team_id,
            before,
            most
        )
        .fetch_all(&self.read)
        .await
    }
}
