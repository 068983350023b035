//! Doors: they translate between a client's words and the services, and decide nothing.

pub mod address;
pub mod api;
pub mod docker;
pub mod http;
pub mod https;
pub mod live;
pub mod origin;
pub mod pages;
mod patience;
pub mod registry;
#[cfg(test)]
mod table;

pub use patience::Patience;
