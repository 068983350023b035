//! The dashboard: askama renders every page whole, scripts then make it live. View structs only; the acts are the
//! services', with the same grants as at every other door.

mod account;
mod act;
mod assets;
mod container;
mod containers;
mod error;
mod frame;
mod images;
mod meter;
mod new_container;
mod operations;
mod overview;
mod reader;
mod registries;
mod registry;
mod routes;
mod setup;
mod sign_in;
mod team;
#[cfg(test)]
mod tests;
mod volumes;
mod words;

pub use routes::{ROUTES, configure};
