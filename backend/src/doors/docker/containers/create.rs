//! `POST /containers/create`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::request::CreateRequest;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Json, Params};
use crate::doors::docker::version::Version;
use crate::policy::action::View;
use crate::service;

/// Name and platform.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CreateQuery {
    name: String,
    platform: String,
}

/// `POST /containers/create`: makes a container. Spec: Docker Engine API, `ContainerCreate`.
///
/// Answers 201, 400 for what cannot be read, 404 when the image is not there (so that the CLI pulls it), 409 when the
/// name is taken, 501 naming a field that is not there.
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Params(query): Params<CreateQuery>,
    Json(request): Json<CreateRequest>,
) -> Result<impl IntoResponse, DockerError> {
    check_platform(&query.platform)?;
    let name = query.name.strip_prefix('/').unwrap_or(&query.name);
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    let volumes_from = request.volumes_from()?;
    let mut config = request.read(version)?;
    for from in volumes_from {
        // Before the grant of the new one: what of the host the other shows needs the same right again.
        let other = app.policy().container::<View>(&caller, &from.container).map_err(DockerError::from);
        let other = other.map_err(DockerError::not_as_missing)?;
        from.add(&*service::containers::inspect(&app, &other)?, &mut config.mounts);
    }
    // A 404 makes the CLI pull the image: what else is not there must not be one.
    let target = app.policy().new_container(&caller, name, config).await.map_err(DockerError::from);
    let target = target.map_err(DockerError::not_as_missing)?;
    let created = service::containers::create(&app, target).await?;
    Ok((StatusCode::CREATED, Answer(json!({ "Id": created.id, "Warnings": created.warnings }))))
}

/// Only this host's.
fn check_platform(platform: &str) -> Result<(), DockerError> {
    let own = format!("linux/{}", architecture());
    // `linux/arm64/v8` is what `linux/arm64` is short for.
    if platform.is_empty() || platform == own || (own == "linux/arm64" && platform == "linux/arm64/v8") {
        return Ok(());
    }
    Err(DockerError::not_found(format!(
        "image with reference was found but does not provide the specified platform ({platform}): this host runs {own}"
    )))
}

/// Go's name for this processor, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
