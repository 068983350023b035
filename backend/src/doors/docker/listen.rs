//! Connections at the docker socket: who is at the other end, what version they speak, then the router.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::crowd::Crowd;
use super::error::DockerError;
use super::extract::BODY_LIMIT_BYTES;
use super::hijack::Takers;
use super::router::router;
use super::version::{self, NEWEST};
use crate::app::App;
use crate::auth::{Caller, socket};

/// How long a client may take to send the head of a request, and a connection may lie idle; as dockerd.
const HEAD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// To one whose team has its fill of connections, before it has asked anything; it ends with the connection.
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n\
    {\"message\":\"your team holds too many connections at this socket: close some, then try again\"}\n";

/// How long requests under way may go on after `stop`. Streams without an end (waits, events, logs) are cut off then.
const GRACE: std::time::Duration = std::time::Duration::from_secs(3);

/// Answers at the socket until `stop`; returns when no connection is left, so that nothing holds the app any more.
pub async fn serve(app: Arc<App>, listener: UnixListener, stop: CancellationToken) {
    let routes = router(app.clone());
    let mut connections = JoinSet::new();
    let crowd = Crowd::default();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            // Lets go of those that have ended.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: others must be let go of first.
                    tracing::warn!(%error, "a connection at the docker socket was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Without its user it is refused a little later, with a sentence.
        let uid = stream.peer_cred().map_or(u32::MAX - 1, |peer| peer.uid());
        let Some(place) = crowd.place(uid) else {
            // It fits into the socket's empty buffer; if not, the end of the connection must do.
            let _ = stream.try_write(TOO_MANY.as_bytes());
            tracing::debug!(uid, "too many connections at the docker socket");
            continue;
        };
        let connection = connection(app.clone(), routes.clone(), stream, stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// One connection: requests, until the client closes it or a handler makes a raw stream of it.
async fn connection(app: Arc<App>, routes: Router, stream: UnixStream, stop: CancellationToken) {
    let caller = recognise(&app, &stream).await;
    let (takers, mut taken) = mpsc::channel(1);
    let service = service_fn(move |request: Request<Incoming>| {
        let (routes, caller, takers) = (routes.clone(), caller.clone(), takers.clone());
        async move { Ok::<_, Infallible>(with_heads(answer(routes, caller, takers, request).await)) }.boxed()
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection at the docker socket broke off");
                }
                let _ = connection.into_parts().io.into_inner().shutdown().await;
                return;
            }
            Some((head, raw)) = taken.recv() => {
                // The handler that asked for it is dropped with hyper's part.
                let parts = connection.into_parts();
                return raw.flow(parts.io.into_inner(), head, parts.read_buf).await;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
}

/// Who is at the other end, or the sentence that they get instead.
async fn recognise(app: &App, stream: &UnixStream) -> Result<Caller, DockerError> {
    let peer = stream.peer_cred().map_err(|error| {
        DockerError::internal(format!("the kernel does not say who is at the other end of the socket: {error}"))
    })?;
    match socket::caller(app, peer.uid(), peer.gid()).await {
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => Err(DockerError::forbidden(format!(
            "host user {} may not use this socket: root may, members of the group that the setting docker_group names, \
             and containers of a team that the socket is mounted into",
            peer.uid()
        ))),
        Err(error) => {
            tracing::error!(%error, "the accounts could not be asked who is at the docker socket");
            Err(DockerError::internal("the accounts could not be asked who you are"))
        }
    }
}

/// Routes one request.
async fn answer(
    mut routes: Router,
    caller: Result<Caller, DockerError>,
    takers: Takers,
    request: Request<Incoming>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let (version, uri) = match version::normalise(request.method(), request.uri()) {
        Ok(normal) => normal,
        Err(refused) => return refused.into_response(),
    };
    let (parts, body) = request.into_parts();
    let mut request = match whole(body).await {
        Ok(body) => Request::from_parts(parts, body),
        Err(refused) => return refused.into_response(),
    };
    *request.uri_mut() = uri;
    request.extensions_mut().insert(version);
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(takers);
    match routes.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Takes a small body in before anybody answers: a client that is refused before it has sent everything would see its
/// connection break instead of the sentence.
async fn whole(body: Incoming) -> Result<Body, DockerError> {
    match body.size_hint().exact() {
        Some(size) if (1..=BODY_LIMIT_BYTES as u64).contains(&size) => {
            let collected = body.collect().await;
            let collected = collected.map_err(|_| DockerError::invalid("the request's body ended early"))?;
            Ok(Body::from(collected.to_bytes()))
        }
        _ => Ok(Body::new(body)),
    }
}

/// What every answer says of this door.
fn with_heads(mut response: Response) -> Response {
    let heads = response.headers_mut();
    heads.insert("Api-Version", HeaderValue::from_str(&NEWEST.to_string()).unwrap_or(HeaderValue::from_static("")));
    heads.insert("Docker-Experimental", HeaderValue::from_static("false"));
    heads.insert("Ostype", HeaderValue::from_static("linux"));
    heads.insert("Server", HeaderValue::from_static(concat!("Sampan/", env!("CARGO_PKG_VERSION"), " (linux)")));
    response
}
