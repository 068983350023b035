//! `DELETE /volumes/{name}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use sampan_engine::Kind;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::policy::action::Remove;
use crate::service;

/// With `force` one that is not there is no error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RemoveQuery {
    #[serde(deserialize_with = "flag")]
    force: bool,
}

/// `DELETE /volumes/{name}`: removes it with its content. Spec: Docker Engine API, `VolumeDelete`. Answers 204, 409
/// while a container has it.
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<RemoveQuery>,
) -> Result<StatusCode, DockerError> {
    let target = app.policy().volume::<Remove>(&caller, &name)?;
    match service::volumes::remove(&app, target).await {
        Err(error) if query.force && error.kind() == Kind::NotFound => {}
        other => other?,
    }
    Ok(StatusCode::NO_CONTENT)
}
