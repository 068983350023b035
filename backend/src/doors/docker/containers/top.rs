//! `GET /containers/{id}/top`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Top;
use crate::service;

/// Arguments of `ps`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopQuery {
    ps_args: String,
}

/// `GET /containers/{id}/top`: its processes. Spec: Docker Engine API, `ContainerTop`; the default is `-ef`.
pub async fn top(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<TopQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let arguments = if query.ps_args.is_empty() { "-ef" } else { &query.ps_args };
    let target = app.policy().container::<Top>(&caller, &id)?;
    let top = service::containers::top(&app, target, arguments).await?;
    Ok(Answer(json!({ "Titles": top.titles, "Processes": top.processes })))
}
