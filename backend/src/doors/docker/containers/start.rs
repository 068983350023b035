//! `POST /containers/{id}/start`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Start;
use crate::service;

/// Query of `start`; a checkpoint is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StartQuery {
    checkpoint: String,
}

/// `POST /containers/{id}/start`: runs the main process.
///
/// Spec: Docker Engine API, `ContainerStart`. Answers 204, 304 when it runs already, 400 when the program cannot be
/// run, with words in which the docker CLI finds its exit codes 126 and 127.
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<StartQuery>,
) -> Result<StatusCode, DockerError> {
    if !query.checkpoint.is_empty() {
        return Err(DockerError::unsupported("checkpoints are not there yet"));
    }
    let target = app.policy().container::<Start>(&caller, &id)?;
    service::containers::start(&app, target).await?;
    Ok(StatusCode::NO_CONTENT)
}
