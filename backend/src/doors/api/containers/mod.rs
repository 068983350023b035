//! Containers.

mod act;
mod create;
mod files;
mod limits;
mod list;
mod output;
mod request;
mod view;

use utoipa_actix_web::service_config::ServiceConfig;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config
        .service(list::list)
        .service(create::create)
        .service(create::prune)
        .service(list::inspect)
        .service(act::remove)
        .service(act::start)
        .service(act::stop)
        .service(act::kill)
        .service(act::restart)
        .service(act::pause)
        .service(act::unpause)
        .service(act::wait)
        .service(act::rename)
        .service(act::update)
        .service(output::logs)
        .service(output::stats)
        .service(output::history)
        .service(output::top)
        .service(files::read)
        .service(files::write)
        .service(files::export)
        .service(files::changes)
        .service(files::commit);
}
