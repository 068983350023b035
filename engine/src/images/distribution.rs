//! What a name is at its registry, without pulling it.

use std::sync::Arc;

use super::document::{self, CONFIGURATIONS, Read, Unreadable};
use super::pull::{PullRequest, name};
use super::{CONFIG_BYTES, ImageConfiguration, ImageError, Images};
use crate::digest::Digest;
use crate::upstream::{Places, Rules};

/// What a name is at its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Of index or manifest.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// What it is for: operating system, architecture, variant.
    pub platforms: Vec<(String, String, String)>,
}

impl Images {
    /// Asks the registry.
    ///
    /// # Errors
    /// As [`Images::pull`].
    pub async fn distribution(&self, request: &PullRequest) -> Result<Distribution, ImageError> {
        let rules = Arc::new(Rules::load(&self.shared.pool).await?);
        let PullRequest { reference, credentials, elevated, .. } = request;
        let (transport, health) = (&self.shared.transport, &self.shared.health);
        let places = Places::new(transport, &rules, health, *elevated, credentials, reference)?;
        let manifest = places.resolve(&name(reference)).await?.manifest;
        let shown = reference.familiar();
        let read = document::read(&manifest.media_type, &manifest.bytes).map_err(|error| match error {
            Unreadable::SchemaOne => ImageError::SchemaOne { reference: shown.clone() },
            Unreadable::Wrong(reason) => ImageError::Manifest { reference: shown.clone(), reason },
        })?;
        let platforms = match read {
            Read::Index(all) => all
                .into_iter()
                .filter_map(|one| one.platform)
                .map(|platform| (platform.os, platform.architecture, platform.variant.unwrap_or_default()))
                .collect(),
            Read::Manifest { config, .. } if CONFIGURATIONS.contains(&config.media_type.as_str()) => {
                let (bytes, _) = places.small_blob(&config.digest, config.size, CONFIG_BYTES).await?;
                let read = ImageConfiguration::parse(&bytes)?;
                vec![(read.os, read.architecture, read.variant)]
            }
            Read::Manifest { .. } => Vec::new(),
        };
        let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
        Ok(Distribution { media_type, digest: manifest.digest, size, platforms })
    }
}
