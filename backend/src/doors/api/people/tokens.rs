//! API tokens.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::page::Page;
use super::super::{Answer, Known, Problem, Problems, times};
use crate::accounts::TokenInfo;
use crate::app::App;
use crate::auth::Scopes;
use crate::service::tokens;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(create).service(inspect).service(remove);
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Names it in addresses
    id: i64,
    /// Unique for this user in this team
    name: String,
    /// The team it is for
    team: String,
    /// Its first characters
    prefix: String,
    /// What it may at most: read, write, admin
    scopes: Vec<&'static str>,
    /// RFC 3339
    created_at: String,
    /// RFC 3339; null: it does not expire
    expires_at: Option<String>,
    /// RFC 3339, to the minute; null: never used
    last_used_at: Option<String>,
}

impl From<TokenInfo> for TokenView {
    fn from(token: TokenInfo) -> Self {
        Self {
            id: token.id,
            name: token.name,
            team: token.team_name,
            prefix: token.prefix,
            scopes: token.scopes.words(),
            created_at: times::text(token.created_at),
            expires_at: token.expires_at.map(times::text),
            last_used_at: token.last_used_at.map(times::text),
        }
    }
}

/// A token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Unique for this user in this team
    name: String,
    /// What it may at most: read, write, admin; no more than the caller has
    scopes: Vec<String>,
    /// RFC 3339, or seconds since 1970; it does not expire when it is not given
    expires_at: Option<String>,
}

/// A token that was made: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct IssuedView {
    /// Names it in addresses
    id: i64,
    /// The token
    token: String,
}

/// The caller's own tokens
#[utoipa::path(tag = "people", responses((status = 200, description = "All of them", body = Page<TokenView>), Problems))]
#[get("/tokens")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<TokenView>>> {
    let target = app.policy().own_tokens(&known.0)?;
    Ok(Json(Page::whole(tokens::list(&app, &target).await?.into_iter().map(TokenView::from).collect())))
}

/// Makes a token of the caller for the team in view
#[utoipa::path(tag = "people", request_body = TokenBody,
    responses((status = 201, description = "It was made", body = IssuedView), Problems))]
#[post("/tokens")]
pub async fn create(app: Data<App>, known: Known, body: Json<TokenBody>) -> Answer<HttpResponse> {
    let scopes = Scopes::from_words(&body.scopes).map_err(|error| Problem::invalid(error.to_string()))?;
    let expires_at = times::parse("expires_at", body.expires_at.as_deref())?;
    let target = app.policy().own_tokens(&known.0)?;
    let issued = tokens::create(&app, target, &body.name, scopes, expires_at).await?;
    Ok(HttpResponse::Created().json(IssuedView { id: issued.id, token: issued.token.expose().to_owned() }))
}

/// One token: one's own, or for an administrator any
#[utoipa::path(tag = "people", params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "The token", body = TokenView), Problems))]
#[get("/tokens/{id}")]
pub async fn inspect(app: Data<App>, known: Known, id: Path<i64>) -> Answer<Json<TokenView>> {
    let target = app.policy().token(&known.0, *id).await?;
    Ok(Json(tokens::inspect(&app, &target).await?.into()))
}

/// Removes a token: it stops working at once
#[utoipa::path(tag = "people", params(("id" = i64, Path, description = "Its number")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/tokens/{id}")]
pub async fn remove(app: Data<App>, known: Known, id: Path<i64>) -> Answer<HttpResponse> {
    tokens::remove(&app, app.policy().token(&known.0, *id).await?).await?;
    Ok(HttpResponse::NoContent().finish())
}
