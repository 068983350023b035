//! Blobs on their way in: whole, in chunks, or mounted from another repository.
//! Spec: distribution-spec, end-4 to end-6, end-11, end-13, end-14.

use std::future::Future;
use std::io;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::StreamExt;
use sampan_engine::digest::Digest;
use sampan_engine::registry::{Piece, RepositoryName, Upload};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::blobs::CONTENT_DIGEST;
use super::range::chunk;
use super::visitor::Visitor;
use super::{Answer, Refusal};
use crate::app::App;
use crate::policy::action::{Pull, Push};
use crate::service::registry;

/// A client that sends nothing of its blob for so long is let go; what came is kept.
const STALLED: Duration = Duration::from_secs(60);
/// Pieces on their way to the disk, each of at most 32 KiB.
const PIECES: usize = 64;

/// What `POST` may ask for.
#[derive(Debug, Deserialize)]
pub struct BeginQuery {
    digest: Option<String>,
    mount: Option<String>,
    from: Option<String>,
    #[serde(rename = "digest-algorithm")]
    algorithm: Option<String>,
}

/// What `PUT` must say.
#[derive(Debug, Deserialize)]
pub struct FinishQuery {
    digest: Option<String>,
}

/// `POST`: begins an upload; with `digest` takes the whole blob at once; with `mount` and `from` takes it from another
/// repository, if the caller may pull there and it has it: else an upload begins, whatever the reason.
pub async fn begin(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<String>,
    query: Query<BeginQuery>,
    body: Payload,
) -> Answer<HttpResponse> {
    let name: RepositoryName = path.parse()?;
    let target = visitor.may::<Push>(&name).await?;
    if let Some(algorithm) = query.algorithm.as_deref().filter(|algorithm| *algorithm != "sha256") {
        return Err(Refusal::unsupported(format!("digest algorithm {algorithm:?} is not offered, only sha256")));
    }
    if let Some(mount) = &query.mount {
        let digest = digest(mount)?;
        if let Some(from) = query.from.as_deref().and_then(|from| from.parse().ok())
            && let Ok(from) = visitor.may::<Pull>(&from).await
            && registry::mount(&app, &target, &from, &digest).await?
        {
            return Ok(created(&name, &digest));
        }
    } else if let Some(text) = &query.digest {
        let (digest, range) = (digest(text)?, content_range(&request)?);
        let upload = registry::begin_upload(&app, &target).await?;
        let taken =
            with_body(body, |pieces| registry::finish_upload(&app, &target, &upload.id, &digest, range, pieces)).await;
        if let Err(error) = taken {
            // Nobody was told of the upload: it cannot be gone on with.
            if let Err(error) = registry::cancel_upload(&app, &target, &upload.id).await {
                tracing::debug!(%error, "an upload that failed is gone already");
            }
            return Err(error.into());
        }
        return Ok(created(&name, &digest));
    }
    let upload = registry::begin_upload(&app, &target).await?;
    Ok(progress(StatusCode::ACCEPTED, &name, &upload).finish())
}

/// `GET`: how far an upload is.
pub async fn status(app: Data<App>, visitor: Visitor, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let name: RepositoryName = path.0.parse()?;
    let target = visitor.may::<Push>(&name).await?;
    let upload = registry::upload(&app, &target, &path.1).await?;
    Ok(progress(StatusCode::NO_CONTENT, &name, &upload).finish())
}

/// `PATCH`: the next bytes, with a range or as a stream.
pub async fn append(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
    body: Payload,
) -> Answer<HttpResponse> {
    let name: RepositoryName = path.0.parse()?;
    let target = visitor.may::<Push>(&name).await?;
    let range = content_range(&request)?;
    let appending = with_body(body, |pieces| registry::append(&app, &target, &path.1, range, pieces));
    Ok(progress(StatusCode::ACCEPTED, &name, &appending.await?).finish())
}

/// `PUT`: the last bytes, if any, and the digest of all.
pub async fn finish(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
    query: Query<FinishQuery>,
    body: Payload,
) -> Answer<HttpResponse> {
    let name: RepositoryName = path.0.parse()?;
    let target = visitor.may::<Push>(&name).await?;
    let text = query.digest.as_deref().unwrap_or_default();
    let (digest, range) = (digest(text)?, content_range(&request)?);
    with_body(body, |pieces| registry::finish_upload(&app, &target, &path.1, &digest, range, pieces)).await?;
    Ok(created(&name, &digest))
}

/// `DELETE`: ends an upload without a blob.
pub async fn cancel(app: Data<App>, visitor: Visitor, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let name: RepositoryName = path.0.parse()?;
    let target = visitor.may::<Push>(&name).await?;
    registry::cancel_upload(&app, &target, &path.1).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn digest(text: &str) -> Answer<Digest> {
    text.parse().map_err(|error| Refusal::digest(&error))
}

/// Where a chunk begins and how long it is, if it says so; its length must be that of the body.
fn content_range(request: &HttpRequest) -> Answer<Option<(u64, u64)>> {
    let text = |name| request.headers().get(name).map(|value: &actix_web::http::header::HeaderValue| value.to_str());
    let Some(header) = text(CONTENT_RANGE) else { return Ok(None) };
    let range = header.ok().and_then(chunk);
    let range = range.ok_or_else(|| Refusal::chunk("Content-Range must be <first>-<last>, two numbers of bytes"))?;
    let length = text(CONTENT_LENGTH).and_then(Result::ok).and_then(|length| length.parse::<u64>().ok());
    match length.filter(|length| *length != range.1) {
        Some(length) => Err(Refusal::size(format!("Content-Range has {} bytes and Content-Length {length}", range.1))),
        None => Ok(Some(range)),
    }
}

/// Runs `work` with the body's pieces while they come. The body belongs to its connection's thread.
async fn with_body<T, F: Future<Output = T>>(body: Payload, work: impl FnOnce(mpsc::Receiver<Piece>) -> F) -> T {
    let (sender, pieces) = mpsc::channel(PIECES);
    tokio::join!(pass(body, sender), work(pieces)).1
}

/// Passes a body on until it ends or nobody wants more.
async fn pass(mut body: Payload, pieces: mpsc::Sender<Piece>) {
    loop {
        let piece = match tokio::time::timeout(STALLED, body.next()).await {
            Ok(None) => return,
            Ok(Some(piece)) => piece.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no byte came for a minute")),
        };
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}

fn progress(status: StatusCode, name: &RepositoryName, upload: &Upload) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((LOCATION, format!("/v2/{name}/blobs/uploads/{}", upload.id)))
        .insert_header(("range", format!("0-{}", upload.offset.saturating_sub(1))))
        .insert_header(("docker-upload-uuid", upload.id.as_str()));
    answer
}

fn created(name: &RepositoryName, digest: &Digest) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((LOCATION, format!("/v2/{name}/blobs/{digest}")))
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .finish()
}
