//! Members of teams.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, patch, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::page::Page;
use super::super::{Answer, Known, Problems, times};
use crate::accounts::Member;
use crate::app::App;
use crate::auth::Role;
use crate::service::members;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(set).service(change).service(remove);
}

/// A user in a team.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberView {
    /// The user
    user: String,
    /// The team
    team: String,
    /// What they are in it
    role: Role,
    /// RFC 3339
    since: String,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let since = times::text(member.created_at);
        Self { user: member.user_name, team: member.team_name, role: member.role, since }
    }
}

/// A role in a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// viewer, developer or owner
    role: Role,
}

/// Who is in a team
#[utoipa::path(tag = "people", params(("team" = String, Path, description = "Name of the team")),
    responses((status = 200, description = "All members", body = Page<MemberView>), Problems))]
#[get("/teams/{team}/members")]
pub async fn list(app: Data<App>, known: Known, team: Path<String>) -> Answer<Json<Page<MemberView>>> {
    let target = app.policy().members(&known.0, &team).await?;
    Ok(Json(Page::whole(members::list(&app, &target).await?.into_iter().map(MemberView::from).collect())))
}

/// Puts a user into a team
#[utoipa::path(tag = "people",
    params(("team" = String, Path, description = "Name of the team"), ("user" = String, Path, description = "Name of the user")),
    request_body = RoleBody, responses((status = 204, description = "They are in it"), Problems))]
#[put("/teams/{team}/members/{user}")]
pub async fn set(
    app: Data<App>,
    known: Known,
    path: Path<(String, String)>,
    body: Json<RoleBody>,
) -> Answer<HttpResponse> {
    let (team, user) = path.into_inner();
    members::add(&app, app.policy().members(&known.0, &team).await?, &user, body.role).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Gives a member another role
#[utoipa::path(tag = "people",
    params(("team" = String, Path, description = "Name of the team"), ("user" = String, Path, description = "Name of the user")),
    request_body = RoleBody, responses((status = 204, description = "They have it"), Problems))]
#[patch("/teams/{team}/members/{user}")]
pub async fn change(
    app: Data<App>,
    known: Known,
    path: Path<(String, String)>,
    body: Json<RoleBody>,
) -> Answer<HttpResponse> {
    let (team, user) = path.into_inner();
    members::change(&app, app.policy().members(&known.0, &team).await?, &user, body.role).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a member out of a team, with their tokens for it
#[utoipa::path(tag = "people",
    params(("team" = String, Path, description = "Name of the team"), ("user" = String, Path, description = "Name of the user")),
    responses((status = 204, description = "They are out"), Problems))]
#[delete("/teams/{team}/members/{user}")]
pub async fn remove(app: Data<App>, known: Known, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let (team, user) = path.into_inner();
    members::remove(&app, app.policy().members(&known.0, &team).await?, &user).await?;
    Ok(HttpResponse::NoContent().finish())
}
