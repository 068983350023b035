//! How far the team's pulls and pushes are.

use std::collections::HashMap;

use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::socket::{self, Frame};
use crate::app::App;
use crate::doors::api::{Known, OperationView, Problem, Problems};
use crate::operations::{Operation, State};
use crate::policy::Operations;
use crate::service::operations as service;

/// Nothing but the ticket.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationsQuery {
    /// From `POST /live/tickets`
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// Websocket: a text frame with a JSON object for each operation under way, and another one each time it got further
#[utoipa::path(tag = "live", params(OperationsQuery),
    responses((status = 101, description = "The websocket is open"), Problems))]
#[get("/operations")]
pub async fn operations(
    app: Data<App>,
    known: Known,
    _query: Query<OperationsQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let target = app.policy().team(&known.0, Operations)?;
    let steps = service::watch(app.clone().into_inner(), &target);
    let (response, socket) = socket::open(&app, &known, &request, payload)?;
    let mut told = Told::default();
    let frames = steps.flat_map(move |all| {
        let changed = all.iter().rev().filter_map(|one| told.news(one)).map(|text| Ok(Frame::Text(text)));
        stream::iter(changed.collect::<Vec<_>>())
    });
    socket.follow(frames);
    Ok(response)
}

/// What was said about each, so that it is said once.
#[derive(Debug, Default)]
struct Told(HashMap<u64, String>);

impl Told {
    /// What to say about one; `None`: it is known, or had ended before anything was said.
    fn news(&mut self, operation: &Operation) -> Option<String> {
        let known = self.0.get(&operation.id);
        if known.is_none() && operation.progress().state != State::Running {
            return None;
        }
        let now = serde_json::json!(OperationView::from(operation)).to_string();
        if known == Some(&now) {
            return None;
        }
        self.0.insert(operation.id, now.clone());
        Some(now)
    }
}
