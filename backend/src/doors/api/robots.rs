//! Robots: who pulls from or pushes to the team's repositories and is no person.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problems, times};
use crate::accounts::RobotInfo;
use crate::app::App;
use crate::policy::Robots;
use crate::service::robots::{self, Wanted};

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(create).service(remove);
}

/// A robot.
#[derive(Debug, Serialize, ToSchema)]
pub struct RobotView {
    /// Names it in addresses
    id: i64,
    /// Unique in the team; it logs in as `TEAM+NAME`
    name: String,
    /// First characters of its secret
    prefix: String,
    /// May push as well as pull
    push: bool,
    /// Only repositories whose names begin so; empty: all of the team
    repositories: String,
    /// RFC 3339
    created_at: String,
    /// RFC 3339; null: it does not expire
    expires_at: Option<String>,
    /// RFC 3339, to the minute; null: never used
    last_used_at: Option<String>,
}

impl From<RobotInfo> for RobotView {
    fn from(robot: RobotInfo) -> Self {
        Self {
            id: robot.id,
            name: robot.name,
            prefix: robot.prefix,
            push: robot.push,
            repositories: robot.repositories,
            created_at: times::text(robot.created_at),
            expires_at: robot.expires_at.map(times::text),
            last_used_at: robot.last_used_at.map(times::text),
        }
    }
}

/// A robot to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RobotBody {
    /// Unique in the team
    name: String,
    /// May push as well as pull
    #[serde(default)]
    push: bool,
    /// Only repositories whose names begin so; all of the team when it is not given
    #[serde(default)]
    repositories: String,
    /// RFC 3339, or seconds since 1970; it does not expire when it is not given
    expires_at: Option<String>,
}

/// A robot that was made: the only time that its secret is shown.
#[derive(Serialize, ToSchema)]
pub struct IssuedRobotView {
    /// Names it in addresses
    id: i64,
    /// What it logs in as
    user_name: String,
    /// Its secret
    secret: String,
}

/// The team's robots
#[utoipa::path(tag = "registry", responses((status = 200, description = "All of them", body = Page<RobotView>), Problems))]
#[get("/robots")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<RobotView>>> {
    let target = app.policy().team(&known.0, Robots)?;
    Ok(Json(Page::whole(robots::list(&app, &target).await?.into_iter().map(RobotView::from).collect())))
}

/// Makes a robot for the team in view
#[utoipa::path(tag = "registry", request_body = RobotBody,
    responses((status = 201, description = "It was made", body = IssuedRobotView), Problems))]
#[post("/robots")]
pub async fn create(app: Data<App>, known: Known, body: Json<RobotBody>) -> Answer<HttpResponse> {
    let expires_at = times::parse("expires_at", body.expires_at.as_deref())?;
    let target = app.policy().team(&known.0, Robots)?;
    let wanted = Wanted { name: &body.name, push: body.push, repositories: &body.repositories, expires_at };
    let (user_name, issued) = robots::create(&app, &target, wanted).await?;
    let view = IssuedRobotView { id: issued.id, user_name, secret: issued.secret.expose().to_owned() };
    Ok(HttpResponse::Created().json(view))
}

/// Removes a robot: its secret stops working at once
#[utoipa::path(tag = "registry", params(("id" = i64, Path, description = "Its number")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/robots/{id}")]
pub async fn remove(app: Data<App>, known: Known, id: Path<i64>) -> Answer<HttpResponse> {
    robots::remove(&app, &app.policy().robot(&known.0, *id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
