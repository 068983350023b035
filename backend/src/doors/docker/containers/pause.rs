//! `POST /containers/{id}/pause` and `unpause`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::{Pause, Unpause};
use crate::service;

/// `POST /containers/{id}/pause`: freezes all its processes. Spec: Docker Engine API, `ContainerPause`. Answers 204.
pub async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, DockerError> {
    let target = app.policy().container::<Pause>(&caller, &id)?;
    service::containers::pause(&app, target).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /containers/{id}/unpause`: thaws them. Spec: Docker Engine API, `ContainerUnpause`. Answers 204.
pub async fn unpause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, DockerError> {
    let target = app.policy().container::<Unpause>(&caller, &id)?;
    service::containers::unpause(&app, target).await?;
    Ok(StatusCode::NO_CONTENT)
}
