//! The registry inside: repositories of teams with their manifests, tags and blobs, on the same store as the images.
//!
//! Spec: OCI distribution-spec 1.1. Everything is found through its repository: a digest alone leads nowhere, so that
//! nobody learns from the store what another team has. Bytes are in [`crate::content`], or, where a blob's digest is
//! the diff id of a layer that an image brought, in that layer's tar: no byte lies on the disk twice. Who may do what
//! is asked above; a [`Repository`] in hand is the answer.

mod blobs;
mod cache;
#[cfg(test)]
mod cache_tests;
mod coming;
mod error;
mod exchange;
mod fill;
mod handle;
mod manifest;
mod manifests;
mod name;
mod pulls;
mod referrers;
mod repositories;
mod retention;
mod sweep;
mod tags;
#[cfg(test)]
mod tests;
mod uploads;

pub use blobs::Blob;
pub use cache::{Cached, FRESH_NS, Source, cached};
pub use coming::Coming;
pub use error::RegistryError;
pub use exchange::ObtainError;
pub use fill::Filled;
pub use handle::Registry;
pub(crate) use manifest::{Checked, check};
pub use manifest::{INDEX, Kind as ManifestKind, MANIFEST_BYTES};
pub use manifests::{ListedManifest, Manifest, NewManifest, Stored};
pub use name::{RepositoryName, Tag};
pub use referrers::Referrers;
pub use repositories::{Change, Counts, Listed, Repository, TeamUsage};
pub use retention::Retained;
pub use tags::ListedTag;
pub use uploads::{Piece, Upload};
