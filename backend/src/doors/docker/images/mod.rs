//! Images at Docker's door.

pub mod create;
pub mod distribution;
pub mod history;
mod import;
pub mod inspect;
pub mod list;
mod list_filter;
pub mod load;
pub mod prune;
mod pull;
pub mod push;
pub mod remove;
pub mod save;
pub mod search;
pub mod tag;
mod told;
mod view;

pub use view::summary;
