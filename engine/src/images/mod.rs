//! Images: taken in from archives, named by tags, listed, removed. All of it per team; layers and blobs are shared
//! beneath, and who does not have the image cannot tell whether they are there.

mod archive;
mod config;
mod difference;
mod distribution;
mod docker_archive;
mod document;
mod error;
mod fetch;
mod find;
mod flights;
mod folders;
mod handle;
mod history;
mod instructions;
mod load;
mod make;
mod oci_layout;
mod pack;
mod plan;
mod provenance;
mod prune;
mod pull;
mod push;
mod refetch;
#[cfg(test)]
mod registry_tests;
mod remove;
mod save;
mod send;
mod tag;
mod take;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod usage;

pub use config::{CONFIG_BYTES, HealthCheck, HistoryEntry, ImageConfiguration, ProcessConfiguration, RootFs};
pub use difference::{
    Change, Difference, FileDifference, FileKind, Files, PackageDifference, Packages, Setting, SettingKind, Side, Total,
};
pub use distribution::{Distribution, Platform};
pub(crate) use distribution::{Platforms, of_configuration, platforms};
pub use error::ImageError;
pub use handle::{Image, Images, StorageBackend};
pub use history::HistoryLine;
pub use instructions::apply;
pub use load::{Loaded, Progress};
pub use make::Making;
pub use prune::{PruneFilter, Pruned};
pub use pull::{LayerStep, PullEvent, PullRequest, Pulled};
pub use push::{PushEvent, PushRequest, PushStep, Pushed};
pub(crate) use refetch::{Origin, Refetch};
pub use remove::Removed;
pub use save::Archive as SavedArchive;
pub use tag::Tagged;
pub(crate) use take::{Document, Kept, Next};
pub use usage::{ImageUsage, LayerUsage, Usage};

/// Most layers of one image: each is a device of its merged index. Docker's own limit is 125.
pub const LAYERS_MAX: usize = 127;
