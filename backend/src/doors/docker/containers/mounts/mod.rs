//! Docker's four ways to ask for a mount (`Binds`, `Mounts`, `Tmpfs`, `Config.Volumes`), read into one.
//!
//! Source: moby `volume/mounts/linux_parser.go`; docker documentation, "Bind mounts", "tmpfs mounts".

mod bind;
mod place;
mod read;
mod request;
mod tmpfs;
mod volume;
mod volumes_from;

pub use read::read;
pub use request::{BindOptions, MountRequest, TmpfsOptions, VolumeOptions};
pub use volume::check_driver;
pub use volumes_from::VolumesFrom;
