//! `POST /images/{name}/push`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use sampan_engine::images::{PushEvent, PushStep};
use sampan_engine::reference::ImageReference;
use serde::Deserialize;
use serde_json::json;

use super::told::{Lines, told};
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::registry_auth;
use crate::policy::action::Push;
use crate::service;

/// Which of its tags.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PushQuery {
    tag: String,
    platform: String,
}

/// `POST /images/{name}/push`: gives an image to its registry; without a tag all tags of the repository. Spec: Docker
/// Engine API, `ImagePush`.
pub async fn push(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    Params(query): Params<PushQuery>,
) -> Result<Response, DockerError> {
    let platform = platform(&query.platform)?;
    let target = app.policy().image::<Push>(&caller, &name)?;
    let given = registry_auth::credentials(&headers)?;
    let all = query.tag.is_empty();
    let text = if all { name } else { format!("{name}:{}", query.tag) };
    let reference: ImageReference = text.parse().map_err(|error| DockerError::invalid(format!("{error}")))?;
    if reference.digest().is_some() {
        return Err(DockerError::invalid("cannot push a digest reference"));
    }
    told(|lines| async move {
        let tell = |event| line(&lines, &event);
        let order = service::images::PushOrder { reference, all, platform, given };
        service::images::push(&app, target, order, &tell).await?;
        Ok(())
    })
    .await
}

/// A platform as JSON, as clients send it since API 1.46: `{"os": …, "architecture": …, "variant": …}`. An image here is
/// for one platform: it must be that one. Source: moby `api/server/httputils`, DecodePlatform.
fn platform(text: &str) -> Result<Option<String>, DockerError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Platform {
        os: String,
        architecture: String,
        variant: String,
    }
    if text.is_empty() {
        return Ok(None);
    }
    let read: Platform = serde_json::from_str(text)
        .map_err(|error| DockerError::invalid(format!("failed to parse platform: {error}")))?;
    let Platform { os, architecture, variant } = read;
    if os.is_empty() || architecture.is_empty() {
        return Err(DockerError::invalid("both OS and Architecture must be provided"));
    }
    let variant = if variant.is_empty() { variant } else { format!("/{variant}") };
    Ok(Some(format!("{os}/{architecture}{variant}")))
}

/// An event in the words of dockerd.
fn line(lines: &Lines, event: &PushEvent) {
    match event {
        PushEvent::To { repository } => {
            lines.tell(json!({ "status": format!("The push refers to repository [{repository}]") }));
        }
        PushEvent::Pushed(pushed) => {
            let (tag, digest, size) = (&pushed.tag, &pushed.digest, pushed.size);
            lines.tell(json!({ "status": format!("{tag}: digest: {digest} size: {size}") }));
            lines.tell(json!({ "progressDetail": {}, "aux": { "Tag": tag, "Digest": digest, "Size": size } }));
        }
        PushEvent::Layer { diff_id, step } => {
            let id = diff_id.short();
            let plain = |status: &str| json!({ "status": status, "progressDetail": {}, "id": id });
            match step {
                PushStep::Preparing => lines.tell(plain("Preparing")),
                PushStep::Exists => lines.tell(plain("Layer already exists")),
                PushStep::Mounted { from } => lines.tell(plain(&format!("Mounted from {from}"))),
                PushStep::Pushing { current, total } => lines.hint(json!({
                    "status": "Pushing",
                    "progressDetail": { "current": current, "total": total },
                    "id": id,
                })),
                PushStep::Pushed => lines.tell(plain("Pushed")),
            }
        }
    }
}
