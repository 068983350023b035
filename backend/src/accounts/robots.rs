//! Robots: who pulls or pushes and is no person. Only the SHA-256 of a robot's secret is stored.

use sampan_engine::owner::Owner;

use super::store::{NewRobotRow, RobotRow};
use super::{Accounts, AccountsError, names};
use crate::auth::secret::{Secret, hash};
use crate::auth::{Role, TeamView};
use crate::clock::now_ns;

/// What every robot's secret begins with, so that scanners for leaked secrets find it.
pub const ROBOT_MARK: &str = "spr_";
/// Characters of a secret that lists show, the mark included.
const PREFIX: usize = 12;
/// The last use is written at most once in this many nanoseconds.
const USED_EVERY_NS: i64 = 60_000_000_000;

/// A robot to be.
#[derive(Debug, Clone, Copy)]
pub struct NewRobot<'a> {
    /// `teams.id`.
    pub team_id: i64,
    /// Unique in the team.
    pub name: &'a str,
    /// May push as well as pull.
    pub push: bool,
    /// Only repositories whose names (behind the team's) begin so; empty: all of the team.
    pub repositories: &'a str,
    /// Nanoseconds since 1970; `None`: it does not expire.
    pub expires_at: Option<i64>,
}

/// A robot that was made: the only time that its secret is seen.
pub struct IssuedRobot {
    /// `robots.id`.
    pub id: i64,
    /// The secret.
    pub secret: Secret,
}

/// A robot as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RobotInfo {
    /// `robots.id`.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// First characters of its secret.
    pub prefix: String,
    /// May push as well as pull.
    pub push: bool,
    /// Only repositories whose names begin so.
    pub repositories: String,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// Nanoseconds since 1970.
    pub expires_at: Option<i64>,
    /// Nanoseconds since 1970, to the minute.
    pub last_used_at: Option<i64>,
}

/// Which robot a secret is that of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RobotOwner {
    /// Its name.
    pub name: String,
    /// Its team; as a developer when it may push, else as a viewer.
    pub team: TeamView,
    /// What the names of the repositories that it may see begin with.
    pub repositories: String,
}

impl From<RobotRow> for RobotInfo {
    fn from(row: RobotRow) -> Self {
        let RobotRow { id, name, prefix, push, repositories, created_at, expires_at, last_used_at } = row;
        Self { id, name, prefix, push, repositories, created_at, expires_at, last_used_at }
    }
}

impl Accounts {
    /// Makes a robot.
    ///
    /// # Errors
    /// [`AccountsError::BadName`], [`AccountsError::Taken`], [`AccountsError::Invalid`].
    pub async fn create_robot(&self, robot: NewRobot<'_>) -> Result<IssuedRobot, AccountsError> {
        names::check("robot", robot.name)?;
        let now = now_ns();
        if robot.expires_at.is_some_and(|at| at <= now) {
            return Err(AccountsError::Invalid { message: "the robot's expiry is in the past".to_owned() });
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        if robot.repositories.len() > 200 || !robot.repositories.bytes().all(plain) {
            let message =
                "the beginning of repositories' names has lower-case letters, digits and . _ - / only".to_owned();
            return Err(AccountsError::Invalid { message });
        }
        let secret = Secret::new(ROBOT_MARK);
        let row = NewRobotRow {
            team_id: robot.team_id,
            name: robot.name,
            prefix: &secret.expose()[..PREFIX],
            hash: &hash(secret.expose()),
            push: robot.push,
            repositories: robot.repositories,
            created_at: now,
            expires_at: robot.expires_at,
        };
        let id = self.insert_robot(row).await.map_err(|source| AccountsError::taken("robot", robot.name, source))?;
        Ok(IssuedRobot { id, secret })
    }

    /// Which robot has the secret with that SHA-256; `None`: none, or it expired.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn owner_of_robot(&self, hash: &[u8; 32]) -> Result<Option<RobotOwner>, AccountsError> {
        let now = now_ns();
        let Some(row) = self.select_robot_owner(hash, now).await? else { return Ok(None) };
        if row.last_used_at.is_none_or(|used| now - used > USED_EVERY_NS) {
            self.update_robot_used(row.robot_id, now).await?;
        }
        let base_id = u32::try_from(row.base_id)
            .map_err(|_| AccountsError::Unreadable { what: "first host id", value: row.base_id.to_string() })?;
        let owner = Owner { team_id: row.team_id, key: row.team_key, base_id };
        let role = if row.push { Role::Developer } else { Role::Viewer };
        let team = TeamView { owner, name: row.team_name, role };
        Ok(Some(RobotOwner { name: row.name, team, repositories: row.repositories }))
    }

    /// The robots of a team, by name.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn robots(&self, team_id: i64) -> Result<Vec<RobotInfo>, AccountsError> {
        Ok(self.select_robots(team_id).await?.into_iter().map(RobotInfo::from).collect())
    }

    /// Removes a robot of a team: its secret stops working at once. Gives its name.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn remove_robot(&self, team_id: i64, id: i64) -> Result<String, AccountsError> {
        let gone = self.delete_robot(team_id, id).await?;
        gone.ok_or_else(|| AccountsError::NotFound { noun: "robot", name: id.to_string() })
    }
}
