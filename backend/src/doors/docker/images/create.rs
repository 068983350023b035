//! `POST /images/create`: a pull or an import, as its query says.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::{import, pull};
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;

/// `POST /images/create`. Spec: Docker Engine API, `ImageCreate`.
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<Vec<(String, String)>>,
    body: Body,
) -> Result<Response, DockerError> {
    match query.iter().any(|(key, value)| key == "fromImage" && !value.is_empty()) {
        true => pull::pull(app, &caller, &headers, &query).await,
        false => import::import(app, caller, &query, body).await,
    }
}
