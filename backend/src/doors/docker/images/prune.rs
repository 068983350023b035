//! `POST /images/prune`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use sampan_engine::images::PruneFilter;
use serde::Deserialize;
use serde_json::json;

use super::view;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::filters::Filters;
use crate::doors::docker::times;
use crate::policy::Images;
use crate::policy::action::Prune;
use crate::service;

/// Which of the unused ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PruneQuery {
    filters: String,
}

/// `POST /images/prune`: removes what no container uses; images with a reference only with `dangling=false`. Spec:
/// Docker Engine API, `ImagePrune`.
pub async fn prune(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<PruneQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, &["dangling", "label", "label!", "until"])?;
    let filter = PruneFilter {
        all: !filters.flag("dangling", true)?,
        until: times::until(&filters)?,
        labels: labels(filters.get("label")),
        without_labels: labels(filters.get("label!")),
    };
    let target = app.policy().team::<Prune, _>(&caller, Images)?;
    let pruned = service::images::prune(&app, target, &filter).await?;
    let deleted = Some(view::removed(&pruned.removed)).filter(|removed| !removed.is_empty());
    Ok(Answer(json!({ "ImagesDeleted": deleted, "SpaceReclaimed": pruned.reclaimed_bytes })))
}

/// `name=value`, or `name` for any value.
fn labels(values: &[String]) -> BTreeMap<String, String> {
    let split = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    values.iter().map(split).collect()
}
