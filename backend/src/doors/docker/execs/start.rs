//! `POST /exec/{id}/start`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use sampan_engine::Kind;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::detach::DetachKeys;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::MaybeJson;
use crate::doors::docker::hijack::{Hijack, RawStream, Session};
use crate::policy::action::{Start, View};
use crate::service;

/// Body of `exec start`. Whether there is a terminal was said when the exec was made.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StartRequest {
    detach: bool,
    tty: bool,
    /// Rows and columns.
    console_size: Option<[u16; 2]>,
}

/// `POST /exec/{id}/start`: runs it. Spec: Docker Engine API, `ExecStart`. Detached: 200 at once, else the connection
/// becomes its streams.
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    hijack: Hijack,
    MaybeJson(wanted): MaybeJson<StartRequest>,
) -> Result<Response, DockerError> {
    let wanted = wanted.unwrap_or_default();
    let seen = app.policy().exec::<View>(&caller, &id)?;
    let config = service::execs::inspect(&app, &seen)?.config;
    let keys = DetachKeys::parse(config.detach_keys.as_deref().unwrap_or_default())?;
    let size = wanted.console_size.map(|[rows, columns]| (rows, columns)).filter(|_| wanted.tty || config.tty);
    let target = app.policy().exec::<Start>(&caller, &id)?;
    match service::execs::start(&app, target, wanted.detach, size).await {
        Ok(None) => Ok(StatusCode::OK.into_response()),
        Ok(Some(attached)) => {
            let ends_with_input = false;
            Ok(hijack.answer(RawStream::Session(Session { attached, keys, ends_with_input })).await)
        }
        // As dockerd: the client has its stream by then, reads the sentence there and the code from `inspect`.
        Err(error) if !wanted.detach && matches!(error.kind(), Kind::CommandNotFound | Kind::CommandNotRunnable) => {
            let why = DockerError::from(error).message;
            let sentence = format!("OCI runtime exec failed: {why}\r\n");
            Ok(hijack.answer(RawStream::Sentence { sentence, tty: config.tty }).await)
        }
        Err(error) => Err(error.into()),
    }
}
