//! What happens in the team, as it happens.

use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::socket::{self, Frame};
use crate::app::App;
use crate::doors::api::{EventView, Known, Problem, Problems};
use crate::policy::Events;
use crate::service::events as service;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// From here on, nanoseconds since 1970; only new ones when it is not given
    since_ns: Option<i64>,
    /// From `POST /live/tickets`
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// Websocket: what happens in the team, a text frame with a JSON object each
#[utoipa::path(tag = "live", params(EventsQuery),
    responses((status = 101, description = "The websocket is open"), Problems))]
#[get("/events")]
pub async fn events(
    app: Data<App>,
    known: Known,
    query: Query<EventsQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let target = app.policy().team(&known.0, Events)?;
    let events = service::watch(&app, &target, query.since_ns, None);
    let (response, socket) = socket::open(&app, &known, &request, payload)?;
    socket.follow(events.map(|event| Ok(Frame::Text(serde_json::json!(EventView::from(&*event)).to_string()))));
    Ok(response)
}
