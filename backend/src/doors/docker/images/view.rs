//! An image in Docker's two shapes: a line of `list`, and `inspect`.

use sampan_engine::images::{Image, ImageUsage, Removed};
use sampan_engine::reference::ImageReference;
use serde_json::{Value, json};

use crate::doors::docker::containers::STORAGE_DRIVER;
use crate::doors::docker::times;
use crate::doors::docker::version::Version;

/// One line of `list`. `usage`: what was counted, where a client asks for it.
pub fn summary(image: &Image, usage: Option<&ImageUsage>, version: Version) -> Value {
    let (mut tags, mut digests) = (names(image), digests(image));
    if !version.knows(43) {
        if tags.is_empty() {
            tags.push("<none>:<none>".to_owned());
        }
        if digests.is_empty() {
            digests.push("<none>@<none>".to_owned());
        }
    }
    let labels = &image.configuration.config.labels;
    let mut line = json!({
        "Id": image.id.to_string(),
        "ParentId": "",
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": created_seconds(image.configuration.created.as_deref(), image.created_at),
        "Size": image.size,
        "SharedSize": usage.map_or(json!(-1), |usage| json!(usage.shared_bytes)),
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
        "Containers": usage.map_or(json!(-1), |usage| json!(usage.containers)),
    });
    if !version.knows(44) {
        line["VirtualSize"] = json!(image.size);
    }
    line
}

/// The whole of `inspect`.
pub fn inspect(image: &Image, version: Version) -> Value {
    let configuration = &image.configuration;
    // As it came, since clients look for fields that the engine has no use for.
    let raw: Value = serde_json::from_str(&image.raw).unwrap_or_default();
    let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let created = configuration.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let layers: Vec<String> = image.diff_ids.iter().map(ToString::to_string).collect();
    let mut whole = json!({
        "Id": image.id.to_string(),
        "RepoTags": names(image),
        "RepoDigests": digests(image),
        "Parent": "",
        "Comment": text("comment"),
        "Created": created.map_or_else(|| times::NEVER.to_owned(), |time| time.to_string()),
        "DockerVersion": text("docker_version"),
        "Author": configuration.author,
        "Config": raw.get("config").cloned().unwrap_or_else(|| json!({})),
        "Architecture": configuration.architecture,
        "Os": configuration.os,
        "Size": image.size,
        "GraphDriver": { "Data": null, "Name": STORAGE_DRIVER },
        "RootFS": { "Type": "layers", "Layers": layers },
        "Metadata": { "LastTagTime": times::rfc3339(image.created_at) },
    });
    if !configuration.variant.is_empty() {
        whole["Variant"] = json!(configuration.variant);
    }
    if !version.knows(44) {
        whole["VirtualSize"] = json!(image.size);
    }
    whole
}

/// Its references, as Docker shows them.
pub fn names(image: &Image) -> Vec<String> {
    image.tags.iter().map(ImageReference::familiar).collect()
}

/// The digests under which the team got it or gave it away.
fn digests(image: &Image) -> Vec<String> {
    image.digests.iter().map(ImageReference::familiar).collect()
}

/// Seconds since 1970 of a time in a configuration, else of when the team got it.
pub fn created_seconds(created: Option<&str>, instead_ns: i64) -> i64 {
    created
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map_or(instead_ns.div_euclid(1_000_000_000), jiff::Timestamp::as_second)
}

/// Docker's list of what a removal did.
pub fn removed(removed: &[Removed]) -> Vec<Value> {
    removed
        .iter()
        .map(|removed| match removed {
            Removed::Untagged(name) => json!({ "Untagged": name }),
            Removed::Deleted(id) => json!({ "Deleted": id.to_string() }),
        })
        .collect()
}
