//! Host folders that teams were granted.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::page::Page;
use super::super::{Answer, Known, Problems, times};
use crate::accounts::GrantedFolder;
use crate::app::App;
use crate::service::folders;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(grant).service(revoke);
}

/// A host folder that the team's containers may bind, with all that lies beneath.
#[derive(Debug, Serialize, ToSchema)]
pub struct FolderView {
    /// Absolute path on the host
    path: String,
    /// It may only be bound read-only
    read_only: bool,
    /// RFC 3339
    since: String,
}

impl From<GrantedFolder> for FolderView {
    fn from(folder: GrantedFolder) -> Self {
        Self { path: folder.path, read_only: folder.read_only, since: times::text(folder.created_at) }
    }
}

/// A folder to be granted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderBody {
    /// Absolute path on the host
    path: String,
    /// It may only be bound read-only
    #[serde(default)]
    read_only: bool,
}

/// Which one.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FolderQuery {
    /// Its path as the list has it
    path: String,
}

/// The host folders that a team's containers may bind
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team")),
    responses((status = 200, description = "All of them", body = Page<FolderView>), Problems))]
#[get("/teams/{team}/folders")]
pub async fn list(app: Data<App>, known: Known, team: Path<String>) -> Answer<Json<Page<FolderView>>> {
    let target = app.policy().folders(&known.0, &team).await?;
    Ok(Json(Page::whole(folders::list(&app, &target).await?.into_iter().map(FolderView::from).collect())))
}

/// Grants a team a host folder; its containers' files there belong to the team's host ids
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team")),
    request_body = FolderBody, responses((status = 204, description = "It may be bound"), Problems))]
#[post("/teams/{team}/folders")]
pub async fn grant(app: Data<App>, known: Known, team: Path<String>, body: Json<FolderBody>) -> Answer<HttpResponse> {
    let target = app.policy().folders(&known.0, &team).await?;
    folders::grant(&app, target, &body.path, body.read_only).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a granted host folder away; containers that run keep it until they end
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team"), FolderQuery),
    responses((status = 204, description = "No other start gets it"), Problems))]
#[delete("/teams/{team}/folders")]
pub async fn revoke(
    app: Data<App>,
    known: Known,
    team: Path<String>,
    query: Query<FolderQuery>,
) -> Answer<HttpResponse> {
    let target = app.policy().folders(&known.0, &team).await?;
    folders::revoke(&app, target, &query.path).await?;
    Ok(HttpResponse::NoContent().finish())
}
