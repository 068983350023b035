//! `GET /containers/{id}/export`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::Export;
use crate::service;

/// `GET /containers/{id}/export`: all of its root as a tar, without volumes. Spec: Docker Engine API, `ContainerExport`.
pub async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, DockerError> {
    let target = app.policy().container::<Export>(&caller, &id)?;
    let files = service::containers::export(&app, target).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], Body::from_stream(files)).into_response())
}
