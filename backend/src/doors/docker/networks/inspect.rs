//! `GET /networks/{id}`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::default;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::{DockerError, missing};
use crate::policy::action::{List, View};
use crate::policy::{Containers, NounKind};
use crate::service;

/// `GET /networks/{id}`: one network, with the containers in it. Spec: Docker Engine API, `NetworkInspect`.
pub async fn inspect(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().network::<View>(&caller, &id)?;
    let found =
        default::find(target.owner(), &id).ok_or_else(|| DockerError::not_found(missing(NounKind::Network, &id)))?;
    let running = service::containers::list(&app, &app.policy().team::<List, _>(&caller, Containers)?, false);
    Ok(Answer(default::view(target.owner(), found, &running, true)))
}
