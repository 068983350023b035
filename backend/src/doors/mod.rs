//! Doors: they translate between a client's words and the services, and decide nothing.

pub mod docker;
pub mod pages;
