//! Images.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use actix_web::web::Payload;
use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use sampan_engine::images::{HistoryLine, Image, ImageUsage, Loaded, PruneFilter, Removed};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problems, times};
use crate::app::App;
use crate::policy::Images;
use crate::service::images;

/// A client that sends nothing of its archive for so long is let go.
const STALLED: Duration = Duration::from_secs(60);
/// Whether archives are sent to this address.
pub fn takes_archives(path: &str) -> bool {
    path == "/api/v1/images" || path.starts_with("/api/v1/containers/") && path.ends_with("/archive")
}

/// Pieces of an archive on their way.
pub(super) const PIECES: usize = 8;

/// Their routes. A reference has slashes, so it stands in the query where it names an image.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config
        .service(list)
        .service(load)
        .service(prune)
        .service(inspect)
        .service(history)
        .service(save)
        .service(tag)
        .service(remove);
}

/// An image in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageSummary {
    /// Digest of its configuration
    id: String,
    /// The team's names for it
    references: Vec<String>,
    /// Uncompressed bytes of all its layers
    size_bytes: u64,
    /// When the team got it, RFC 3339
    added_at: String,
}

/// An image with its configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageView {
    #[serde(flatten)]
    summary: ImageSummary,
    /// Digests of its layers' tars, bottom to top
    diff_ids: Vec<String>,
    /// Under which digests the team got it or gave it away: `nginx@sha256:…`
    digests: Vec<String>,
    /// Bytes on disk of layers that no other image of the team has
    own_bytes: u64,
    /// Bytes on disk of layers that other images of the team have too
    shared_bytes: u64,
    /// Bytes that the team has no more once the image is removed: its own, but for what the team's repositories keep
    freed_bytes: u64,
    /// Containers of it, stopped ones too
    containers: usize,
    /// The OCI image configuration as it came
    #[schema(value_type = Object)]
    configuration: serde_json::Value,
}

impl From<&Image> for ImageSummary {
    fn from(image: &Image) -> Self {
        Self {
            id: image.id.to_string(),
            references: image.tags.iter().map(ToString::to_string).collect(),
            size_bytes: image.size,
            added_at: times::text(image.created_at),
        }
    }
}

impl From<&ImageUsage> for ImageView {
    fn from(usage: &ImageUsage) -> Self {
        let image = &usage.image;
        Self {
            summary: image.into(),
            diff_ids: image.diff_ids.iter().map(ToString::to_string).collect(),
            digests: image.digests.iter().map(ToString::to_string).collect(),
            own_bytes: usage.unique_bytes,
            shared_bytes: usage.shared_bytes,
            freed_bytes: usage.freed_bytes,
            containers: usage.containers,
            configuration: serde_json::from_str(&image.raw).unwrap_or(serde_json::Value::Null),
        }
    }
}

/// One step of an image's making.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryView {
    /// RFC 3339; null: not known
    created_at: Option<String>,
    /// The command
    created_by: String,
    /// Bytes of the layer that it made
    size_bytes: u64,
    /// Digest of that layer's tar; null: it made none
    diff_id: Option<String>,
    /// What its maker says
    comment: String,
}

impl From<HistoryLine> for HistoryView {
    fn from(line: HistoryLine) -> Self {
        Self {
            created_at: line.created,
            created_by: line.created_by,
            size_bytes: line.size,
            diff_id: line.diff_id.map(|diff_id| diff_id.to_string()),
            comment: line.comment,
        }
    }
}

/// A further name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagBody {
    /// `name[:tag]`, with or without a registry
    reference: String,
}

/// How to remove.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImageRemoveQuery {
    /// Also where stopped containers stand in the way
    #[serde(default)]
    force: bool,
}

/// Which images to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePruneBody {
    /// Also those with a name
    #[serde(default)]
    all: bool,
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemovedView {
    /// Names that were taken
    untagged: Vec<String>,
    /// Images that are gone
    deleted: Vec<String>,
    /// Bytes that were given back; null: not counted
    bytes: Option<u64>,
}

impl RemovedView {
    fn new(removed: &[Removed], bytes: Option<u64>) -> Self {
        let mut view = Self { untagged: Vec::new(), deleted: Vec::new(), bytes };
        for one in removed {
            match one {
                Removed::Untagged(reference) => view.untagged.push(reference.to_string()),
                Removed::Deleted(id) => view.deleted.push(id.to_string()),
            }
        }
        view
    }
}

/// The team's images, newest first
#[utoipa::path(tag = "images", responses((status = 200, description = "All of them", body = Page<ImageSummary>), Problems))]
#[get("/images")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<ImageSummary>>> {
    let target = app.policy().team(&known.0, Images)?;
    Ok(Json(Page::whole(images::list(&app, &target).await?.iter().map(ImageSummary::from).collect())))
}

/// An image that an archive brought.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoadedView {
    /// Digest of its configuration
    id: String,
    /// Names that it got
    references: Vec<String>,
}

impl From<&Loaded> for LoadedView {
    fn from(loaded: &Loaded) -> Self {
        let references = loaded.tags.iter().map(|tagged| tagged.reference.to_string()).collect();
        Self { id: loaded.id.to_string(), references }
    }
}

/// Takes in an archive of `docker save` or an OCI layout: all of its images, or none
#[utoipa::path(tag = "images", request_body(content = Vec<u8>, content_type = "application/x-tar", description = "The archive, plain or compressed"),
    responses((status = 201, description = "The images", body = [LoadedView]), Problems))]
#[post("/images")]
pub async fn load(app: Data<App>, known: Known, body: Payload) -> Answer<HttpResponse> {
    let target = app.policy().team(&known.0, Images)?;
    let (pieces, arriving) = mpsc::channel(PIECES);
    let archive = StreamReader::new(ReceiverStream::new(arriving));
    let loading = images::load(&app, target, archive, |_| ());
    let ((), loaded) = tokio::join!(pass(body, pieces), loading);
    let loaded: Vec<_> = loaded?.iter().map(LoadedView::from).collect();
    Ok(HttpResponse::Created().json(loaded))
}

/// Passes a body on, piece by piece, until it ends or nobody wants more. The body belongs to its connection's thread.
pub(super) async fn pass(mut body: Payload, pieces: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let piece = match tokio::time::timeout(STALLED, body.next()).await {
            Ok(None) => return,
            Ok(Some(piece)) => piece.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the archive stopped coming")),
        };
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// Removes images that no container uses
#[utoipa::path(tag = "images", request_body = ImagePruneBody,
    responses((status = 200, description = "What was removed", body = RemovedView), Problems))]
#[post("/images/prune")]
pub async fn prune(app: Data<App>, known: Known, body: Json<ImagePruneBody>) -> Answer<Json<RemovedView>> {
    let filter = PruneFilter { all: body.all, until: None, labels: BTreeMap::new(), without_labels: BTreeMap::new() };
    let target = app.policy().team(&known.0, Images)?;
    let pruned = images::prune(&app, target, &filter).await?;
    Ok(Json(RemovedView::new(&pruned.removed, Some(pruned.reclaimed_bytes))))
}

/// One image
#[utoipa::path(tag = "images", params(("id" = String, Path, description = "Id, beginning of an id, or reference (its slashes as %2F)")),
    responses((status = 200, description = "The image", body = ImageView), Problems))]
#[get("/images/{id}")]
pub async fn inspect(app: Data<App>, known: Known, id: Path<String>) -> Answer<Json<ImageView>> {
    let target = app.policy().image(&known.0, &id)?;
    Ok(Json(ImageView::from(&images::usage_of(&app, &target).await?)))
}

/// How an image was made, newest step first
#[utoipa::path(tag = "images", params(("id" = String, Path, description = "Id, beginning of an id, or reference (its slashes as %2F)")),
    responses((status = 200, description = "The steps", body = [HistoryView]), Problems))]
#[get("/images/{id}/history")]
pub async fn history(app: Data<App>, known: Known, id: Path<String>) -> Answer<Json<Vec<HistoryView>>> {
    let target = app.policy().image(&known.0, &id)?;
    Ok(Json(images::history(&app, &target).await?.into_iter().map(HistoryView::from).collect()))
}

/// An image as an archive, which `docker load` and all that reads OCI layouts take in
#[utoipa::path(tag = "images", params(("id" = String, Path, description = "Id, beginning of an id, or reference (its slashes as %2F)")),
    responses((status = 200, description = "The archive", content_type = "application/x-tar", body = Vec<u8>), Problems))]
#[get("/images/{id}/archive")]
pub async fn save(app: Data<App>, known: Known, id: Path<String>) -> Answer<HttpResponse> {
    let target = app.policy().image(&known.0, &id)?;
    let archive = images::save(&app, &[target]).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/x-tar").no_chunking(archive.size());
    Ok(answer.streaming(archive.into_stream()))
}

/// Gives an image a further name
#[utoipa::path(tag = "images", params(("id" = String, Path, description = "Id, beginning of an id, or reference (its slashes as %2F)")),
    request_body = TagBody, responses((status = 204, description = "It has the name"), Problems))]
#[post("/images/{id}/tags")]
pub async fn tag(app: Data<App>, known: Known, id: Path<String>, body: Json<TagBody>) -> Answer<HttpResponse> {
    images::tag(&app, app.policy().image(&known.0, &id)?, &body.reference).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a name from an image, and removes it with its last one
#[utoipa::path(tag = "images",
    params(("id" = String, Path, description = "Id, beginning of an id, or reference (its slashes as %2F)"), ImageRemoveQuery),
    responses((status = 200, description = "What was removed", body = RemovedView), Problems))]
#[delete("/images/{id}")]
pub async fn remove(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    query: Query<ImageRemoveQuery>,
) -> Answer<Json<RemovedView>> {
    let removed = images::remove(&app, app.policy().image(&known.0, &id)?, query.force).await?;
    Ok(Json(RemovedView::new(&removed, None)))
}
