//! Who calls, before anything else of a request is looked at: without a caller the answer is 401, whatever was asked.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};

use super::Problem;
use crate::app::App;
use crate::auth::{Caller, Door, lasting, session, token};
use crate::doors::live;
use crate::doors::origin::{self, Origin};

/// What needs no caller.
const OPEN: [&str; 2] = ["/api/v1/openapi.json", "/api/v1/reference"];
/// Websockets bring a ticket or a token; they look themselves.
const LIVE: &str = "/live/";

/// The caller, found by [`gate`].
#[derive(Debug, Clone)]
pub struct Known(pub Caller);

impl FromRequest for Known {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(Problem::unauthorized))
    }
}

/// Finds the caller of everything under /api/v1 and /live, or refuses; refuses pages' forms from elsewhere.
pub async fn gate<B: MessageBody>(mut request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let path = request.path();
    let ours = path == "/api/v1" || path.starts_with("/api/v1/") || path.starts_with(LIVE);
    if ours && !OPEN.contains(&path) {
        let app = request.app_data::<web::Data<App>>().ok_or_else(Problem::unauthorized)?.clone();
        let websocket = path.starts_with(LIVE) && request.method() == actix_web::http::Method::GET;
        let caller = match bearer(&request) {
            Some(token) => token::caller(&app, &token, Door::Rest).await.map_err(Problem::from)?,
            None if websocket => ticket(&app, &request).await?,
            None => cookie(&app, &request).await?,
        };
        let caller = caller.ok_or_else(Problem::unauthorized)?;
        if websocket && origin::of(&app, request.headers()) == Origin::Foreign {
            return Err(Problem::cross_site().into());
        }
        if websocket {
            let frames = live::bounded(request.take_payload());
            request.set_payload(frames);
        }
        request.extensions_mut().insert(Known(caller));
    } else if !request.method().is_safe() {
        let app = request.app_data::<web::Data<App>>().ok_or_else(Problem::unauthorized)?;
        form(app, &request)?;
    }
    next.call(request).await
}

fn bearer(request: &ServiceRequest) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// A browser's websocket: the ticket of somebody who still is who they were, and an origin that is said and ours.
async fn ticket(app: &App, request: &ServiceRequest) -> Result<Option<Caller>, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let pairs = pairs.map_err(|error| Problem::invalid(error.to_string()))?;
    let Some((_, ticket)) = pairs.iter().find(|(name, _)| name == "ticket") else { return Ok(None) };
    if origin::of(app, request.headers()) != Origin::Own {
        return Err(Problem::cross_site());
    }
    match app.tickets.take(ticket) {
        Some(caller) if lasting::holds(app, &caller).await? => Ok(Some(caller)),
        _ => Ok(None),
    }
}

/// A form of a page comes from a page of ours: its origin says so, or no browser sends it and it brings no session.
fn form(app: &App, request: &ServiceRequest) -> Result<(), Problem> {
    match origin::of(app, request.headers()) {
        Origin::Own => Ok(()),
        Origin::Unsaid if request.cookie(session::COOKIE).is_none() => Ok(()),
        Origin::Unsaid | Origin::Foreign => Err(Problem::cross_site()),
    }
}

/// A session; what changes something needs our origin and the session's CSRF token as well.
async fn cookie(app: &App, request: &ServiceRequest) -> Result<Option<Caller>, Problem> {
    let Some(cookie) = request.cookie(session::COOKIE) else { return Ok(None) };
    let Some(session) = session::find(app, cookie.value(), Door::Rest).await? else { return Ok(None) };
    if !request.method().is_safe() {
        let shown = request.headers().get(session::CSRF_HEADER).and_then(|value| value.to_str().ok());
        let right = shown.is_some_and(|shown| session.csrf_is(shown));
        if !right || origin::of(app, request.headers()) != Origin::Own {
            return Err(Problem::cross_site());
        }
    }
    Ok(Some(session.caller))
}
