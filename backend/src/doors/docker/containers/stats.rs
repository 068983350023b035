//! `GET /containers/{id}/stats`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header;
use serde::Deserialize;
use serde_json::Value;

use super::stats_view;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, maybe_flag};
use crate::policy::action::{Stats, View};
use crate::service;

/// One or many.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatsQuery {
    #[serde(deserialize_with = "maybe_flag")]
    stream: Option<bool>,
    #[serde(deserialize_with = "maybe_flag")]
    one_shot: Option<bool>,
}

/// `GET /containers/{id}/stats`: what it uses. Spec: Docker Engine API, `ContainerStats`.
///
/// A client's percentage needs two readings: unless `one-shot` is said, a single answer waits for the second.
pub async fn stats(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<StatsQuery>,
) -> Result<Response, DockerError> {
    let seen = app.policy().container::<View>(&caller, &id)?;
    let container = service::containers::inspect(&app, &seen)?;
    let (id, name) = (container.id.clone(), container.name.clone());
    let body = if !container.state.is_alive() {
        Body::from(line(&stats_view::idle(&id, &name)))
    } else {
        let target = app.policy().container::<Stats>(&caller, &id)?;
        if query.stream == Some(false) && query.one_shot == Some(true) {
            let now = service::containers::sample(&app, &target).await?;
            Body::from(line(&stats_view::line(&id, &name, &now, None)))
        } else {
            let samples = service::containers::samples(&app, &target)?;
            let lines = stream::unfold((samples, None), move |(mut samples, before)| {
                let (id, name) = (id.clone(), name.clone());
                async move {
                    let now = samples.next().await?;
                    let text = line(&stats_view::line(&id, &name, &now, before.as_deref()));
                    Some((text, (samples, Some(now))))
                }
            });
            if query.stream == Some(false) {
                // The last of the first two, should the container end meanwhile.
                let two: Vec<String> = lines.take(2).collect().await;
                Body::from(two.into_iter().next_back().unwrap_or_default())
            } else {
                Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>))
            }
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}
