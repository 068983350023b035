//! `GET /images/{name}/json`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::view;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::version::Version;
use crate::policy::action::View;
use crate::service;

/// `GET /images/{name}/json`: everything about one image. Spec: Docker Engine API, `ImageInspect`.
pub async fn inspect(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().image::<View>(&caller, &name)?;
    Ok(Answer(view::inspect(&service::images::inspect(&app, &target).await?, version)))
}
