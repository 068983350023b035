//! What happened in the team.

use actix_web::get;
use actix_web::web::{Data, Json, Query};
use futures_util::StreamExt;
use sampan_engine::events::Event;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problems, times};
use crate::app::App;
use crate::clock::now_ns;
use crate::policy::Events;
use crate::service::events;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list_events);
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// RFC 3339
    at: String,
    /// container, image, volume or network
    noun: &'static str,
    /// create, start, die, …
    action: &'static str,
    /// Id, or name of a volume
    id: String,
    /// name, image, exitCode, …
    attributes: BTreeMap<String, String>,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            at: times::text(event.at_ns),
            noun: event.noun.word(),
            action: event.action.word(),
            id: event.id.clone(),
            attributes: event.attributes.clone(),
        }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// From here on: RFC 3339, or seconds since 1970; as far back as is remembered when it is not given
    since: Option<String>,
    /// Up to here, not later than now
    until: Option<String>,
}

/// What happened in the team and is still remembered, oldest first
#[utoipa::path(tag = "system", params(EventsQuery),
    responses((status = 200, description = "The events", body = Page<EventView>), Problems))]
#[get("/events")]
pub async fn list_events(app: Data<App>, known: Known, query: Query<EventsQuery>) -> Answer<Json<Page<EventView>>> {
    let since = times::parse("since", query.since.as_deref())?.unwrap_or(0);
    let now = now_ns();
    let until = times::parse("until", query.until.as_deref())?.unwrap_or(now).min(now);
    let target = app.policy().team(&known.0, Events)?;
    let events: Vec<_> = events::watch(&app, &target, Some(since), Some(until)).collect().await;
    Ok(Json(Page::whole(events.iter().map(|event| EventView::from(&**event)).collect())))
}
