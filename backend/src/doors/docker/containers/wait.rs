//! `POST /containers/{id}/wait`.

use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::header;
use sampan_engine::containers::WaitCondition;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::version::Version;
use crate::policy::action::Wait;
use crate::service;

/// What to wait for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WaitQuery {
    condition: String,
}

impl WaitQuery {
    fn read(&self) -> Result<WaitCondition, DockerError> {
        match self.condition.as_str() {
            "" | "not-running" => Ok(WaitCondition::NotRunning),
            "next-exit" => Ok(WaitCondition::NextExit),
            "removed" => Ok(WaitCondition::Removed),
            other => Err(DockerError::invalid(format!("invalid condition: {other:?}"))),
        }
    }
}

/// `POST /containers/{id}/wait`: answers with the exit code once the condition holds. Spec: Docker Engine API,
/// `ContainerWait`.
///
/// Since 1.30 the head of the answer goes out at once: the CLI waits for it before it starts the container, so the
/// wait is registered before the head is sent.
pub async fn wait(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Path(id): Path<String>,
    Params(query): Params<WaitQuery>,
) -> Result<Response, DockerError> {
    let head_first = version.knows(30);
    let condition = if head_first { query.read()? } else { WaitCondition::NotRunning };
    let target = app.policy().container::<Wait>(&caller, &id)?;
    let mut waiting = async move { service::containers::wait(&app, target, condition).await }.boxed();
    let body = match futures_util::poll!(&mut waiting) {
        Poll::Ready(ended) => Body::from(answer(Ok(ended?))),
        Poll::Pending if head_first => {
            let late = waiting.map(|ended| answer(ended.map_err(|error| DockerError::from(error).message)));
            Body::from_stream(stream::once(late).map(Ok::<_, std::convert::Infallible>))
        }
        Poll::Pending => Body::from(answer(Ok(waiting.await?))),
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn answer(ended: Result<i32, String>) -> Bytes {
    let answer = match ended {
        Ok(code) => json!({ "StatusCode": code }),
        Err(message) => json!({ "StatusCode": 0, "Error": { "Message": message } }),
    };
    Bytes::from(format!("{answer}\n"))
}
