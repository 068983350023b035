//! A volume in Docker's shape.

use sampan_engine::volumes::{Usage, Volume};
use serde_json::{Value, json};

use crate::doors::docker::times;

/// Docker's `Volume`; with its use of the disk where `system df` asks.
pub fn volume(volume: &Volume, usage: Option<Usage>) -> Value {
    let labels = if volume.anonymous && volume.labels.is_empty() {
        // Docker's mark of a volume that nobody named.
        json!({ "com.docker.volume.anonymous": "" })
    } else if volume.labels.is_empty() {
        Value::Null
    } else {
        json!(volume.labels)
    };
    // Whole seconds, as dockerd.
    let created = volume.created_at_ns.div_euclid(1_000_000_000) * 1_000_000_000;
    let mut view = json!({
        "CreatedAt": times::rfc3339(created),
        "Driver": "local",
        "Labels": labels,
        "Mountpoint": volume.path.to_string_lossy(),
        "Name": volume.name,
        "Options": null,
        "Scope": "local",
    });
    if let Some(usage) = usage {
        view["UsageData"] = json!({ "RefCount": volume.used_by.len(), "Size": usage.bytes });
    }
    view
}
