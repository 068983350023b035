//! `POST /images/{name}/tag`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Tag;
use crate::service;

/// The new reference.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TagQuery {
    repo: String,
    tag: String,
}

/// `POST /images/{name}/tag`: gives it another reference. Spec: Docker Engine API, `ImageTag`. Answers 201.
pub async fn tag(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Params(query): Params<TagQuery>,
) -> Result<StatusCode, DockerError> {
    if query.repo.is_empty() {
        return Err(DockerError::invalid("the parameter repo is missing"));
    }
    let reference = if query.tag.is_empty() { query.repo } else { format!("{}:{}", query.repo, query.tag) };
    let target = app.policy().image::<Tag>(&caller, &name)?;
    service::images::tag(&app, target, &reference).await?;
    Ok(StatusCode::CREATED)
}
