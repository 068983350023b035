//! `GET /exec/{id}/json`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::View;
use crate::service;

/// `GET /exec/{id}/json`: what it does. Spec: Docker Engine API, `ExecInspect`.
pub async fn inspect(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().exec::<View>(&caller, &id)?;
    let exec = service::execs::inspect(&app, &target)?;
    let config = &exec.config;
    Ok(Answer(json!({
        "ID": exec.id,
        "Running": exec.running,
        "ExitCode": exec.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.command.first().cloned().unwrap_or_default(),
            "arguments": config.command.get(1..).unwrap_or_default(),
            "privileged": config.privileged,
            "user": config.user.clone().unwrap_or_default(),
        },
        "OpenStdin": config.stdin,
        "OpenStderr": config.stderr,
        "OpenStdout": config.stdout,
        "CanRemove": false,
        "ContainerID": exec.container_id,
        "DetachKeys": config.detach_keys.clone().unwrap_or_default(),
        "Pid": exec.pid.unwrap_or(0),
    })))
}
