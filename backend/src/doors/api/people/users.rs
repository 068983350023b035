//! Users, and who one is.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::page::{self, Page, PageQuery};
use super::super::{Answer, Known, Problems, times};
use super::members::MemberView;
use crate::accounts::UserInfo;
use crate::app::App;
use crate::auth::Role;
use crate::policy::Users;
use crate::service::users;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(me).service(list).service(create).service(inspect).service(change).service(remove);
}

/// Who calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeView {
    /// The user's name
    name: String,
    /// May do everything on this instance
    administrator: bool,
    /// The team in view
    team: Option<String>,
    /// What they are in it
    role: Option<Role>,
    /// What they may at most: read, write, admin
    scopes: Vec<&'static str>,
}

/// Who calls
#[utoipa::path(tag = "people", responses((status = 200, description = "The caller", body = MeView), Problems))]
#[get("/me")]
pub async fn me(known: Known) -> Answer<Json<MeView>> {
    let caller = known.0;
    Ok(Json(MeView {
        name: caller.actor(),
        administrator: caller.is_administrator(),
        team: caller.team().map(|team| team.name.clone()),
        role: caller.team().map(|team| team.role),
        scopes: caller.scopes().words(),
    }))
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    /// Unique in the instance
    name: String,
    /// May do everything on this instance
    administrator: bool,
    /// Logs in with a second factor
    second_factor: bool,
    /// RFC 3339
    created_at: String,
    /// Cannot log in, and their tokens do not work
    disabled: bool,
}

impl From<UserInfo> for UserView {
    fn from(user: UserInfo) -> Self {
        Self {
            name: user.name,
            administrator: user.is_administrator,
            second_factor: user.has_totp,
            created_at: times::text(user.created_at),
            disabled: user.disabled_at.is_some(),
        }
    }
}

/// A user with the teams they are in.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserDetail {
    #[serde(flatten)]
    user: UserView,
    /// The teams
    memberships: Vec<MemberView>,
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// Unique in the instance
    name: String,
    /// 8 to 1024 bytes
    #[schema(format = Password)]
    password: String,
    /// May do everything on this instance
    #[serde(default)]
    administrator: bool,
}

/// What changes of a user; absent values stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// May do everything on this instance
    administrator: Option<bool>,
    /// Cannot log in, and their tokens do not work
    disabled: Option<bool>,
    /// A new password; ends all their sessions
    #[schema(format = Password)]
    password: Option<String>,
    /// Takes their second factor away
    #[serde(default)]
    reset_second_factor: bool,
}

/// All users
#[utoipa::path(tag = "people", params(PageQuery),
    responses((status = 200, description = "A page of them", body = Page<UserView>), Problems))]
#[get("/users")]
pub async fn list(app: Data<App>, known: Known, query: Query<PageQuery>) -> Answer<Json<Page<UserView>>> {
    let limit = page::limit(query.limit)?;
    let after: i64 = page::read(query.cursor.as_deref())?.unwrap_or(0);
    let target = app.policy().instance(&known.0, Users)?;
    let mut found = users::list(&app, &target, after, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|user| page::write(&user.id));
    Ok(Json(Page { items: found.into_iter().map(UserView::from).collect(), next }))
}

/// Makes a user
#[utoipa::path(tag = "people", request_body = UserBody,
    responses((status = 201, description = "It was made", body = UserView), Problems))]
#[post("/users")]
pub async fn create(app: Data<App>, known: Known, body: Json<UserBody>) -> Answer<HttpResponse> {
    let target = app.policy().instance(&known.0, Users)?;
    let user = users::create(&app, target, &body.name, &body.password, body.administrator).await?;
    Ok(HttpResponse::Created().json(UserView::from(user)))
}

/// One user: oneself, or for an administrator any
#[utoipa::path(tag = "people", params(("name" = String, Path, description = "Name of the user")),
    responses((status = 200, description = "The user", body = UserDetail), Problems))]
#[get("/users/{name}")]
pub async fn inspect(app: Data<App>, known: Known, name: Path<String>) -> Answer<Json<UserDetail>> {
    let target = app.policy().user(&known.0, &name).await?;
    let (user, memberships) = users::inspect(&app, &target).await?;
    Ok(Json(UserDetail { user: user.into(), memberships: memberships.into_iter().map(MemberView::from).collect() }))
}

/// Changes a user
#[utoipa::path(tag = "people", params(("name" = String, Path, description = "Name of the user")), request_body = UserChange,
    responses((status = 200, description = "The user", body = UserView), Problems))]
#[patch("/users/{name}")]
pub async fn change(
    app: Data<App>,
    known: Known,
    name: Path<String>,
    body: Json<UserChange>,
) -> Answer<Json<UserView>> {
    let change = users::Change {
        is_administrator: body.administrator,
        is_disabled: body.disabled,
        password: body.password.as_deref(),
        reset_totp: body.reset_second_factor,
    };
    let target = app.policy().user(&known.0, &name).await?;
    Ok(Json(users::change(&app, target, change).await?.into()))
}

/// Removes a user, with memberships, tokens and sessions
#[utoipa::path(tag = "people", params(("name" = String, Path, description = "Name of the user")),
    responses((status = 204, description = "They are gone"), Problems))]
#[delete("/users/{name}")]
pub async fn remove(app: Data<App>, known: Known, name: Path<String>) -> Answer<HttpResponse> {
    users::remove(&app, app.policy().user(&known.0, &name).await?).await?;
    Ok(HttpResponse::NoContent().finish())
}
