//! REST under /api/v1: translates between JSON and the services.
//!
//! [`gate`] finds the caller before anything else; [`problem`] renders every error; [`router`] lists the routes, from
//! which the OpenAPI document and the reference page are made.

mod containers;
mod difference;
mod document;
mod execs;
mod gate;
mod images;
mod networks;
mod operations;
mod page;
mod people;
mod problem;
mod reference;
mod registries;
mod repositories;
mod robots;
mod router;
mod system;
mod times;
mod volumes;

pub use document::{DocumentText, document, send_document};
pub use gate::{Known, gate};
pub use images::takes_archives;
pub use operations::OperationView;
pub use problem::{Problem, Problems};
pub use reference::{ReferenceText, render, send_reference};
pub use router::{KnownRoutes, configure, fits_none, json_config, path_config, query_config};
pub use system::EventView;

/// What a handler gives back.
type Answer<T> = Result<T, Problem>;
