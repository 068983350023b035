//! `POST /exec/{id}/resize`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::containers::resize::ResizeQuery;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Resize;
use crate::service;

/// `POST /exec/{id}/resize`: sets the size of its terminal. Spec: Docker Engine API, `ExecResize`.
pub async fn resize(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<ResizeQuery>,
) -> Result<StatusCode, DockerError> {
    let (rows, columns) = query.size()?;
    let target = app.policy().exec::<Resize>(&caller, &id)?;
    service::execs::resize(&app, target, rows, columns).await?;
    Ok(StatusCode::OK)
}
