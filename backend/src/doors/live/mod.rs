//! Websockets: logs, statistics, events, and programs with a terminal.

mod events;
mod exec;
mod logs;
mod socket;
mod stats;

use utoipa_actix_web::service_config::ServiceConfig;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(logs::logs).service(stats::stats).service(events::events).service(exec::exec);
}
