//! `POST /images/load`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use http::header;
use sampan_engine::images::{Loaded, Progress};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::policy::Images;
use crate::policy::action::Load;
use crate::service;

/// Lines that wait for a slow client.
const LINES: usize = 64;
/// Bytes between two lines of progress.
const STEP_BYTES: u64 = 4 << 20;
/// Most of a refused archive that is thrown away, so that its sender hears why.
const THROWN_AWAY_BYTES: u64 = 16 << 30;

/// How it is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadQuery {
    /// Without progress.
    #[serde(deserialize_with = "flag")]
    quiet: bool,
}

/// `POST /images/load`: takes in an archive of `docker save` or an OCI layout. Spec: Docker Engine API, `ImageLoad`.
///
/// Answers 200 at once and tells progress, names or an error line by line, as dockerd does.
pub async fn load(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<LoadQuery>,
    archive: Body,
) -> Result<Response, DockerError> {
    let target = app.policy().team::<Load, _>(&caller, Images)?;
    let (lines, told) = mpsc::channel(LINES);
    tokio::spawn(async move {
        let pieces = archive.into_data_stream().map_err(std::io::Error::other);
        let mut reader = StreamReader::new(pieces);
        let next = AtomicU64::new(STEP_BYTES);
        let tell = |progress: Progress| {
            let Progress::Received { bytes } = progress else { return };
            if query.quiet || bytes < next.load(Ordering::Relaxed) {
                return;
            }
            next.store(bytes + STEP_BYTES, Ordering::Relaxed);
            // A client that does not keep up misses a step, not the end.
            let _ = lines.try_send(json!({
                "status": "Loading",
                "progressDetail": { "current": bytes },
                "id": "archive",
            }));
        };
        let outcome = service::images::load(&app, target, &mut reader, tell).await;
        let last = match outcome {
            Ok(loaded) => loaded.iter().flat_map(names).collect(),
            Err(error) => {
                let _ = tokio::io::copy(&mut reader.take(THROWN_AWAY_BYTES), &mut tokio::io::sink()).await;
                vec![failed(&DockerError::from(error).message)]
            }
        };
        for line in last {
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
    let body = ReceiverStream::new(told).map(|line: Value| Ok::<_, std::convert::Infallible>(format!("{line}\r\n")));
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response())
}

/// One line for each name that an image got; its id when it got none.
fn names(loaded: &Loaded) -> Vec<Value> {
    if loaded.tags.is_empty() {
        return vec![json!({ "stream": format!("Loaded image ID: {}\n", loaded.id) })];
    }
    let line = |name: String| json!({ "stream": format!("Loaded image: {name}\n") });
    loaded.tags.iter().map(|tag| line(tag.reference.familiar())).collect()
}

fn failed(message: &str) -> Value {
    json!({ "errorDetail": { "message": message }, "error": message })
}
