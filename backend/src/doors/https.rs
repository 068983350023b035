//! The same site on the `--https` address: rustls in front of actix's HTTP/1 service. actix's own TLS and HTTP/2 stay
//! off, since they bring an h2 with an open advisory.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::HttpRequest;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Patience;
use super::http::{CONNECTIONS, HEAD, KEPT, Rendered, STOP_SECONDS, Shared, TAKEN, WORKERS, let_go_of_the_stuck, site};
use crate::app::App;

/// A client has so long for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// That a connection came over TLS, in its data.
struct Encrypted;

/// Whether a request came over TLS to us.
pub fn is_encrypted(request: &HttpRequest) -> bool {
    request.conn_data::<Encrypted>().is_some()
}

/// Makes the server on a listener that is bound already, with the limits of the other one.
///
/// # Errors
/// When the reference page cannot be rendered or the listener not be used.
pub fn server(app: Data<App>, listener: TcpListener, tls: Arc<ServerConfig>) -> anyhow::Result<Server> {
    let shared = Shared::new(app, &Rendered::new()?, Patience::default());
    let_go_of_the_stuck(&listener, TAKEN)?;
    let address = listener.local_addr()?;
    let server = Server::build()
        .workers(WORKERS)
        .max_concurrent_connections(CONNECTIONS)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .listen("https", listener, move || {
            let acceptor = TlsAcceptor::from(tls.clone());
            let site = site(shared.clone()).into_factory().map_err(|error: actix_web::Error| error.error_response());
            let http = HttpService::build()
                .keep_alive(KEPT)
                .client_request_timeout(HEAD)
                .local_addr(address)
                .on_connect_ext(|_: &TlsStream<TcpStream>, data| {
                    data.insert(Encrypted);
                })
                .h1(map_config(site, |()| AppConfig::default()));
            // Who does not speak TLS, or not within its time, is let go without a word in the log.
            fn_service(move |stream: TcpStream| {
                let acceptor = acceptor.clone();
                async move {
                    let peer = stream.peer_addr().ok();
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => Ok((stream, peer)),
                        Ok(Err(error)) => {
                            tracing::debug!(%error, ?peer, "a TLS handshake failed");
                            Err(())
                        }
                        Err(_) => Err(()),
                    }
                }
            })
            .and_then(http.map_err(drop))
        })?;
    Ok(server.run())
}
