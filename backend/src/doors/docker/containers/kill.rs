//! `POST /containers/{id}/kill`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Kill;
use crate::service;

/// Which signal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct KillQuery {
    /// Name or number; empty is KILL.
    signal: String,
}

/// `POST /containers/{id}/kill`: sends a signal to the main process.
///
/// Spec: Docker Engine API, `ContainerKill`. Answers 204, 409 when it does not run.
pub async fn kill(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<KillQuery>,
) -> Result<StatusCode, DockerError> {
    let signal = Some(query.signal.as_str()).filter(|signal| !signal.is_empty());
    let sent = async {
        let target = app.policy().container::<Kill>(&caller, &id)?;
        Ok::<_, DockerError>(service::containers::kill(&app, target, signal).await?)
    };
    sent.await.map_err(|error| error.within(&format!("cannot kill container: {id}")))?;
    Ok(StatusCode::NO_CONTENT)
}
