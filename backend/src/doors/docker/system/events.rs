//! `GET /events`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::events_view::{EventFilter, line, with_dockers_id};
use crate::doors::docker::extract::Params;
use crate::doors::docker::times;
use crate::policy::Events;
use crate::policy::action::Watch;
use crate::service;

/// Which events, and of which time.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EventsQuery {
    since: String,
    until: String,
    filters: String,
}

/// `GET /events`: what happens in the team, one JSON object a line, until the client leaves or `until` is reached. Spec:
/// Docker Engine API, `SystemEvents`.
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<EventsQuery>,
) -> Result<Response, DockerError> {
    let filter = EventFilter::parse(&query.filters)?;
    let (since, until) = (times::parse_unix(&query.since, "since")?, times::parse_unix(&query.until, "until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(DockerError::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            query.since, query.until
        )));
    }
    let target = app.policy().team::<Watch, _>(&caller, Events)?;
    let owner = target.owner().clone();
    let lines = service::events::watch(&app, &target, since, until).filter_map(move |event| {
        let event = with_dockers_id(&owner, event);
        let text = filter.wants(&event).then(|| Ok::<_, std::convert::Infallible>(format!("{}\n", line(&event))));
        std::future::ready(text)
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response())
}
