//! Users, teams, memberships, tokens, sessions, granted host folders and the audit trail.
//!
//! The rules lie here (names, last owner, expiry); the statements in [`store`]. What is written here is on disk before
//! the answer (synchronous FULL), unlike the engine's rows.

mod audit;
mod error;
mod folders;
mod id_ranges;
mod members;
mod names;
mod registry_credentials;
mod robots;
mod sessions;
mod settings;
mod store;
mod teams;
mod tokens;
mod users;

pub use audit::{AuditEntry, AuditPage, AuditWriter, Done};
pub use error::AccountsError;
pub use folders::{FolderPath, GrantedFolder};
pub use id_ranges::IdRange;
pub use members::Member;
pub use registry_credentials::RegistryCredential;
pub use robots::{IssuedRobot, NewRobot, ROBOT_MARK, RobotInfo, RobotOwner};
pub use sessions::{NewSession, SessionInfo, SessionRow};
pub use store::Accounts;
pub use teams::{DEFAULT as DEFAULT_TEAM, TeamRow};
pub use tokens::{IssuedToken, NewToken, TokenInfo, TokenOwner};
pub use users::{NewUser, UserInfo, UserSecrets};
