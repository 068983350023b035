//! `POST /volumes/prune`.

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
use crate::doors::docker::version::Version;
use crate::policy::Volumes;
use crate::policy::action::Prune;
use crate::service;

/// Which of those that no container has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PruneQuery {
    filters: String,
}

/// `POST /volumes/prune`: removes what no container has; since 1.42 only anonymous ones unless `all` is said. Spec:
/// Docker Engine API, `VolumePrune`.
pub async fn prune(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Params(query): Params<PruneQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, &["all", "label", "label!"])?;
    if filters.contains("label") || filters.contains("label!") {
        return Err(DockerError::unsupported("pruning volumes by label is not there yet"));
    }
    let all = filters.flag("all", !version.knows(42))?;
    let target = app.policy().team::<Prune, _>(&caller, Volumes)?;
    let (names, bytes) = service::volumes::prune(&app, target, all).await?;
    let deleted = Some(names).filter(|names| !names.is_empty());
    Ok(Answer(json!({ "VolumesDeleted": deleted, "SpaceReclaimed": bytes })))
}
