//! `DELETE /containers/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::policy::action::Remove;
use crate::service;

/// What goes with it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RemoveQuery {
    /// Kills it first.
    #[serde(deserialize_with = "flag")]
    force: bool,
    /// Its anonymous volumes too.
    #[serde(deserialize_with = "flag")]
    v: bool,
    /// Only a link to it.
    #[serde(deserialize_with = "flag")]
    link: bool,
}

/// `DELETE /containers/{id}`: removes it. Spec: Docker Engine API, `ContainerDelete`. Answers 204, 409 when it runs
/// and `force` was not said.
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<RemoveQuery>,
) -> Result<StatusCode, DockerError> {
    if query.link {
        return Err(DockerError::unsupported("links between containers are not there"));
    }
    let target = app.policy().container::<Remove>(&caller, &id)?;
    service::containers::remove(&app, target, query.force, query.v).await?;
    Ok(StatusCode::NO_CONTENT)
}
