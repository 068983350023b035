//! Networks at Docker's door: the default ones of a team. Others come with a later release.

mod default;
pub mod inspect;
pub mod list;
pub mod prune;
pub mod remove;
