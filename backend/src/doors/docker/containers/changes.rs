//! `GET /containers/{id}/changes`.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header;
use sampan_engine::containers::{Change, ChangeKind};
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::Changes;
use crate::service;

/// `GET /containers/{id}/changes`: what differs from its image. Spec: Docker Engine API, `ContainerChanges`.
///
/// The list is written while it is found, however long it is; `null` when it is empty, as dockerd.
pub async fn changes(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, DockerError> {
    let target = app.policy().container::<Changes>(&caller, &id)?;
    let mut changes = service::containers::changes(&app, &target).await?;
    let text = match changes.next().await {
        None => Body::from("null\n"),
        Some(first) => {
            let items = stream::once(std::future::ready(first)).chain(changes).enumerate().map(|(place, change)| {
                change.map(|change| format!("{}{}", if place == 0 { "[" } else { "," }, line(&change)))
            });
            let end = stream::once(std::future::ready(Ok::<_, io::Error>("]\n".to_owned())));
            Body::from_stream(items.chain(end))
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

fn line(change: &Change) -> String {
    let kind = match change.kind {
        ChangeKind::Modified => 0,
        ChangeKind::Added => 1,
        ChangeKind::Deleted => 2,
    };
    json!({ "Path": change.path, "Kind": kind }).to_string()
}
