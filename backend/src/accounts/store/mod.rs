//! The statements, one file per table. The only SQL of this crate.

mod audit;
mod database;
mod folders;
mod members;
mod registry_credentials;
mod robots;
mod sessions;
mod settings;
mod teams;
mod tokens;
mod users;

pub(super) use audit::NewAuditRow;
pub use database::Accounts;
pub(super) use folders::FolderRow;
pub(super) use members::MemberRow;
pub(super) use registry_credentials::CredentialRow;
pub(super) use robots::{NewRobotRow, RobotRow};
pub(super) use sessions::{NewSessionRow, SessionListRow, SessionOwnerRow};
pub(super) use tokens::{NewTokenRow, TokenRow};
