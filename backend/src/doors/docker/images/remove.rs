//! `DELETE /images/{name}`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::view;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::policy::action::Remove;
use crate::service;

/// With `force` also one that stopped containers use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RemoveQuery {
    #[serde(deserialize_with = "flag")]
    force: bool,
}

/// `DELETE /images/{name}`: takes a reference away, and the image with its last one. Spec: Docker Engine API,
/// `ImageDelete`. There are no parents to keep or prune, so `noprune` changes nothing.
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<RemoveQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().image::<Remove>(&caller, &name)?;
    let removed = service::images::remove(&app, target, query.force).await?;
    Ok(Answer(view::removed(&removed)))
}
