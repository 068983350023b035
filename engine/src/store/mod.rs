//! The engine's rows. Knows only value types: JSON columns are texts here.

pub(crate) mod containers;
pub(crate) mod images;
mod open;
#[cfg(test)]
mod plans;
pub(crate) mod registry;
pub(crate) mod upstream;
pub(crate) mod volumes;

pub use open::{OpenError, is_between_transactions, open};
pub(crate) use open::{single, single_with};
