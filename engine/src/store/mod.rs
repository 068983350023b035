//! The engine's rows. Knows only value types: JSON columns are texts here.

pub(crate) mod containers;
pub(crate) mod images;
mod open;
pub(crate) mod volumes;

pub(crate) use open::single;
pub use open::{OpenError, is_between_transactions, open};
