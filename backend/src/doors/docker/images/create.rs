//! `POST /images/create`: a pull or an import, as its query says.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;

use super::import;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::system::missing;

const PULL: &str = "pulling images comes with a later release: `docker save` elsewhere and `docker load` here";

/// `POST /images/create`. Spec: Docker Engine API, `ImageCreate`.
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<Vec<(String, String)>>,
    body: Body,
) -> Result<Response, DockerError> {
    match query.iter().any(|(key, value)| key == "fromImage" && !value.is_empty()) {
        true => Err(missing::refuse(body, PULL).await),
        false => import::import(app, caller, &query, body).await,
    }
}
