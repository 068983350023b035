//! Images at Docker's door.

pub mod create;
pub mod history;
mod import;
pub mod inspect;
pub mod list;
mod list_filter;
pub mod load;
pub mod prune;
pub mod remove;
pub mod save;
pub mod tag;
mod view;

pub use view::summary;
