//! `POST /containers/{id}/resize`, and the query that execs share with it.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Resize;
use crate::service;

/// Size of a terminal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResizeQuery {
    h: String,
    w: String,
}

impl ResizeQuery {
    /// Rows and columns.
    ///
    /// # Errors
    /// 400 when one is missing or not a number a terminal can have.
    pub fn size(&self) -> Result<(u16, u16), DockerError> {
        let read = |text: &str, name: &str| {
            text.parse::<u16>().map_err(|_| DockerError::invalid(format!("invalid resize {name} {text:?}")))
        };
        Ok((read(&self.h, "height")?, read(&self.w, "width")?))
    }
}

/// `POST /containers/{id}/resize`: sets the size of its terminal. Spec: Docker Engine API, `ContainerResize`.
pub async fn resize(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<ResizeQuery>,
) -> Result<StatusCode, DockerError> {
    let (rows, columns) = query.size()?;
    let target = app.policy().container::<Resize>(&caller, &id)?;
    service::containers::resize(&app, target, rows, columns).await?;
    Ok(StatusCode::OK)
}
