//! `POST /exec/{id}/start`.

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sampan_engine::Kind;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::detach::DetachKeys;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::MaybeJson;
use crate::doors::docker::hijack::{self, Connection, Session};
use crate::doors::docker::version::Version;
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
    version: Version,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, DockerError> {
    let (request, wanted) = read(request).await?;
    let seen = app.policy().exec::<View>(&caller, &id)?;
    let config = service::execs::inspect(&app, &seen)?.config;
    let keys = DetachKeys::parse(config.detach_keys.as_deref().unwrap_or_default())?;
    let size = wanted.console_size.map(|[rows, columns]| (rows, columns)).filter(|_| wanted.tty || config.tty);
    let target = app.policy().exec::<Start>(&caller, &id)?;
    match service::execs::start(&app, target, wanted.detach, size).await {
        Ok(None) => Ok(StatusCode::OK.into_response()),
        Ok(Some(attached)) => {
            let ends_with_input = false;
            Ok(Session { attached, keys, ends_with_input }.run(Connection::of(request), version))
        }
        // As dockerd: the client has its stream by then, reads the sentence there and the code from `inspect`.
        Err(error) if !wanted.detach && matches!(error.kind(), Kind::CommandNotFound | Kind::CommandNotRunnable) => {
            let why = DockerError::from(error).message;
            Ok(hijack::sentence(Connection::of(request), format!("OCI runtime exec failed: {why}\r\n")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The JSON of the body, and the request without it: its connection is still to be taken over.
async fn read(request: Request) -> Result<(Request, StartRequest), DockerError> {
    let (mut parts, body) = request.into_parts();
    let mut json = Request::new(body);
    // Some clients send no content type here when there is nothing to say.
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        json.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    let MaybeJson(wanted) = MaybeJson::<StartRequest>::from_request(json, &()).await?;
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok((Request::from_parts(parts, axum::body::Body::empty()), wanted.unwrap_or_default()))
}
