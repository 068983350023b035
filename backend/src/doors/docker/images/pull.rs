//! `POST /images/create?fromImage=…`: an image from a registry.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use sampan_engine::images::{LayerStep, PullEvent};
use sampan_engine::reference::ImageReference;
use serde_json::json;

use super::told::{Lines, told};
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::registry_auth;
use crate::policy::Images;
use crate::policy::action::Pull;
use crate::service;

/// Without a tag, and no digest in the name: all tags.
pub(super) async fn pull(
    app: Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    query: &[(String, String)],
) -> Result<Response, DockerError> {
    let target = app.policy().team::<Pull, _>(caller, Images)?;
    let given = registry_auth::credentials(headers)?;
    let text =
        |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let platform = Some(text("platform").to_owned()).filter(|platform| !platform.is_empty());
    let (text, all) = match (text("tag"), text("fromImage")) {
        ("", name) => {
            let reference: ImageReference = name.parse().map_err(|error| DockerError::invalid(format!("{error}")))?;
            let tagged = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
            (name.to_owned(), reference.digest().is_none() && !tagged)
        }
        (tag, name) if tag.contains(':') => (format!("{name}@{tag}"), false),
        (tag, name) => (format!("{name}:{tag}"), false),
    };
    let reference: ImageReference = text.parse().map_err(|error| DockerError::invalid(format!("{error}")))?;
    told(|lines| async move {
        let tell = |event| line(&lines, &event);
        let order = service::images::PullOrder { reference, platform, given, all };
        service::images::pull(&app, target, order, &tell).await?;
        Ok(())
    })
    .await
}

/// An event in the words of dockerd, which the CLI makes its picture of.
fn line(lines: &Lines, event: &PullEvent) {
    match event {
        PullEvent::From { repository, name } => {
            lines.tell(json!({ "status": format!("Pulling from {repository}"), "id": name }));
        }
        PullEvent::Note(text) => lines.tell(json!({ "status": text })),
        PullEvent::Digest(digest) => lines.tell(json!({ "status": format!("Digest: {digest}") })),
        PullEvent::Done { reference, newer } => {
            let what = if *newer { "Downloaded newer image" } else { "Image is up to date" };
            lines.tell(json!({ "status": format!("Status: {what} for {reference}") }));
        }
        PullEvent::Layer { digest, step } => {
            let id = digest.short();
            let plain = |status: &str| json!({ "status": status, "progressDetail": {}, "id": id });
            match step {
                LayerStep::Found => lines.tell(plain("Pulling fs layer")),
                LayerStep::Exists => lines.tell(plain("Already exists")),
                LayerStep::Downloading { current, total } => lines.hint(json!({
                    "status": "Downloading",
                    "progressDetail": { "current": current, "total": total },
                    "id": id,
                })),
                LayerStep::Verifying => lines.tell(plain("Verifying Checksum")),
                LayerStep::Downloaded => lines.tell(plain("Download complete")),
                LayerStep::Complete => lines.tell(plain("Pull complete")),
            }
        }
    }
}
