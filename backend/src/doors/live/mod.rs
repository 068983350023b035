//! Websockets under /live: logs, statistics, events, pulls and pushes, and programs with a terminal.
//!
//! A browser brings a ticket (`?ticket=…`, from `POST /live/tickets`) and its own origin; other clients a bearer token.
//! The gate of [`super::api`] looks at both before the handshake.

mod console;
mod events;
mod frames;
mod lines;
mod logs;
mod operations;
mod socket;
mod stats;
#[cfg(test)]
mod tests;
mod tickets;

pub use frames::bounded;
use utoipa_actix_web::service_config::ServiceConfig;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config
        .service(tickets::issue)
        .service(logs::logs)
        .service(stats::stats)
        .service(events::events)
        .service(operations::operations)
        .service(console::console);
}
