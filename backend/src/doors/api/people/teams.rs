//! Teams.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::page::Page;
use super::super::{Answer, Known, Problems, times};
use crate::accounts::TeamRow;
use crate::app::App;
use crate::policy::Teams;
use crate::service::teams;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(create).service(inspect).service(rename).service(remove);
}

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamView {
    /// Unique in the instance
    name: String,
    /// First of its 65,536 host ids
    first_host_id: i64,
    /// RFC 3339
    created_at: String,
}

impl From<TeamRow> for TeamView {
    fn from(team: TeamRow) -> Self {
        Self { name: team.name, first_host_id: team.base_id, created_at: times::text(team.created_at) }
    }
}

/// The name of a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamBody {
    /// Unique in the instance
    name: String,
}

/// The teams that the caller may see
#[utoipa::path(tag = "people",
    responses((status = 200, description = "All of them", body = Page<TeamView>), Problems))]
#[get("/teams")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<TeamView>>> {
    let target = app.policy().instance(&known.0, Teams)?;
    Ok(Json(Page::whole(teams::list(&app, &target).await?.into_iter().map(TeamView::from).collect())))
}

/// Makes a team
#[utoipa::path(tag = "people", request_body = TeamBody,
    responses((status = 201, description = "It was made", body = TeamView), Problems))]
#[post("/teams")]
pub async fn create(app: Data<App>, known: Known, body: Json<TeamBody>) -> Answer<HttpResponse> {
    let target = app.policy().instance(&known.0, Teams)?;
    let team = teams::create(&app, target, &body.name).await?;
    Ok(HttpResponse::Created().json(TeamView::from(team)))
}

/// One team
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team")),
    responses((status = 200, description = "The team", body = TeamView), Problems))]
#[get("/teams/{team}")]
pub async fn inspect(app: Data<App>, known: Known, team: Path<String>) -> Answer<Json<TeamView>> {
    let target = app.policy().team_named(&known.0, &team).await?;
    Ok(Json(teams::inspect(&app, &target).await?.into()))
}

/// Gives a team another name
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team")), request_body = TeamBody,
    responses((status = 204, description = "It has the new name"), Problems))]
#[patch("/teams/{team}")]
pub async fn rename(app: Data<App>, known: Known, team: Path<String>, body: Json<TeamBody>) -> Answer<HttpResponse> {
    teams::rename(&app, app.policy().team_named(&known.0, &team).await?, &body.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes a team that has no containers, volumes, images and repositories any more
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/teams/{team}")]
pub async fn remove(app: Data<App>, known: Known, team: Path<String>) -> Answer<HttpResponse> {
    teams::remove(&app, app.policy().team_named(&known.0, &team).await?).await?;
    Ok(HttpResponse::NoContent().finish())
}
