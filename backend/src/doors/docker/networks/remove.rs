//! `DELETE /networks/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;

use super::default;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::{DockerError, missing};
use crate::policy::NounKind;
use crate::policy::action::View;

/// `DELETE /networks/{id}`: a default network is never removed, and others are not there yet. Spec: Docker Engine API,
/// `NetworkDelete`.
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, DockerError> {
    let target = app.policy().network::<View>(&caller, &id)?;
    Err(match default::find(target.owner(), &id) {
        Some((name, _)) => DockerError::forbidden(format!("{name} is a pre-defined network and cannot be removed")),
        None => DockerError::not_found(missing(NounKind::Network, &id)),
    })
}
