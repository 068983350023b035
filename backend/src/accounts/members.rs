//! Memberships: who is what in which team.

use super::store::MemberRow;
use super::{Accounts, AccountsError};
use crate::auth::Role;
use crate::clock::now_ns;

/// One user in one team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `users.id`.
    pub user_id: i64,
    /// The user's name.
    pub user_name: String,
    /// `teams.id`.
    pub team_id: i64,
    /// The team's name.
    pub team_name: String,
    /// What they are in it.
    pub role: Role,
    /// Nanoseconds since 1970.
    pub created_at: i64,
}

impl TryFrom<MemberRow> for Member {
    type Error = AccountsError;

    fn try_from(row: MemberRow) -> Result<Self, Self::Error> {
        let role = role_of(&row.role)?;
        let MemberRow { user_id, user_name, team_id, team_name, created_at, .. } = row;
        Ok(Self { user_id, user_name, team_id, team_name, role, created_at })
    }
}

pub(super) fn role_of(text: &str) -> Result<Role, AccountsError> {
    text.parse().map_err(|_| AccountsError::Unreadable { what: "role", value: text.to_owned() })
}

impl Accounts {
    /// Adds a member, or gives one another role.
    ///
    /// # Errors
    /// [`AccountsError::LastOwner`].
    pub async fn set_member(&self, team_id: i64, user_id: i64, role: Role) -> Result<(), AccountsError> {
        if self.upsert_member(team_id, user_id, role.as_str(), now_ns()).await? {
            return Ok(());
        }
        Err(self.last_owner(team_id, user_id).await?)
    }

    /// Removes a member with their tokens for this team.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`], [`AccountsError::LastOwner`].
    pub async fn remove_member(&self, team_id: i64, user_id: i64) -> Result<(), AccountsError> {
        if !self.members(team_id).await?.iter().any(|member| member.user_id == user_id) {
            return Err(AccountsError::NotFound { noun: "member", name: user_id.to_string() });
        }
        if !self.delete_member(team_id, user_id).await? {
            return Err(self.last_owner(team_id, user_id).await?);
        }
        Ok(self.delete_tokens_in(team_id, user_id).await?)
    }

    /// Who is in a team.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn members(&self, team_id: i64) -> Result<Vec<Member>, AccountsError> {
        self.select_members(team_id).await?.into_iter().map(Member::try_from).collect()
    }

    /// In which teams a user is.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn memberships(&self, user_id: i64) -> Result<Vec<Member>, AccountsError> {
        self.select_memberships(user_id).await?.into_iter().map(Member::try_from).collect()
    }

    async fn last_owner(&self, team_id: i64, user_id: i64) -> Result<AccountsError, AccountsError> {
        let (user, team) = (self.user(user_id).await?.name, self.team(team_id).await?.name);
        Ok(AccountsError::LastOwner { user, team })
    }
}
