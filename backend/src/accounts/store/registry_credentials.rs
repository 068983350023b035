//! Table `registry_credentials`. Secrets are sealed.

use super::Accounts;

/// A row.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct CredentialRow {
    pub registry: String,
    pub username: String,
    pub secret: Vec<u8>,
    pub created_at: i64,
}

impl Accounts {
    pub(in crate::accounts) async fn select_credentials(&self, team_id: i64) -> sqlx::Result<Vec<CredentialRow>> {
        sqlx::query_as!(
            CredentialRow,
            "SELECT registry, username, secret, created_at FROM registry_credentials WHERE team_id = ? ORDER BY registry",
            team_id
        )
        .fetch_all(&self.read)
        .await
    }

    pub(in crate::accounts) async fn select_credential(
        &self,
        team_id: i64,
        registry: &str,
    ) -> sqlx::Result<Option<CredentialRow>> {
        sqlx::query_as!(
            CredentialRow,
            "SELECT registry, username, secret, created_at FROM registry_credentials WHERE team_id = ? AND registry = ?",
            team_id,
            registry
        )
        .fetch_optional(&self.read)
        .await
    }

    pub(in crate::accounts) async fn upsert_credential(&self, team_id: i64, row: &CredentialRow) -> sqlx::Result<()> {
        sqlx::query!(
            "INSERT INTO registry_credentials (team_id, registry, username, secret, created_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (team_id, registry) DO UPDATE SET username = excluded.username, secret = excluded.secret,
             created_at = excluded.created_at",
            team_id,
            row.registry,
            row.username,
            row.secret,
            row.created_at
        )
        .execute(&self.write)
        .await
        .map(drop)
    }

    pub(in crate::accounts) async fn delete_credential(&self, team_id: i64, registry: &str) -> sqlx::Result<()> {
        sqlx::query!("DELETE FROM registry_credentials WHERE team_id = ? AND registry = ?", team_id, registry)
            .execute(&self.write)
            .await
            .map(drop)
    }
}
