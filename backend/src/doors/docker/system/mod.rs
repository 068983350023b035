//! What the instance says of itself, at Docker's door.

pub mod auth;
pub mod df;
pub mod events;
mod host;
pub mod info;
pub mod missing;
pub mod ping;
pub mod version;
