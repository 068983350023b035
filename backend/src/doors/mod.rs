//! Doors: they translate between a client's words and the services, and decide nothing.

pub mod address;
pub mod api;
pub mod docker;
pub mod http;
pub mod live;
pub mod origin;
pub mod pages;
#[cfg(test)]
mod table;
