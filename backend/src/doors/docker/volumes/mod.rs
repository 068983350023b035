//! Volumes at Docker's door.

pub mod create;
pub mod inspect;
pub mod list;
pub mod prune;
pub mod remove;
mod view;

pub use view::volume as view;
