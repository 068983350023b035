//! The archive of `docker save`: manifest.json names configurations and layers by their places in the archive.
//! Source: github.com/moby/docker-image-spec, v1.2.

use serde::Deserialize;

use super::ImageError;
use super::archive::{Archive, cut};
use super::plan::{Plan, check_name};
use super::tag::taggable;
use crate::digest::Digest;

/// The file that makes an archive one of these.
pub(super) const MANIFEST: &str = "manifest.json";
/// Most images of one archive.
const IMAGES_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Finds the images of an archive.
pub(super) fn plan(archive: &mut Archive) -> Result<Vec<Plan>, ImageError> {
    let entries: Vec<Entry> = serde_json::from_slice(&archive.text(MANIFEST)?.bytes)
        .map_err(|error| ImageError::Archive { reason: format!("{MANIFEST} does not read: {error}") })?;
    if entries.is_empty() || entries.len() > IMAGES_MAX {
        return Err(ImageError::Archive { reason: format!("{MANIFEST} lists {} images", entries.len()) });
    }
    entries.into_iter().map(|entry| image(archive, entry)).collect()
}

fn image(archive: &mut Archive, entry: Entry) -> Result<Plan, ImageError> {
    let tags = entry.repo_tags.unwrap_or_default();
    let tags = tags.iter().map(|tag| taggable(tag)).collect::<Result<_, _>>()?;
    let config = archive.text(&entry.config)?.clone();
    check_name(&entry.config, &config.digest)?;
    let raw = String::from_utf8(config.bytes)
        .map_err(|_| ImageError::Configuration { reason: format!("{} is not UTF-8", cut(&entry.config)) })?;
    let mut diff_ids: Vec<Digest> = Vec::new();
    for name in entry.layers.unwrap_or_default() {
        let layer = archive.layer(&name)?;
        if name.starts_with("blobs/") {
            check_name(&name, &layer.blob)?;
        }
        diff_ids.push(layer.diff_id);
    }
    Ok(Plan { tags, raw, id: config.digest, diff_ids })
}
