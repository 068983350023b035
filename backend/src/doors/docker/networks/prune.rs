//! `POST /networks/prune`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::filters::Filters;
use crate::policy::Networks;
use crate::policy::action::List;

/// Which of the unused ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PruneQuery {
    filters: String,
}

/// `POST /networks/prune`: removes unused networks other than the default ones, of which there are none. Spec: Docker
/// Engine API, `NetworkPrune`.
pub async fn prune(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<PruneQuery>,
) -> Result<impl IntoResponse, DockerError> {
    Filters::parse(&query.filters, &["until", "label", "label!"])?;
    app.policy().team::<List, _>(&caller, Networks)?;
    Ok(Answer(json!({ "NetworksDeleted": null })))
}
