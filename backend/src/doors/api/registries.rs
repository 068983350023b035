//! Other registries: what the administrator says about them, with whose name teams are known there, what served what.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, get, post, put};
use sampan_engine::upstream::{Mirror, MirrorState, Registry, Served};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::{self, Page, PageQuery};
use super::{Answer, Known, Problems, times};
use crate::accounts::RegistryCredential;
use crate::app::App;
use crate::policy::{Fetches, Mirrors, Registries, RegistryCredentials};
use crate::service::registries;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(put_one).service(remove).service(mirrors).service(put_mirror).service(remove_mirror);
    config.service(credentials).service(put_credential).service(remove_credential).service(served).service(proxies);
}

/// What is said about a registry.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistryView {
    /// `host` or `host:port`, as in names of images
    host: String,
    /// Asked without TLS
    plain_http: bool,
    /// Certificates that may have signed its own, PEM; null: those that the host trusts
    ca_pem: Option<String>,
    /// Teams reach it too when its address is private
    teams_may: bool,
}

impl From<Registry> for RegistryView {
    fn from(Registry { host, plain_http, ca_pem, teams_may }: Registry) -> Self {
        Self { host, plain_http, ca_pem, teams_may }
    }
}

/// What to say about a registry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryBody {
    /// Ask it without TLS
    #[serde(default)]
    plain_http: bool,
    /// Certificates that may have signed its own, PEM; null: those that the host trusts
    #[serde(default)]
    ca_pem: Option<String>,
    /// Teams reach it too when its address is private
    #[serde(default)]
    teams_may: bool,
}

/// What is said about other registries
#[utoipa::path(tag = "registries", responses((status = 200, description = "All of them", body = Page<RegistryView>), Problems))]
#[get("/registries")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<RegistryView>>> {
    let target = app.policy().instance(&known.0, Registries)?;
    Ok(Json(Page::whole(registries::list(&app, &target).await?.into_iter().map(RegistryView::from).collect())))
}

/// Says something about a registry, instead of what was said before
#[utoipa::path(tag = "registries", params(("host" = String, Path, description = "`host` or `host:port`, as in names of images")),
    request_body = RegistryBody, responses((status = 204, description = "It is said"), Problems))]
#[put("/registries/{host}")]
pub async fn put_one(
    app: Data<App>,
    known: Known,
    host: Path<String>,
    body: Json<RegistryBody>,
) -> Answer<HttpResponse> {
    let target = app.policy().instance(&known.0, Registries)?;
    let RegistryBody { plain_http, ca_pem, teams_may } = body.into_inner();
    let registry = Registry { host: host.into_inner(), plain_http, ca_pem, teams_may };
    registries::put(&app, target, &registry).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Says nothing about a registry any more
#[utoipa::path(tag = "registries", params(("host" = String, Path, description = "`host` or `host:port`, as in names of images")),
    responses((status = 204, description = "Nothing is said"), Problems))]
#[delete("/registries/{host}")]
pub async fn remove(app: Data<App>, known: Known, host: Path<String>) -> Answer<HttpResponse> {
    let target = app.policy().instance(&known.0, Registries)?;
    registries::remove(&app, target, &host).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Through what other registries are reached, as the configuration says. Names and passwords are left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProxiesView {
    /// For registries without TLS; null: directly
    http_proxy: Option<String>,
    /// For registries with TLS; null: directly
    https_proxy: Option<String>,
    /// What is reached directly: names, domains and networks, separated by commas
    no_proxy: Option<String>,
}

/// Through what other registries are reached
#[utoipa::path(tag = "registries", responses((status = 200, description = "The proxies", body = ProxiesView), Problems))]
#[get("/proxies")]
pub async fn proxies(app: Data<App>, known: Known) -> Answer<Json<ProxiesView>> {
    let target = app.policy().instance(&known.0, Registries)?;
    let found = registries::proxies(&app, &target);
    Ok(Json(ProxiesView { http_proxy: found.http, https_proxy: found.https, no_proxy: found.none_for }))
}

/// Another place for a registry's bytes, and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct MirrorView {
    /// Names it in addresses
    id: i64,
    /// The registry whose bytes it has
    registry: String,
    /// `https://host[:port]`
    url: String,
    /// The lowest is asked first
    position: i64,
    /// Asked at all
    enabled: bool,
    /// Times that it failed one after another; it is passed over for a while
    failures: u32,
    /// It gave other bytes than it was asked for
    lied: bool,
    /// What was wrong; null: nothing is known against it
    reason: Option<String>,
    /// Seconds that it is passed over from now on; 0: it is asked
    rests_seconds: u64,
    /// Why the registry itself could not be reached when it was last asked; null: it could
    registry_reason: Option<String>,
}

impl From<MirrorState> for MirrorView {
    fn from(MirrorState { mirror, state, registry }: MirrorState) -> Self {
        Self {
            id: mirror.id,
            registry: mirror.upstream,
            url: mirror.url,
            position: mirror.position,
            enabled: mirror.enabled,
            failures: state.as_ref().map_or(0, |state| state.failures),
            lied: state.as_ref().is_some_and(|state| state.lied),
            rests_seconds: state.as_ref().map_or(0, |state| state.rests().as_secs()),
            reason: state.map(|state| state.reason),
            registry_reason: registry.map(|state| state.reason),
        }
    }
}

/// A mirror to add, or to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorBody {
    /// The registry whose bytes it has: `docker.io`, `host:port`
    registry: String,
    /// `https://host[:port]` or `http://host[:port]`
    url: String,
    /// The lowest is asked first
    #[serde(default)]
    position: i64,
    /// Ask it at all
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// Names a mirror that was put.
#[derive(Debug, Serialize, ToSchema)]
pub struct MirrorId {
    /// Names it in addresses
    id: i64,
}

/// The mirrors of all registries, in the order in which they are asked
#[utoipa::path(tag = "registries", responses((status = 200, description = "All of them", body = Page<MirrorView>), Problems))]
#[get("/mirrors")]
pub async fn mirrors(app: Data<App>, known: Known) -> Answer<Json<Page<MirrorView>>> {
    let target = app.policy().instance(&known.0, Mirrors)?;
    Ok(Json(Page::whole(registries::mirrors(&app, &target).await?.into_iter().map(MirrorView::from).collect())))
}

/// Adds a mirror, or changes the one of that registry and address
#[utoipa::path(tag = "registries", request_body = MirrorBody,
    responses((status = 200, description = "It is there", body = MirrorId), Problems))]
#[post("/mirrors")]
pub async fn put_mirror(app: Data<App>, known: Known, body: Json<MirrorBody>) -> Answer<Json<MirrorId>> {
    let target = app.policy().instance(&known.0, Mirrors)?;
    let MirrorBody { registry, url, position, enabled } = body.into_inner();
    let mirror = Mirror { id: 0, upstream: registry, url, position, enabled };
    Ok(Json(MirrorId { id: registries::put_mirror(&app, target, &mirror).await? }))
}

/// Takes a mirror away
#[utoipa::path(tag = "registries", params(("id" = i64, Path, description = "From the list")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/mirrors/{id}")]
pub async fn remove_mirror(app: Data<App>, known: Known, id: Path<i64>) -> Answer<HttpResponse> {
    let target = app.policy().instance(&known.0, Mirrors)?;
    registries::remove_mirror(&app, target, *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// With whose name the team is known at a registry. The password is never told.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialView {
    /// `docker.io`, `host:port`
    registry: String,
    /// User name
    username: String,
    /// RFC 3339
    created_at: String,
}

impl From<RegistryCredential> for CredentialView {
    fn from(RegistryCredential { registry, username, created_at }: RegistryCredential) -> Self {
        Self { registry, username, created_at: times::text(created_at) }
    }
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialBody {
    /// User name
    username: String,
    /// Password, or an access token in its place
    password: String,
}

/// With whose name the team is known at which registries
#[utoipa::path(tag = "registries", responses((status = 200, description = "All of them", body = Page<CredentialView>), Problems))]
#[get("/credentials")]
pub async fn credentials(app: Data<App>, known: Known) -> Answer<Json<Page<CredentialView>>> {
    let target = app.policy().team(&known.0, RegistryCredentials)?;
    let all = registries::list_credentials(&app, &target).await?;
    Ok(Json(Page::whole(all.into_iter().map(CredentialView::from).collect())))
}

/// Keeps a name and a password for the team's pulls and pushes, instead of those before
#[utoipa::path(tag = "registries", params(("host" = String, Path, description = "`docker.io`, `host` or `host:port`")),
    request_body = CredentialBody, responses((status = 204, description = "They are kept, sealed"), Problems))]
#[put("/credentials/{host}")]
pub async fn put_credential(
    app: Data<App>,
    known: Known,
    host: Path<String>,
    body: Json<CredentialBody>,
) -> Answer<HttpResponse> {
    let target = app.policy().team(&known.0, RegistryCredentials)?;
    registries::put_credential(&app, target, &host, &body.username, &body.password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Forgets the team's name and password at a registry
#[utoipa::path(tag = "registries", params(("host" = String, Path, description = "`docker.io`, `host` or `host:port`")),
    responses((status = 204, description = "They are forgotten"), Problems))]
#[delete("/credentials/{host}")]
pub async fn remove_credential(app: Data<App>, known: Known, host: Path<String>) -> Answer<HttpResponse> {
    let target = app.policy().team(&known.0, RegistryCredentials)?;
    registries::remove_credential(&app, target, &host).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What one place gave to one pull.
#[derive(Debug, Serialize, ToSchema)]
pub struct FetchView {
    /// RFC 3339
    at: String,
    /// What was pulled
    reference: String,
    /// The registry or the mirror: `https://host[:port]`
    endpoint: String,
    /// Layers and configurations
    blobs: u64,
    /// Their bytes
    bytes: u64,
}

impl From<&Served> for FetchView {
    fn from(fetch: &Served) -> Self {
        Self {
            at: times::text(fetch.at),
            reference: fetch.reference.clone(),
            endpoint: fetch.endpoint.clone(),
            blobs: fetch.blobs,
            bytes: fetch.bytes,
        }
    }
}

/// What served the team's pulls, newest first
#[utoipa::path(tag = "registries", params(PageQuery), responses((status = 200, description = "A page of them", body = Page<FetchView>), Problems))]
#[get("/fetches")]
pub async fn served(app: Data<App>, known: Known, query: Query<PageQuery>) -> Answer<Json<Page<FetchView>>> {
    let target = app.policy().team(&known.0, Fetches)?;
    let most = page::limit(query.limit)?;
    let before = page::read::<i64>(query.cursor.as_deref())?;
    let all = registries::served(&app, &target, before, most).await?;
    let full = all.len() == most as usize;
    let next = all.last().filter(|_| full).map(|last| page::write(&last.id));
    Ok(Json(Page { items: all.iter().map(FetchView::from).collect(), next }))
}
