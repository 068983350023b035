//! `POST /auth`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use sampan_engine::upstream::{RegistriesError, UpstreamError};
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Json;
use crate::doors::docker::registry_auth::{self, AuthConfig};
use crate::policy::Images;
use crate::policy::action::Pull;
use crate::service::{self, ServiceError};

/// `POST /auth`: whether a registry takes a name and a password. The client keeps them; they are not kept here. Spec:
/// Docker Engine API, `SystemAuth`. Answers 401 with the registry's words when it does not.
pub async fn auth(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(config): Json<AuthConfig>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().team::<Pull, _>(&caller, Images)?;
    let registry = registry_auth::registry(&config.serveraddress);
    let credentials =
        config.credentials().ok_or_else(|| DockerError::invalid("no user name and no token was given"))?;
    match service::registries::log_in(&app, &target, &registry, credentials).await {
        Ok(()) => Ok(Answer(json!({ "Status": "Login Succeeded", "IdentityToken": "" }))),
        Err(ServiceError::Registries(RegistriesError::Upstream(error @ UpstreamError::Unauthorized { .. }))) => {
            Err(DockerError::new(StatusCode::UNAUTHORIZED, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
