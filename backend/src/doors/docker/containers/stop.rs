//! `POST /containers/{id}/stop`, and the query that `restart` shares with it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use http::StatusCode;
use sampan_engine::containers::Stopped;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, maybe_number};
use crate::policy::action::Stop;
use crate::service;

/// How to stop.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StopQuery {
    /// Seconds; negative waits without limit.
    #[serde(deserialize_with = "maybe_number")]
    t: Option<i64>,
    /// Instead of the container's own.
    signal: String,
}

impl StopQuery {
    /// `None`: the container's own.
    pub fn grace(&self) -> Option<Duration> {
        self.t.map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
    }

    /// `None`: the container's own.
    pub fn signal(&self) -> Option<&str> {
        Some(self.signal.as_str()).filter(|signal| !signal.is_empty())
    }
}

/// `POST /containers/{id}/stop`: asks the main process to end, then kills it.
///
/// Spec: Docker Engine API, `ContainerStop`. `t` is in whole seconds; `-1` waits without limit.
/// Answers 204 when stopped, 304 when it was not running.
pub async fn stop(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<StopQuery>,
) -> Result<StatusCode, DockerError> {
    let target = app.policy().container::<Stop>(&caller, &id)?;
    match service::containers::stop(&app, target, query.grace(), query.signal()).await? {
        Stopped::Now => Ok(StatusCode::NO_CONTENT),
        Stopped::Already => Ok(StatusCode::NOT_MODIFIED),
    }
}
