//! Pieces of work that go on behind the answer: pulls and pushes.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, post};
use sampan_engine::reference::ImageReference;
use sampan_engine::upstream::Credentials;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problem, Problems, times};
use crate::app::App;
use crate::operations::{Layer, Operation, State};
use crate::policy::{Images, Operations};
use crate::service::images::PullOrder;
use crate::service::operations;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(pull).service(push).service(list).service(inspect).service(remove);
}

/// A piece of work.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationView {
    /// Names it in addresses
    id: u64,
    /// `pull` or `push`
    kind: &'static str,
    /// What image
    reference: String,
    /// `running`, `done`, `cancelled` or `failed`
    state: &'static str,
    /// Why it failed; null: it did not
    error: Option<String>,
    /// How far its layers are
    layers: Vec<LayerView>,
    /// What a person should know
    notes: Vec<String>,
    /// What it came to: a digest for each image
    digests: Vec<String>,
    /// RFC 3339
    begun_at: String,
    /// RFC 3339; null: it goes on
    ended_at: Option<String>,
}

/// How far a layer is.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayerView {
    /// The first twelve digits of its digest
    id: String,
    /// `waiting`, `exists`, `moving` or `done`
    state: &'static str,
    /// Bytes that moved
    current_bytes: u64,
    /// Of so many; 0: not known
    total_bytes: u64,
}

impl From<&Operation> for OperationView {
    fn from(operation: &Operation) -> Self {
        let now = operation.progress();
        let layer = |(id, layer): (String, Layer)| LayerView {
            id,
            state: layer.state,
            current_bytes: layer.current,
            total_bytes: layer.total,
        };
        Self {
            id: operation.id,
            kind: operation.kind,
            reference: operation.reference.clone(),
            state: now.state.word(),
            error: if let State::Failed(reason) = now.state { Some(reason) } else { None },
            layers: now.layers.into_iter().map(layer).collect(),
            notes: now.notes,
            digests: now.digests,
            begun_at: times::text(operation.begun_at),
            ended_at: now.ended_at.map(times::text),
        }
    }
}

/// A name and a password for this once; without them those that the team has there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OnceCredentials {
    /// User name
    username: String,
    /// Password, or an access token in its place
    password: String,
}

impl From<OnceCredentials> for Credentials {
    fn from(OnceCredentials { username, password }: OnceCredentials) -> Self {
        Self::Basic { username, password }
    }
}

/// What to pull.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// `name[:tag]` or `name@digest`, with or without a registry
    reference: String,
    /// `os[/architecture[/variant]]`; null: this host's
    #[serde(default)]
    platform: Option<String>,
    /// Every tag of the repository
    #[serde(default)]
    all_tags: bool,
    /// For this once
    #[serde(default)]
    credentials: Option<OnceCredentials>,
}

/// What to push.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushBody {
    /// `name[:tag]`, with or without a registry
    reference: String,
    /// Every tag of the repository
    #[serde(default)]
    all_tags: bool,
    /// For this once
    #[serde(default)]
    credentials: Option<OnceCredentials>,
}

fn reference(text: &str) -> Answer<ImageReference> {
    text.parse().map_err(|error| Problem::invalid(format!("{error}")))
}

/// Begins to pull an image; it goes on when nobody looks
#[utoipa::path(tag = "operations", request_body = PullBody,
    responses((status = 202, description = "The operation", body = OperationView), Problems))]
#[post("/images/pull")]
pub async fn pull(app: Data<App>, known: Known, body: Json<PullBody>) -> Answer<HttpResponse> {
    let target = app.policy().team(&known.0, Images)?;
    let PullBody { reference: name, platform, all_tags, credentials } = body.into_inner();
    let order =
        PullOrder { reference: reference(&name)?, platform, given: credentials.map(Credentials::from), all: all_tags };
    let operation = operations::pull(&app.into_inner(), target, order)?;
    Ok(HttpResponse::Accepted().json(OperationView::from(&*operation)))
}

/// Begins to push an image; it goes on when nobody looks
#[utoipa::path(tag = "operations", request_body = PushBody,
    responses((status = 202, description = "The operation", body = OperationView), Problems))]
#[post("/images/push")]
pub async fn push(app: Data<App>, known: Known, body: Json<PushBody>) -> Answer<HttpResponse> {
    let PushBody { reference: name, all_tags, credentials } = body.into_inner();
    let target = app.policy().image(&known.0, &name)?;
    let given = credentials.map(Credentials::from);
    let operation = operations::push(&app.into_inner(), target, reference(&name)?, all_tags, given)?;
    Ok(HttpResponse::Accepted().json(OperationView::from(&*operation)))
}

/// The team's operations since the server started, newest first
#[utoipa::path(tag = "operations", responses((status = 200, description = "All of them", body = Page<OperationView>), Problems))]
#[get("/operations")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<OperationView>>> {
    let target = app.policy().team(&known.0, Operations)?;
    Ok(Json(Page::whole(operations::list(&app, &target).iter().map(|one| OperationView::from(&**one)).collect())))
}

/// One operation
#[utoipa::path(tag = "operations", params(("id" = u64, Path, description = "From the answer that began it")),
    responses((status = 200, description = "The operation", body = OperationView), Problems))]
#[get("/operations/{id}")]
pub async fn inspect(app: Data<App>, known: Known, id: Path<u64>) -> Answer<Json<OperationView>> {
    let target = app.policy().team(&known.0, Operations)?;
    Ok(Json(OperationView::from(&*operations::inspect(&app, &target, *id)?)))
}

/// Gives an operation up, or forgets one that ended
#[utoipa::path(tag = "operations", params(("id" = u64, Path, description = "From the answer that began it")),
    responses((status = 204, description = "It is given up"), Problems))]
#[delete("/operations/{id}")]
pub async fn remove(app: Data<App>, known: Known, id: Path<u64>) -> Answer<HttpResponse> {
    let target = app.policy().team(&known.0, Operations)?;
    operations::remove(&app, &target, *id)?;
    Ok(HttpResponse::NoContent().finish())
}
