//! What a name is at its registry, without pulling it.

use std::sync::Arc;

use super::document::{self, CONFIGURATIONS, Read, Unreadable};
use super::pull::{PullRequest, name};
use super::{CONFIG_BYTES, ImageConfiguration, ImageError, Images};
use crate::digest::Digest;
use crate::reference::ImageReference;
use crate::upstream::{Places, Rules};

/// Operating system, architecture, variant.
pub type Platform = (String, String, String);

/// What a name is at its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Of index or manifest.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// What it is for.
    pub platforms: Vec<Platform>,
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
        let platforms = match platforms(reference, &manifest.media_type, &manifest.bytes)? {
            Platforms::Told(all) => all,
            Platforms::Configuration(digest, size) => {
                let (bytes, _) = places.small_blob(&digest, size, CONFIG_BYTES).await?;
                vec![of_configuration(&bytes)?]
            }
        };
        let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
        Ok(Distribution { media_type, digest: manifest.digest, size, platforms })
    }
}

/// What a manifest tells of the platforms it is for.
pub(crate) enum Platforms {
    /// All of it.
    Told(Vec<Platform>),
    /// Its configuration tells: digest and size.
    Configuration(Digest, u64),
}

/// What it is for, as far as the manifest itself tells.
pub(crate) fn platforms(reference: &ImageReference, media_type: &str, bytes: &[u8]) -> Result<Platforms, ImageError> {
    let shown = reference.familiar();
    let read = document::read(media_type, bytes).map_err(|error| match error {
        Unreadable::SchemaOne => ImageError::SchemaOne { reference: shown.clone() },
        Unreadable::Wrong(reason) => ImageError::Manifest { reference: shown.clone(), reason },
    })?;
    Ok(match read {
        Read::Index(all) => {
            let platforms = all.into_iter().filter_map(|one| one.platform);
            let told = platforms.map(|one| (one.os, one.architecture, one.variant.unwrap_or_default()));
            Platforms::Told(told.collect())
        }
        Read::Manifest { config, .. } if CONFIGURATIONS.contains(&config.media_type.as_str()) => {
            Platforms::Configuration(config.digest, config.size)
        }
        Read::Manifest { .. } => Platforms::Told(Vec::new()),
    })
}

/// The platform of a configuration.
pub(crate) fn of_configuration(bytes: &[u8]) -> Result<Platform, ImageError> {
    let read = ImageConfiguration::parse(bytes)?;
    Ok((read.os, read.architecture, read.variant))
}
