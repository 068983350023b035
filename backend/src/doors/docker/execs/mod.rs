//! Further programs in running containers, at Docker's door.

pub mod create;
pub mod inspect;
pub mod resize;
pub mod start;
