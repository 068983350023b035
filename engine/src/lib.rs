//! What a container platform does: images, layers, networks, volumes, containers.
//!
//! Asynchronous, no HTTP, no users: a team is an opaque [`owner::Owner`]. From bottom to top: value types, `store`,
//! `content`, `layers`, `upstream`, `images`; `networks` and `volumes` beside them; `containers` on top. A module imports only
//! from below and tells upwards only through `events`. [`Engine`] is the handle that the doors' services hold.
#![forbid(unsafe_code)]

mod clock;
pub mod containers;
pub mod content;
pub mod digest;
pub mod doctor;
mod engine;
pub mod erofs;
pub mod events;
mod fault;
pub mod folders;
pub mod gc;
pub mod host;
pub mod images;
pub mod kind;
pub mod layers;
pub mod logs;
pub mod networks;
pub mod owner;
pub mod processes;
pub mod reference;
pub mod registry;
mod sentence;
pub mod stats;
pub mod store;
pub mod upstream;
pub mod volumes;

pub use engine::{Engine, Settings};
pub use kind::Kind;
pub use sentence::{disk_is_full, sentence};
