//! Users, teams, members, granted host folders, tokens, the audit trail, and who one is.

mod audit;
mod folders;
mod members;
mod teams;
mod tokens;
mod users;

use utoipa_actix_web::service_config::ServiceConfig;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    users::configure(config);
    teams::configure(config);
    members::configure(config);
    folders::configure(config);
    tokens::configure(config);
    config.service(audit::list);
}
