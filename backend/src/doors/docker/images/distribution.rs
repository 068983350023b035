//! `GET /distribution/{name}/json`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::HeaderMap;
use sampan_engine::reference::ImageReference;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::registry_auth;
use crate::policy::Images;
use crate::policy::action::Pull;
use crate::service;

/// `GET /distribution/{name}/json`: what a name is at its registry. Spec: Docker Engine API, `DistributionInspect`.
pub async fn distribution(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().team::<Pull, _>(&caller, Images)?;
    let given = registry_auth::credentials(&headers)?;
    let reference: ImageReference = name.parse().map_err(|error| DockerError::invalid(format!("{error}")))?;
    let found = service::images::distribution(&app, &target, reference, given).await?;
    let platforms: Vec<Value> = found.platforms.iter().map(platform).collect();
    Ok(Answer(json!({
        "Descriptor": { "mediaType": found.media_type, "digest": found.digest.to_string(), "size": found.size },
        "Platforms": platforms,
    })))
}

fn platform((os, architecture, variant): &(String, String, String)) -> Value {
    let mut value = json!({ "architecture": architecture, "os": os });
    if !variant.is_empty() {
        value["variant"] = json!(variant);
    }
    value
}
