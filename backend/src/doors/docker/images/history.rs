//! `GET /images/{name}/history`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use sampan_engine::images::HistoryLine;
use serde_json::{Value, json};

use super::view::created_seconds;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::View;
use crate::service;

/// `GET /images/{name}/history`: the steps it was made in, newest first. Spec: Docker Engine API, `ImageHistory`.
pub async fn history(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().image::<View>(&caller, &name)?;
    let steps = service::images::history(&app, &target).await?;
    Ok(Answer(steps.iter().map(line).collect::<Vec<Value>>()))
}

fn line(step: &HistoryLine) -> Value {
    json!({
        "Id": step.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
        "Created": created_seconds(step.created.as_deref(), 0),
        "CreatedBy": step.created_by,
        "Tags": if step.tags.is_empty() { Value::Null } else { json!(step.tags) },
        "Size": step.size,
        "Comment": step.comment,
    })
}
