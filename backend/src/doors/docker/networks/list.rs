//! `GET /networks`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::Value;

use super::default;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::containers::network_settings::network_id;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::doors::docker::filters::Filters;
use crate::policy::action::List;
use crate::policy::{Containers, Networks};
use crate::service;

/// Which ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    filters: String,
}

/// `GET /networks`: the team's networks. Spec: Docker Engine API, `NetworkList`.
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, &["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let target = app.policy().team::<List, _>(&caller, Networks)?;
    let owner = target.owner();
    let running = service::containers::list(&app, &app.policy().team::<List, _>(&caller, Containers)?, false);
    let wanted = |(name, driver): &(&str, &str)| {
        let by_id = || filters.get("id").iter().any(|id| network_id(owner, name).starts_with(id.as_str()));
        filters.is_one_of("driver", driver)
            && filters.is_one_of("scope", "local")
            && filters.is_one_of("type", "builtin")
            && filters.matches("name", name)
            && (!filters.contains("id") || by_id())
            && !filters.contains("label")
            // dockerd never counts the default ones as unused.
            && !filters.flag("dangling", false).unwrap_or(false)
    };
    let lines: Vec<Value> = default::DEFAULT
        .into_iter()
        .filter(wanted)
        .map(|network| default::view(owner, network, &running, false))
        .collect();
    Ok(Answer(lines))
}
