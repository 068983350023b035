//! `POST /commit`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use sampan_engine::containers::Commit as Committing;
use sampan_engine::images::{Making, ProcessConfiguration};
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{MaybeJson, Params};
use crate::policy::action::Commit;
use crate::service::{self, ServiceError};

/// `POST /commit`: makes an image of a container. Spec: Docker Engine API, `ImageCommit`. Answers 201.
///
/// The body, Docker's `ContainerConfig`, says what the image says otherwise than the container; `changes` comes once for
/// each instruction.
pub async fn commit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<Vec<(String, String)>>,
    MaybeJson(config): MaybeJson<ProcessConfiguration>,
) -> Result<impl IntoResponse, DockerError> {
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let text = |name: &str| value(name).unwrap_or_default().to_owned();
    let target = app.policy().container::<Commit>(&caller, &text("container"))?;
    let committing = Committing {
        name: Making::name(&text("repo"), &text("tag")).map_err(ServiceError::from)?,
        author: text("author"),
        comment: text("comment"),
        pause: !matches!(value("pause").map(str::to_ascii_lowercase).as_deref(), Some("0" | "no" | "false" | "none")),
        config: config.unwrap_or_default(),
        changes: query.iter().filter(|(key, _)| key == "changes").map(|(_, value)| value.clone()).collect(),
    };
    let id = service::containers::commit(&app, target, committing).await?;
    Ok((StatusCode::CREATED, Answer(json!({ "Id": id }))))
}
