//! Images at Docker's door.

pub mod history;
pub mod inspect;
pub mod list;
mod list_filter;
pub mod load;
pub mod prune;
pub mod remove;
pub mod tag;
mod view;

pub use view::summary;
