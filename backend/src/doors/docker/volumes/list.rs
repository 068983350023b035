//! `GET /volumes`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use sampan_engine::volumes::Volume;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::filters::Filters;
use crate::policy::Volumes;
use crate::policy::action::List;
use crate::service;

/// Which ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    filters: String,
}

/// `GET /volumes`: the team's volumes. Spec: Docker Engine API, `VolumeList`.
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, &["dangling", "driver", "label", "name"])?;
    let dangling = if filters.contains("dangling") { Some(filters.flag("dangling", false)?) } else { None };
    let wanted = |volume: &Volume| {
        dangling.is_none_or(|dangling| volume.used_by.is_empty() == dangling)
            && filters.is_one_of("driver", "local")
            && filters.matches("name", &volume.name)
            && filters.has_labels("label", |name| volume.labels.get(name).map(String::as_str))
    };
    let target = app.policy().team::<List, _>(&caller, Volumes)?;
    let found = service::volumes::list(&app, &target).await?;
    let lines: Vec<Value> =
        found.iter().filter(|volume| wanted(volume)).map(|volume| super::view(volume, None)).collect();
    Ok(Answer(json!({ "Volumes": lines, "Warnings": null })))
}
