//! `POST /containers/prune`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use sampan_engine::containers::Container;
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::filters::Filters;
use crate::doors::docker::times;
use crate::policy::Containers;
use crate::policy::action::Prune;
use crate::service;

/// Which of those that do not run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PruneQuery {
    /// `until`, `label`, `label!`.
    pub filters: String,
}

/// `POST /containers/prune`: removes all that do not run. Spec: Docker Engine API, `ContainerPrune`.
pub async fn prune(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<PruneQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, &["until", "label", "label!"])?;
    let until = times::until(&filters)?;
    let wanted = move |container: &Container| {
        let label = |name: &str| container.resolved.labels.get(name).map(String::as_str);
        until.is_none_or(|until| container.created_at_ns <= until) && filters.fits_labels(label)
    };
    let target = app.policy().team::<Prune, _>(&caller, Containers)?;
    let pruned = service::containers::prune(&app, target, &wanted).await?;
    let deleted = Some(pruned.ids).filter(|ids| !ids.is_empty());
    Ok(Answer(json!({ "ContainersDeleted": deleted, "SpaceReclaimed": pruned.bytes })))
}
