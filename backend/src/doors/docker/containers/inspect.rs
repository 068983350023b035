//! `GET /containers/{id}/json`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::{names, sizes, view};
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::doors::docker::version::Version;
use crate::policy::action::View;
use crate::service;

/// Whether sizes are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct InspectQuery {
    #[serde(deserialize_with = "flag")]
    size: bool,
}

/// `GET /containers/{id}/json`: everything about one container. Spec: Docker Engine API, `ContainerInspect`.
pub async fn inspect(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Path(id): Path<String>,
    Params(query): Params<InspectQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().container::<View>(&caller, &id)?;
    let container = service::containers::inspect(&app, &target)?;
    let exec_ids = service::execs::of_container(&app, &target)?;
    let size = match query.size {
        true => Some(sizes::of(&app, &caller, &container, &names::of_images(&app, &caller).await?).await?),
        false => None,
    };
    Ok(Answer(view::inspect(&container, view::Extra { exec_ids, size }, version)))
}
