//! The list of containers.

pub(super) mod list;
