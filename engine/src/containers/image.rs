//! The image beneath a container.

use sampan_runtime::sandbox::Root;

use super::ContainerError;
use super::resolve::Defaults;
use crate::engine::Shared;
use crate::owner::Owner;

/// What a container takes from its image.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// `sha256:…`.
    pub image_id: String,
    /// What it says of its containers.
    pub defaults: Defaults,
    /// Its layers, ready to be mounted.
    pub root: Root,
}

impl Shared {
    /// Looks the image up, by reference or (short) id, among those the team has.
    pub(super) async fn base(&self, owner: &Owner, reference: &str) -> Result<Base, ContainerError> {
        let _ = owner;
        Err(ContainerError::Unsupported { message: format!("images are not offered yet: {reference}") })
    }
}
