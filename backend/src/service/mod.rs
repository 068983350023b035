//! What the doors offer, once: each function takes a [`crate::policy::Granted`], calls the engine or the accounts, and
//! writes the audit trail. No type of an HTTP library appears here.

pub mod audit;
pub mod containers;
mod error;
pub mod events;
pub mod execs;
pub mod folders;
pub mod host;
mod image_events;
pub mod images;
pub mod members;
pub mod operations;
mod own_registry;
pub mod registries;
pub mod registry;
mod registry_cache;
pub mod registry_rounds;
pub mod robots;
pub mod teams;
pub mod tokens;
pub mod users;
pub mod volumes;

pub use error::ServiceError;

use crate::accounts::Done;
use crate::app::App;
use crate::policy::{Action, Granted, Noun};

type Result<T> = std::result::Result<T, ServiceError>;

/// Writes, before the answer as far as the disk has room, that the caller did what was granted, to `target`.
async fn record<A: Action, N: Noun>(
    app: &App,
    granted: &Granted<A, N>,
    target: &str,
    team_id: Option<i64>,
    details: serde_json::Value,
) -> Result<()> {
    let done = Done { caller: granted.caller(), act: granted.act(), target, team_id, details };
    match app.accounts.record(done.clone()).await {
        // It was done: that the trail has no room now must not hide it.
        Err(error) if error.kind() == sampan_engine::Kind::Exhausted => app.note_later(done),
        written => written?,
    }
    Ok(())
}
