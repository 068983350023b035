//! A container's files.

use std::io;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Json, Path, Payload, Query};
use actix_web::{HttpResponse, get, post, put};
use futures_util::{StreamExt, stream};
use sampan_engine::containers::{Change, ChangeKind, Commit};
use sampan_engine::images::{Making, ProcessConfiguration};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use utoipa::{IntoParams, ToSchema};

use super::super::images::{PIECES, pass};
use super::super::{Answer, Known, Problems};
use crate::app::App;
use crate::service::ServiceError;
use crate::service::containers::{self, Copying};

/// Which path.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// From the container's root
    path: String,
}

/// Which folder, and how it is written to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WriteQuery {
    /// From the container's root
    path: String,
    /// Refuses to replace a folder by what is none, and the other way round
    #[serde(default)]
    keep_kinds: bool,
    /// Gives all of it to the container's user instead of the ids in the archive
    #[serde(default)]
    as_user: bool,
}

/// One difference from the image.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// From the container's root
    path: String,
    /// added, modified or deleted
    kind: &'static str,
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        let kind = match change.kind {
            ChangeKind::Modified => "modified",
            ChangeKind::Added => "added",
            ChangeKind::Deleted => "deleted",
        };
        Self { path: change.path, kind }
    }
}

/// What to make of a container.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitBody {
    /// `name[:tag]` for the image
    reference: Option<String>,
    /// Who made it
    #[serde(default)]
    author: String,
    /// A remark
    #[serde(default)]
    comment: String,
    /// Lets its processes stand still meanwhile; true when it is not given
    pause: Option<bool>,
    /// Instructions of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME,
    /// WORKDIR
    #[serde(default)]
    changes: Vec<String>,
}

/// An image that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommittedView {
    /// Digest of its configuration
    id: String,
}

/// What lies at a path, with all beneath it, as a tar
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), ReadQuery),
    responses((status = 200, description = "The files", content_type = "application/x-tar", body = Vec<u8>), Problems))]
#[get("/containers/{id}/archive")]
pub async fn read(app: Data<App>, known: Known, id: Path<String>, query: Query<ReadQuery>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    let (_, files) = containers::copy_from(&app, target, &query.path).await?;
    Ok(HttpResponse::Ok().content_type("application/x-tar").streaming(files))
}

/// Takes a tar in at a folder; what was written before an error stays
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), WriteQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar", description = "The tar, plain or compressed"),
    responses((status = 204, description = "All of it is written"), Problems))]
#[put("/containers/{id}/archive")]
pub async fn write(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    query: Query<WriteQuery>,
    body: Payload,
) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    let (pieces, arriving) = mpsc::channel(PIECES);
    let archive = StreamReader::new(ReceiverStream::new(arriving));
    let how = Copying { keep_kinds: query.keep_kinds, as_user: query.as_user };
    let writing = containers::copy_to(&app, target, &query.path, how, archive);
    let ((), written) = tokio::join!(pass(body, pieces), writing);
    written?;
    Ok(HttpResponse::NoContent().finish())
}

/// All of its root as a tar, without what is mounted in it
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 200, description = "The files", content_type = "application/x-tar", body = Vec<u8>), Problems))]
#[get("/containers/{id}/export")]
pub async fn export(app: Data<App>, known: Known, id: Path<String>) -> Answer<HttpResponse> {
    let files = containers::export(&app, app.policy().container(&known.0, &id)?).await?;
    Ok(HttpResponse::Ok().content_type("application/x-tar").streaming(files))
}

/// What it has made of its image's files, a folder before what is in it
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 200, description = "The differences", body = [ChangeView]), Problems))]
#[get("/containers/{id}/changes")]
pub async fn changes(app: Data<App>, known: Known, id: Path<String>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    let changes = containers::changes(&app, &target).await?;
    let items = changes.enumerate().map(|(place, change)| {
        let text = serde_json::to_string(&ChangeView::from(change?))?;
        Ok::<_, io::Error>(if place == 0 { text } else { format!(",{text}") })
    });
    let mark = |text: &'static str| stream::once(std::future::ready(Ok(text.to_owned())));
    let whole = mark("[").chain(items).chain(mark("]")).map(|text| text.map(bytes::Bytes::from));
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).streaming(whole))
}

/// Makes an image of it: its files, without what is mounted, and its configuration
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    request_body = CommitBody, responses((status = 201, description = "The image", body = CommittedView), Problems))]
#[post("/containers/{id}/commit")]
pub async fn commit(app: Data<App>, known: Known, id: Path<String>, body: Json<CommitBody>) -> Answer<HttpResponse> {
    let body = body.into_inner();
    let target = app.policy().container(&known.0, &id)?;
    let commit = Commit {
        name: Making::name(body.reference.as_deref().unwrap_or_default(), "").map_err(ServiceError::from)?,
        author: body.author,
        comment: body.comment,
        pause: body.pause.unwrap_or(true),
        config: ProcessConfiguration::default(),
        changes: body.changes,
    };
    let id = containers::commit(&app, target, commit).await?;
    Ok(HttpResponse::Created().json(CommittedView { id }))
}
