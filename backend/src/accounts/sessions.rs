//! Sessions of browsers. Only the SHA-256 of a cookie's value is stored.

use std::time::Duration;

use super::store::{NewSessionRow, SessionOwnerRow};
use super::{Accounts, AccountsError};
use crate::auth::secret::{Secret, hash};
use crate::auth::{Role, TeamView};
use crate::clock::now_ns;

/// A session ends after so long, however much it is used.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// The last use is written at most once in this many nanoseconds.
const USED_EVERY_NS: i64 = 60_000_000_000;
/// Characters kept of what a browser says about itself.
const AGENT: usize = 200;

/// A session that was begun: the only time that the cookie's value is seen.
pub struct NewSession {
    /// Value of the cookie.
    pub cookie: Secret,
    /// What forms must carry.
    pub csrf: Secret,
}

/// A session that was found by its cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// What forms must carry.
    pub csrf: String,
    /// `users.id`.
    pub user_id: i64,
    /// The user's name.
    pub user_name: String,
    /// May do what an administrator may.
    pub is_administrator: bool,
    /// Logs in with a second factor.
    pub has_totp: bool,
    /// `en` or `zh-CN`.
    pub language: String,
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// The team in view; `None`: the user is in none.
    pub team: Option<TeamView>,
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// First 16 hexadecimal digits of the stored hash.
    pub id: String,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// Nanoseconds since 1970, to the minute.
    pub last_used_at: i64,
    /// Where it was begun.
    pub address: String,
    /// What the browser said about itself.
    pub agent: String,
}

impl Accounts {
    /// Begins a session of `user_id`, with the user's first team in view.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn begin_session(&self, user_id: i64, address: &str, agent: &str) -> Result<NewSession, AccountsError> {
        let (cookie, csrf) = (Secret::new(""), Secret::new(""));
        let user = self.user(user_id).await?;
        let team = self.team_in_view(user_id, user.is_administrator, None).await?;
        let agent: String = agent.chars().filter(|c| !c.is_control()).take(AGENT).collect();
        self.insert_session(NewSessionRow {
            hash: &hash(cookie.expose()),
            user_id,
            team_id: team.map(|team| team.owner.team_id),
            csrf: csrf.expose(),
            now: now_ns(),
            address,
            agent: &agent,
        })
        .await?;
        Ok(NewSession { cookie, csrf })
    }

    /// The session of the cookie with that SHA-256; `None`: there is none, it was idle for too long, or its user was
    /// disabled.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn session(&self, hash: &[u8; 32], idle: Duration) -> Result<Option<SessionRow>, AccountsError> {
        let Some(row) = self.lasting_session(hash, idle).await? else { return Ok(None) };
        let now = now_ns();
        if now - row.last_used_at > USED_EVERY_NS {
            self.update_session_used(hash, now).await?;
        }
        let team_id = row.team_id;
        self.seen(row, team_id).await.map(Some)
    }

    /// The same with another team in view for this once, and without counting as a use.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn session_in(
        &self,
        hash: &[u8; 32],
        idle: Duration,
        team_id: Option<i64>,
    ) -> Result<Option<SessionRow>, AccountsError> {
        let Some(row) = self.lasting_session(hash, idle).await? else { return Ok(None) };
        self.seen(row, team_id).await.map(Some)
    }

    async fn lasting_session(&self, hash: &[u8; 32], idle: Duration) -> Result<Option<SessionOwnerRow>, AccountsError> {
        let now = now_ns();
        let Some(row) = self.select_session_owner(hash).await? else { return Ok(None) };
        if now - row.last_used_at > nanoseconds(idle) || now - row.created_at > nanoseconds(LONGEST) {
            self.delete_session(hash).await?;
            return Ok(None);
        }
        Ok(Some(row))
    }

    async fn seen(&self, row: SessionOwnerRow, team_id: Option<i64>) -> Result<SessionRow, AccountsError> {
        let team = self.team_in_view(row.user_id, row.is_administrator, team_id).await?;
        Ok(SessionRow {
            csrf: row.csrf,
            user_id: row.user_id,
            user_name: row.user_name,
            is_administrator: row.is_administrator,
            has_totp: row.has_totp,
            language: row.language,
            theme: row.theme,
            team,
        })
    }

    /// Puts another team in view.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`] for a team that the user is not in, as for one that does not exist.
    pub async fn switch_team(&self, cookie: &str, user_id: i64, team: &str) -> Result<(), AccountsError> {
        let not_found = || AccountsError::NotFound { noun: "team", name: team.to_owned() };
        let user = self.user(user_id).await?;
        let team = self.team_named(team).await.map_err(|_| not_found())?;
        let member = self.memberships(user_id).await?.iter().any(|member| member.team_id == team.id);
        if !member && !user.is_administrator {
            return Err(not_found());
        }
        Ok(self.update_session_team(&hash(cookie), team.id).await?)
    }

    /// Ends one session.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn end_session(&self, cookie: &str) -> Result<(), AccountsError> {
        self.delete_session(&hash(cookie)).await?;
        Ok(())
    }

    /// The sessions of a user, last used first.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn sessions(&self, user_id: i64) -> Result<Vec<SessionInfo>, AccountsError> {
        let rows = self.select_sessions(user_id).await?;
        let info = |row: super::store::SessionListRow| SessionInfo {
            id: id_of(&row.hash),
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            address: row.address,
            agent: row.agent,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Ends the session of a user that [`SessionInfo::id`] names.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn revoke_session(&self, user_id: i64, id: &str) -> Result<(), AccountsError> {
        for row in self.select_sessions(user_id).await? {
            if id_of(&row.hash) == id {
                self.delete_session(&row.hash).await?;
                return Ok(());
            }
        }
        Err(AccountsError::NotFound { noun: "session", name: id.to_owned() })
    }

    /// Ends all sessions that were idle for too long.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn sweep_sessions(&self, idle: Duration) -> Result<(), AccountsError> {
        Ok(self.delete_idle_sessions(now_ns() - nanoseconds(idle)).await?)
    }

    /// The wanted team if the user may see it, else their first one.
    async fn team_in_view(
        &self,
        user_id: i64,
        is_administrator: bool,
        wanted: Option<i64>,
    ) -> Result<Option<TeamView>, AccountsError> {
        let memberships = self.memberships(user_id).await?;
        let chosen = memberships
            .iter()
            .find(|member| Some(member.team_id) == wanted)
            .map(|member| (member.team_id, member.role));
        let chosen = chosen.or_else(|| wanted.filter(|_| is_administrator).map(|id| (id, Role::Owner)));
        let chosen = chosen.or_else(|| memberships.first().map(|member| (member.team_id, member.role)));
        let (id, role) = match chosen {
            Some(chosen) => chosen,
            None if is_administrator => (self.default_team().await?.id, Role::Owner),
            None => return Ok(None),
        };
        let team = self.team(id).await?;
        Ok(Some(TeamView { owner: team.owner()?, name: team.name, role }))
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn id_of(hash: &[u8]) -> String {
    hex::encode(&hash[..hash.len().min(8)])
}
