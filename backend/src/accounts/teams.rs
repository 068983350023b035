//! Teams: who has containers, images and volumes.

use sampan_engine::owner::Owner;

use super::{Accounts, AccountsError, names};
use crate::clock::now_ns;

/// The team that exists from the first start on and to which the docker socket belongs.
pub const DEFAULT: &str = "default";

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRow {
    /// `teams.id`.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Names cgroup, monitor and bridge.
    pub key: String,
    /// First of 65,536 host ids.
    pub base_id: i64,
    /// Nanoseconds since 1970.
    pub created_at: i64,
}

impl TeamRow {
    /// The team as the engine knows it.
    ///
    /// # Errors
    /// [`AccountsError::Unreadable`] for a host id that no kernel has.
    pub fn owner(&self) -> Result<Owner, AccountsError> {
        let base_id = u32::try_from(self.base_id)
            .map_err(|_| AccountsError::Unreadable { what: "first host id", value: self.base_id.to_string() })?;
        Ok(Owner { team_id: self.id, key: self.key.clone(), base_id })
    }
}

impl Accounts {
    /// Makes a team with the next free range of host ids of this instance.
    ///
    /// # Errors
    /// [`AccountsError::BadName`], [`AccountsError::Taken`], [`AccountsError::NoIdRange`].
    pub async fn create_team(&self, name: &str) -> Result<TeamRow, AccountsError> {
        names::check("team", name)?;
        if self.select_team_named(name).await?.is_some() {
            return Err(AccountsError::Taken { noun: "team", name: name.to_owned() });
        }
        let base_id = self.free_base_id().await?;
        let id = self
            .insert_team(name, base_id, now_ns())
            .await
            .map_err(|source| AccountsError::taken("team", name, source))?;
        self.team(id).await
    }

    /// The team [`DEFAULT`], made when it is not there yet.
    ///
    /// # Errors
    /// [`AccountsError::NoIdRange`].
    pub async fn default_team(&self) -> Result<TeamRow, AccountsError> {
        match self.select_team_named(DEFAULT).await? {
            Some(team) => Ok(team),
            None => self.create_team(DEFAULT).await,
        }
    }

    /// All teams, by id.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn teams(&self) -> Result<Vec<TeamRow>, AccountsError> {
        Ok(self.select_teams().await?)
    }

    /// One team.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn team(&self, id: i64) -> Result<TeamRow, AccountsError> {
        self.select_team(id).await?.ok_or_else(|| not_found(&id.to_string()))
    }

    /// The team of that name, whatever its case.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn team_named(&self, name: &str) -> Result<TeamRow, AccountsError> {
        self.select_team_named(name).await?.ok_or_else(|| not_found(name))
    }

    /// The team in whose range of host ids `host_id` lies.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn team_of_host_id(&self, host_id: u32) -> Result<Option<TeamRow>, AccountsError> {
        Ok(self.select_team_of_id(i64::from(host_id)).await?)
    }

    /// Gives a team another name.
    ///
    /// # Errors
    /// [`AccountsError::DefaultTeam`], [`AccountsError::BadName`], [`AccountsError::Taken`].
    pub async fn rename_team(&self, id: i64, name: &str) -> Result<(), AccountsError> {
        names::check("team", name)?;
        if self.team(id).await?.name == DEFAULT {
            return Err(AccountsError::DefaultTeam);
        }
        self.update_team_name(id, name).await.map_err(|source| AccountsError::taken("team", name, source))?;
        Ok(())
    }

    /// Removes a team that has nothing any more, with its memberships and tokens.
    ///
    /// # Errors
    /// [`AccountsError::DefaultTeam`], [`AccountsError::TeamInUse`].
    pub async fn remove_team(&self, id: i64) -> Result<(), AccountsError> {
        let team = self.team(id).await?;
        if team.name == DEFAULT {
            return Err(AccountsError::DefaultTeam);
        }
        let [containers, volumes, images, repositories] = self.count_things(id).await?;
        if containers + volumes + images + repositories > 0 {
            let what =
                format!("{containers} containers, {volumes} volumes, {images} images and {repositories} repositories");
            return Err(AccountsError::TeamInUse { team: team.name, what });
        }
        self.delete_team(id).await?;
        self.publish_folders(&team).await
    }
}

fn not_found(name: &str) -> AccountsError {
    AccountsError::NotFound { noun: "team", name: name.to_owned() }
}
