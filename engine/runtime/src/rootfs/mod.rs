//! The parts of a container's root: its layers, its devices, and everything mounted in it, all by descriptor.

pub mod attach;
pub mod copy_up;
pub mod devices;
pub mod folder;
pub mod layers;
pub mod masked_paths;
pub mod mount_points;
pub mod overlay;
pub mod remove;
pub mod resolve;
