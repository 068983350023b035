//! What is Docker's and is not here: each route says so in a sentence.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use futures_util::StreamExt;
use http::StatusCode;
use serde_json::json;

use crate::doors::docker::error::DockerError;

/// Most of an upload that is thrown away, so that its sender hears the sentence: a build's context.
const THROWN_AWAY_BYTES: usize = 64 << 20;

/// 501 with a sentence, once the client has sent what it wants to send.
pub async fn refuse(body: Body, sentence: &'static str) -> DockerError {
    let mut pieces = body.into_data_stream();
    let mut thrown_away = 0;
    while thrown_away < THROWN_AWAY_BYTES {
        match pieces.next().await {
            Some(Ok(piece)) => thrown_away += piece.len(),
            Some(Err(_)) | None => break,
        }
    }
    DockerError::unsupported(sentence)
}

/// dockerd's answer outside of a swarm, which clients know.
pub async fn no_swarm(_body: Body) -> DockerError {
    DockerError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
         swarm and try again.",
    )
}

/// `GET /plugins`: there are none. Spec: Docker Engine API, `PluginList`.
pub async fn no_plugins() -> impl IntoResponse {
    Answer(json!([]))
}

/// `GET /plugins/{name}/json`: there are none, and `docker inspect` looks among them for what it finds nowhere else.
/// Spec: Docker Engine API, `PluginInspect`.
pub async fn no_such_plugin(Path(path): Path<String>) -> DockerError {
    match path.strip_suffix("/json") {
        Some(name) => DockerError::not_found(format!("plugin {name:?} not found")),
        None => page_not_found().await,
    }
}

/// `POST /build/prune`: there is no build cache. Spec: Docker Engine API, `BuildPrune`.
pub async fn no_build_cache() -> impl IntoResponse {
    Answer(json!({ "CachesDeleted": null, "SpaceReclaimed": 0 }))
}

/// A path that Docker's API does not have.
pub async fn page_not_found() -> DockerError {
    DockerError::not_found("page not found")
}
