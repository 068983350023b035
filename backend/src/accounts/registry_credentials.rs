//! Names and passwords of teams at registries.

use super::store::CredentialRow;
use super::{Accounts, AccountsError};
use crate::clock::now_ns;

/// A team's name at a registry; the password is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCredential {
    /// `docker.io`, `host:port`.
    pub registry: String,
    /// User name.
    pub username: String,
    /// When it was put there: nanoseconds since 1970.
    pub created_at: i64,
}

impl Accounts {
    /// Those of a team.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn registry_credentials(&self, team_id: i64) -> Result<Vec<RegistryCredential>, AccountsError> {
        let rows = self.select_credentials(team_id).await?.into_iter();
        let told = |CredentialRow { registry, username, created_at, .. }| RegistryCredential {
            registry,
            username,
            created_at,
        };
        Ok(rows.map(told).collect())
    }

    /// Name and sealed password of a team at a registry.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn registry_credential(
        &self,
        team_id: i64,
        registry: &str,
    ) -> Result<Option<(String, Vec<u8>)>, AccountsError> {
        Ok(self.select_credential(team_id, registry).await?.map(|row| (row.username, row.secret)))
    }

    /// Puts one, instead of the one before. `secret` is sealed.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn put_registry_credential(
        &self,
        team_id: i64,
        registry: &str,
        username: &str,
        secret: Vec<u8>,
    ) -> Result<(), AccountsError> {
        let (registry, username) = (registry.to_owned(), username.to_owned());
        let row = CredentialRow { registry, username, secret, created_at: now_ns() };
        Ok(self.upsert_credential(team_id, &row).await?)
    }

    /// Takes one away.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn remove_registry_credential(&self, team_id: i64, registry: &str) -> Result<(), AccountsError> {
        Ok(self.delete_credential(team_id, registry).await?)
    }
}
