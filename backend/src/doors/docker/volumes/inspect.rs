//! `GET /volumes/{name}`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::View;
use crate::service;

/// `GET /volumes/{name}`: one volume. Spec: Docker Engine API, `VolumeInspect`.
pub async fn inspect(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().volume::<View>(&caller, &name)?;
    Ok(Answer(super::view(&service::volumes::inspect(&app, &target).await?, None)))
}
