//! `POST /containers/{id}/restart`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;

use super::stop::StopQuery;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Restart;
use crate::service;

/// `POST /containers/{id}/restart`: stops it if it runs, then starts it.
///
/// Spec: Docker Engine API, `ContainerRestart`. Answers 204.
pub async fn restart(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<StopQuery>,
) -> Result<StatusCode, DockerError> {
    let target = app.policy().container::<Restart>(&caller, &id)?;
    service::containers::restart(&app, target, query.grace(), query.signal()).await?;
    Ok(StatusCode::NO_CONTENT)
}
