//! Images: all of the team's, one of them, what is different between two; pull, push, tag, remove.

pub mod difference;
pub mod image;
pub mod list;
pub mod pull;
#[cfg(test)]
mod tests;

use crate::app::App;
use crate::policy::action::List;
use crate::policy::{Containers, Denied};
use crate::service;

use super::reader::Reader;

/// A container that uses something.
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
}

/// The team's containers, each with the id of its image.
fn users(app: &App, reader: &Reader) -> Result<Vec<(String, User)>, Denied> {
    let target = app.policy().team::<List, _>(&reader.caller, Containers)?;
    let containers = service::containers::list(app, &target, true);
    let user = |id: &str, name: &str| User { id: id.to_owned(), name: name.to_owned() };
    Ok(containers.iter().map(|one| (one.image_id.clone(), user(&one.id, &one.name))).collect())
}

/// The first twelve digits.
fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}
