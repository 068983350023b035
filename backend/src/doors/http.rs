//! The server on the `--http` address: pages, REST, websockets.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpResponse, HttpServer, get};
use utoipa_actix_web::AppExt;

use super::{api, live, pages};
use crate::app::App;

/// Threads that answer; the work behind is the engine's.
const WORKERS: usize = 2;
/// Connections that one worker holds at most.
const CONNECTIONS: usize = 4096;
/// A client has so long to send the head of its request.
const HEAD: Duration = Duration::from_secs(10);
/// Quiet connections are kept for so long.
const KEPT: Duration = Duration::from_secs(60);
/// What runs has so long to end when the server stops.
const STOP_SECONDS: u64 = 5;
/// Nothing from elsewhere, nothing inline (Content Security Policy Level 3).
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Makes the server on a listener that is bound already; it runs when it is awaited, and stops by its handle.
///
/// # Errors
/// When the reference page cannot be rendered or the listener not be used.
pub fn server(app: Data<App>, listener: TcpListener) -> anyhow::Result<Server> {
    let document = api::document();
    let text = Data::new(api::DocumentText(Bytes::from(serde_json::to_vec(&document)?)));
    let page = api::render(&document).map_err(|error| anyhow::anyhow!("the reference page fails: {error}"))?;
    let page = Data::new(api::ReferenceText(Bytes::from(page)));
    let known = Data::new(api::KnownRoutes::new(&document));
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .app_data(text.clone())
            .app_data(page.clone())
            .app_data(known.clone())
            .app_data(api::json_config())
            .app_data(api::query_config())
            .app_data(api::path_config())
            .wrap(from_fn(api::gate))
            .wrap(headers())
            .service(healthz)
            .service(api::send_document)
            .service(api::send_reference)
            .into_utoipa_app()
            .service(utoipa_actix_web::scope("/api/v1").configure(api::configure))
            .service(utoipa_actix_web::scope("/live").configure(live::configure))
            .into_app()
            .configure(pages::configure)
            .default_service(web::to(api::fits_none))
    });
    let server = server
        .workers(WORKERS)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD)
        .keep_alive(KEPT)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// What every answer says, unless it says otherwise.
fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "same-origin"))
        .add((header::CACHE_CONTROL, "no-store"))
        .add(("cross-origin-opener-policy", "same-origin"))
        .add(("cross-origin-resource-policy", "same-origin"))
}

/// 200 when requests can be served: the listener is handed over only then, and the database answers.
#[get("/healthz")]
async fn healthz(app: Data<App>) -> HttpResponse {
    match app.accounts.has_administrator().await {
        Ok(_) => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        Err(_) => HttpResponse::ServiceUnavailable().content_type("text/plain").body("the database fails\n"),
    }
}
