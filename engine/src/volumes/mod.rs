//! Volumes: folders that outlive containers.

mod error;
mod volume;

pub use error::VolumeError;
pub use volume::{Usage, Volume, Volumes};
