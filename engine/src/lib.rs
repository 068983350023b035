//! What a container platform does: images, layers, networks, volumes, containers.
//!
//! Asynchronous, no HTTP, no users: a team is an opaque [`owner::Owner`]. From bottom to top: value types, `store`,
//! `content`, `layers`, `images`; `networks` and `volumes` beside them; `containers` on top. A module imports only
//! from below and tells upwards only through `events`.

pub mod containers;
pub mod owner;
