//! `POST /containers/{id}/rename`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Rename;
use crate::service;

/// The new name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RenameQuery {
    name: String,
}

/// `POST /containers/{id}/rename`: gives it another name. Spec: Docker Engine API, `ContainerRename`. Answers 204,
/// 409 when the name is taken.
pub async fn rename(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<RenameQuery>,
) -> Result<StatusCode, DockerError> {
    // A leading slash is how Docker's API writes names.
    let name = query.name.strip_prefix('/').unwrap_or(&query.name);
    if name.is_empty() {
        return Err(DockerError::invalid("Neither old nor new names may be empty"));
    }
    let target = app.policy().container::<Rename>(&caller, &id)?;
    service::containers::rename(&app, target, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
