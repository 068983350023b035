//! The server on the `--http` address: pages, REST, websockets.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::web::{self, Bytes, Data};
use actix_web::{Error, HttpMessage as _, HttpResponse, HttpServer, get};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use utoipa_actix_web::AppExt;

use super::{Patience, api, live, pages, registry};
use crate::app::App;

/// Threads that answer; the work behind is the engine's.
pub(super) const WORKERS: usize = 2;
/// Connections that one worker holds at most.
pub(super) const CONNECTIONS: usize = 4096;
/// A client has so long to send the head of its request.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// Quiet connections are kept for so long.
pub(super) const KEPT: Duration = Duration::from_secs(60);
/// A client that takes none of what waits for it for so long is gone, whatever its kernel says: nothing else would ever
/// end a connection whose reader stands still.
pub(super) const TAKEN: Duration = Duration::from_secs(30);
/// What runs has so long to end when the server stops.
pub(super) const STOP_SECONDS: u64 = 5;
/// Nothing from elsewhere, nothing inline (Content Security Policy Level 3).
pub(super) const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What is the same for everybody.
pub(crate) struct Rendered {
    document: Bytes,
    reference: Bytes,
    routes: Arc<api::KnownRoutes>,
}

impl Rendered {
    /// Renders it.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let document = api::document();
        let reference = api::render(&document).map_err(|error| anyhow::anyhow!("the reference page fails: {error}"))?;
        let routes = Arc::new(api::KnownRoutes::new(&document));
        Ok(Self {
            document: serde_json::to_vec(&document)?.into_boxed_slice().into(),
            reference: reference.into(),
            routes,
        })
    }
}

/// What every worker shares.
#[derive(Clone)]
pub(crate) struct Shared {
    app: Data<App>,
    document: Data<api::DocumentText>,
    reference: Data<api::ReferenceText>,
    routes: Data<api::KnownRoutes>,
    patience: Data<Patience>,
}

impl Shared {
    /// Puts it together.
    pub(crate) fn new(app: Data<App>, rendered: &Rendered, patience: Patience) -> Self {
        Self {
            app,
            document: Data::new(api::DocumentText(rendered.document.clone())),
            reference: Data::new(api::ReferenceText(rendered.reference.clone())),
            routes: Data::from(rendered.routes.clone()),
            patience: Data::new(patience),
        }
    }
}

/// All that is on the `--http` address.
pub(crate) fn site(
    shared: Shared,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    actix_web::App::new()
        .app_data(shared.app)
        .app_data(shared.document)
        .app_data(shared.reference)
        .app_data(shared.routes)
        .app_data(shared.patience)
        .app_data(api::json_config())
        .app_data(api::query_config())
        .app_data(api::path_config())
        .wrap(from_fn(hasten))
        .wrap(from_fn(api::gate))
        .wrap(headers())
        .service(healthz)
        .service(api::send_document)
        .service(api::send_reference)
        .into_utoipa_app()
        .service(utoipa_actix_web::scope("/api/v1").configure(api::configure))
        .service(utoipa_actix_web::scope("/live").configure(live::configure))
        .into_app()
        .configure(registry::configure)
        .configure(pages::configure)
        .default_service(web::to(api::fits_none))
}

/// Makes the server on a listener that is bound already; it runs when it is awaited, and stops by its handle.
///
/// # Errors
/// When the reference page cannot be rendered or the listener not be used.
pub fn server(app: Data<App>, listener: TcpListener) -> anyhow::Result<Server> {
    let shared = Shared::new(app, &Rendered::new()?, Patience::default());
    let_go_of_the_stuck(&listener, TAKEN)?;
    let server = HttpServer::new(move || site(shared.clone()))
        .workers(WORKERS)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD)
        .keep_alive(KEPT)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Ends connections that are accepted here when their clients take nothing for so long (TCP_USER_TIMEOUT, tcp(7), which
/// they have from their listener).
pub(super) fn let_go_of_the_stuck(listener: &TcpListener, after: Duration) -> std::io::Result<()> {
    let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(listener, milliseconds)?)
}

/// Gives a form or JSON, which anybody may begin to send, a time by which it is whole. Archives of images and blobs have
/// their own patience, websockets theirs.
async fn hasten<B: MessageBody>(mut request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let path = request.path();
    if !request.method().is_safe() && !api::takes_archives(path) && !registry::is_upload(path) {
        let patience = request.app_data::<Data<Patience>>().map_or_else(Default::default, |patience| ***patience);
        let until = Instant::now() + patience.body;
        let pieces = stream::unfold(request.take_payload(), move |mut payload| async move {
            let late = |_| Some(Err(PayloadError::Io(std::io::ErrorKind::TimedOut.into())));
            let piece = timeout_at(until, payload.next()).await.unwrap_or_else(late)?;
            Some((piece, payload))
        });
        request.set_payload(Payload::Stream { payload: Box::pin(pieces) });
    }
    next.call(request).await
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
