//! `POST /containers/{id}/exec`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;
use sampan_engine::containers::ExecConfig;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::detach::DetachKeys;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Json;
use crate::service;

/// Body of `exec`. `ConsoleSize` is taken from the one of `start`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecRequest {
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    detach_keys: String,
    tty: bool,
    env: Vec<String>,
    cmd: Vec<String>,
    privileged: bool,
    user: String,
    working_dir: String,
}

impl ExecRequest {
    fn read(self) -> Result<ExecConfig, DockerError> {
        if self.cmd.is_empty() {
            return Err(DockerError::invalid("No exec command specified"));
        }
        DetachKeys::parse(&self.detach_keys)?;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(ExecConfig {
            command: self.cmd,
            environment: self.env,
            user: given(self.user),
            working_directory: given(self.working_dir).map(Into::into),
            tty: self.tty,
            stdin: self.attach_stdin,
            stdout: self.attach_stdout,
            stderr: self.attach_stderr,
            privileged: self.privileged,
            detach_keys: given(self.detach_keys),
        })
    }
}

/// `POST /containers/{id}/exec`: prepares a program in a running container. Spec: Docker Engine API, `ContainerExec`.
/// Answers 201, 409 when the container does not run.
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<ExecRequest>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().new_exec(&caller, &id, request.read()?)?;
    let exec_id = service::execs::create(&app, target).await?;
    Ok((StatusCode::CREATED, Answer(json!({ "Id": exec_id }))))
}
