//! `POST /containers/{id}/attach`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use sampan_engine::containers::{AttachRequest, State as Doing};
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::detach::DetachKeys;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::doors::docker::hijack::{Hijack, RawStream, Session};
use crate::policy::action::{Attach, View};
use crate::service;

/// Which streams, and whether what was written before.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AttachQuery {
    detach_keys: String,
    #[serde(deserialize_with = "flag")]
    logs: bool,
    #[serde(deserialize_with = "flag")]
    stream: bool,
    #[serde(deserialize_with = "flag")]
    stdin: bool,
    #[serde(deserialize_with = "flag")]
    stdout: bool,
    #[serde(deserialize_with = "flag")]
    stderr: bool,
}

/// `POST /containers/{id}/attach`: joins the streams of its main process. Spec: Docker Engine API, `ContainerAttach`.
///
/// The CLI attaches before it starts the container and misses nothing.
pub async fn attach(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<AttachQuery>,
    hijack: Hijack,
) -> Result<Response, DockerError> {
    let keys = DetachKeys::parse(&query.detach_keys)?;
    let seen = app.policy().container::<View>(&caller, &id)?;
    let container = service::containers::inspect(&app, &seen)?;
    match container.state {
        Doing::Paused => {
            let why = format!("container {id} is paused, unpause the container before attach");
            return Err(DockerError::conflict(why));
        }
        Doing::Restarting => {
            let why = format!("container {id} is restarting, wait until the container is running");
            return Err(DockerError::conflict(why));
        }
        _ => {}
    }
    let wanted = AttachRequest {
        stdin: query.stdin && query.stream && container.config.open_stdin,
        stdout: query.stdout,
        stderr: query.stderr,
        logs: query.logs,
        stream: query.stream,
    };
    let target = app.policy().container::<Attach>(&caller, &id)?;
    let attached = service::containers::attach(&app, target, wanted).await?;
    // As dockerd: unless the end of the input is the container's to see, it ends the client's session.
    let ends_with_input = wanted.stdin && (container.config.tty || !container.config.stdin_once);
    Ok(hijack.answer(RawStream::Session(Session { attached, keys, ends_with_input })).await)
}
