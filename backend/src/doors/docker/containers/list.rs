//! `GET /containers/json`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sampan_engine::containers::Container;
use serde::Deserialize;
use serde_json::{Value, json};

use super::list_filter::{KEYS, ListFilter, Lookup};
use super::{names, sizes, view};
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag, maybe_number};
use crate::doors::docker::filters::Filters;
use crate::doors::docker::times;
use crate::doors::docker::version::Version;
use crate::policy::Containers;
use crate::policy::action::{List, View};
use crate::service;

/// Which ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    #[serde(deserialize_with = "flag")]
    all: bool,
    #[serde(deserialize_with = "flag")]
    size: bool,
    #[serde(deserialize_with = "maybe_number")]
    limit: Option<i64>,
    filters: String,
}

/// `GET /containers/json`: the team's containers, newest first. Spec: Docker Engine API, `ContainerList`.
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Params(query): Params<ListQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().team::<List, _>(&caller, Containers)?;
    let image_names = names::of_images(&app, &caller).await?;
    let lookup = Team { app: &app, caller: &caller, names: &image_names };
    let filter = ListFilter::new(Filters::parse(&query.filters, KEYS)?, &lookup)?;
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let all = query.all || limit.is_some() || filter.wants_all();
    let found = service::containers::list(&app, &target, all);
    let now_ns = times::now_ns();
    let mut lines = Vec::with_capacity(found.len());
    // Most containers of a long list are of few images, and a name is parsed to be compared.
    let mut shown: HashMap<(String, String), String> = HashMap::new();
    for container in found.iter().filter(|container| filter.wants(container)).take(limit.unwrap_or(usize::MAX)) {
        let size = if query.size { Some(sizes::of(&app, &caller, container, &image_names).await?) } else { None };
        let image = shown
            .entry((container.config.image.clone(), container.image_id.clone()))
            .or_insert_with(|| image_names.shown(&container.config.image, &container.image_id));
        lines.push(view::summary(container, image, size, version, now_ns));
    }
    // Written here: the lines borrow from what was found.
    let text = serde_json::to_string(&lines).map_err(|error| DockerError::internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/json")], text))
}

/// All of the team's, with their sizes, for `system df`.
///
/// # Errors
/// As the services.
pub async fn sized(app: &App, caller: &Caller, version: Version) -> Result<Value, DockerError> {
    let target = app.policy().team::<List, _>(caller, Containers)?;
    let image_names = names::of_images(app, caller).await?;
    let now_ns = times::now_ns();
    let mut lines = Vec::new();
    for container in service::containers::list(app, &target, true) {
        let size = sizes::of(app, caller, &container, &image_names).await?;
        let image = image_names.shown(&container.config.image, &container.image_id);
        lines.push(json!(view::summary(&container, &image, Some(size), version, now_ns)));
    }
    Ok(Value::Array(lines))
}

/// Look-ups within the caller's team.
struct Team<'a> {
    app: &'a App,
    caller: &'a Caller,
    names: &'a names::ImageNames,
}

impl Lookup for Team<'_> {
    fn container(&self, reference: &str) -> Result<Arc<Container>, DockerError> {
        let target = self.app.policy().container::<View>(self.caller, reference)?;
        Ok(service::containers::inspect(self.app, &target)?)
    }

    fn image_id(&self, reference: &str) -> Option<String> {
        self.names.id_of(reference)
    }
}
