//! Tickets for websockets of browsers, which cannot send a header with one.

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::doors::api::{Known, Problem, Problems};

/// A ticket.
#[derive(Serialize, ToSchema)]
pub struct TicketView {
    /// Give it as `?ticket=…` to one websocket within 30 seconds
    ticket: String,
}

/// Makes a ticket for one websocket: good once, for 30 seconds, with the caller's rights
#[utoipa::path(tag = "live", responses((status = 201, description = "The ticket", body = TicketView), Problems))]
#[post("/tickets")]
pub async fn issue(app: Data<App>, known: Known) -> Result<HttpResponse, Problem> {
    let ticket = app.tickets.issue(&known.0).ok_or_else(Problem::too_many_tickets)?;
    Ok(HttpResponse::Created().json(TicketView { ticket: ticket.expose().to_owned() }))
}
