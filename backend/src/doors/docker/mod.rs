//! Docker's Engine API on hyper and axum, versions 1.24 to 1.51, so that the docker CLI, Compose and SDKs work unchanged.
//!
//! [`router`] is the table of contents; [`version`] strips the version off a path before it routes; [`error`] is the one
//! place from an error to a status. One folder per noun, one file per verb; what is Docker's and is not here answers
//! 501 with a sentence.

mod containers;
mod crowd;
mod detach;
mod error;
mod events_view;
mod execs;
mod extract;
mod filters;
mod frames;
mod hijack;
mod humans;
mod images;
mod listen;
mod networks;
mod registry_auth;
mod router;
mod system;
mod times;
mod version;
mod volumes;

pub use listen::serve;
pub use router::{ROUTES, Route, router};
#[cfg(test)]
pub(crate) use {hijack::Takers, version::NEWEST};
