//! What is done to one container.

use std::time::Duration;

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, patch, post};
use sampan_engine::Kind;
use sampan_engine::containers::{Update, WaitCondition};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::{Answer, Known, Problem, Problems};
use super::limits::LimitsBody;
use super::request::RestartBody;
use crate::app::App;
use crate::service::{ServiceError, containers};

/// How to stop.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StopQuery {
    /// Seconds before it is killed; -1 without limit; the container's own (else 10) when it is not given
    timeout_seconds: Option<i64>,
    /// Another signal than the container's own
    signal: Option<String>,
}

impl StopQuery {
    fn grace(&self) -> Result<Option<Duration>, Problem> {
        match self.timeout_seconds {
            None => Ok(None),
            Some(-1) => Ok(Some(Duration::MAX)),
            Some(seconds) => match u64::try_from(seconds) {
                Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
                Err(_) => Err(Problem::invalid(format!("timeout_seconds is {seconds}, but must be -1 or more"))),
            },
        }
    }
}

/// Which signal.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KillQuery {
    /// Name or number; KILL when it is not given
    signal: Option<String>,
}

/// What goes with it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveQuery {
    /// Also one that runs: it is killed first
    #[serde(default)]
    force: bool,
    /// Its volumes without a name too
    #[serde(default)]
    volumes: bool,
}

/// What to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// `not-running` (when it is not given), `next-exit` or `removed`
    condition: Option<String>,
}

/// How it ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitAnswer {
    /// 0-255
    exit_code: i32,
}

/// A new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameBody {
    /// Unique in the team
    name: String,
}

/// What changes; absent values stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateBody {
    /// Bounds
    #[serde(default)]
    limits: LimitsBody,
    /// What to do at its end
    restart: Option<RestartBody>,
}

/// What was changed or ignored.
#[derive(Debug, Serialize, ToSchema)]
pub struct WarningsView {
    /// One sentence each
    warnings: Vec<String>,
}

/// Done, or it was so already: 204 either way.
fn done(result: Result<(), ServiceError>) -> Answer<HttpResponse> {
    match result {
        Err(error) if error.kind() != Kind::NotModified => Err(error.into()),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}

/// Starts it
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 204, description = "It runs"), Problems))]
#[post("/containers/{id}/start")]
pub async fn start(app: Data<App>, known: Known, id: Path<String>) -> Answer<HttpResponse> {
    done(containers::start(&app, app.policy().container(&known.0, &id)?).await)
}

/// Asks its main process to end, then kills it
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), StopQuery),
    responses((status = 204, description = "It does not run"), Problems))]
#[post("/containers/{id}/stop")]
pub async fn stop(app: Data<App>, known: Known, id: Path<String>, query: Query<StopQuery>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    done(containers::stop(&app, target, query.grace()?, query.signal.as_deref()).await.map(|_| ()))
}

/// Sends a signal to its main process
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), KillQuery),
    responses((status = 204, description = "It was sent"), Problems))]
#[post("/containers/{id}/kill")]
pub async fn kill(app: Data<App>, known: Known, id: Path<String>, query: Query<KillQuery>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    done(containers::kill(&app, target, query.signal.as_deref()).await)
}

/// Stops it if it runs, then starts it
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), StopQuery),
    responses((status = 204, description = "It runs"), Problems))]
#[post("/containers/{id}/restart")]
pub async fn restart(app: Data<App>, known: Known, id: Path<String>, query: Query<StopQuery>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    done(containers::restart(&app, target, query.grace()?, query.signal.as_deref()).await)
}

/// Freezes all its processes
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 204, description = "It is paused"), Problems))]
#[post("/containers/{id}/pause")]
pub async fn pause(app: Data<App>, known: Known, id: Path<String>) -> Answer<HttpResponse> {
    done(containers::pause(&app, app.policy().container(&known.0, &id)?).await)
}

/// Thaws them
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 204, description = "It goes on"), Problems))]
#[post("/containers/{id}/unpause")]
pub async fn unpause(app: Data<App>, known: Known, id: Path<String>) -> Answer<HttpResponse> {
    done(containers::unpause(&app, app.policy().container(&known.0, &id)?).await)
}

/// Waits for its end
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), WaitQuery),
    responses((status = 200, description = "It ended", body = WaitAnswer), Problems))]
#[post("/containers/{id}/wait")]
pub async fn wait(app: Data<App>, known: Known, id: Path<String>, query: Query<WaitQuery>) -> Answer<Json<WaitAnswer>> {
    let condition = match query.condition.as_deref() {
        None | Some("not-running") => WaitCondition::NotRunning,
        Some("next-exit") => WaitCondition::NextExit,
        Some("removed") => WaitCondition::Removed,
        Some(other) => {
            let detail = format!("condition is {other:?}, but must be not-running, next-exit or removed");
            return Err(Problem::invalid(detail));
        }
    };
    let target = app.policy().container(&known.0, &id)?;
    Ok(Json(WaitAnswer { exit_code: containers::wait(&app, target, condition).await? }))
}

/// Gives it another name
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    request_body = RenameBody, responses((status = 204, description = "It has the new name"), Problems))]
#[post("/containers/{id}/rename")]
pub async fn rename(app: Data<App>, known: Known, id: Path<String>, body: Json<RenameBody>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    done(containers::rename(&app, target, &body.name).await)
}

/// Changes its limits and restart policy, also while it runs
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    request_body = UpdateBody, responses((status = 200, description = "Changed", body = WarningsView), Problems))]
#[patch("/containers/{id}")]
pub async fn update(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    body: Json<UpdateBody>,
) -> Answer<Json<WarningsView>> {
    let body = body.into_inner();
    let change = Update { limits: body.limits.into(), restart: body.restart.map(Into::into) };
    let target = app.policy().container_update(&known.0, &id, change)?;
    Ok(Json(WarningsView { warnings: containers::update(&app, target).await? }))
}

/// Removes it
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), RemoveQuery),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/containers/{id}")]
pub async fn remove(app: Data<App>, known: Known, id: Path<String>, query: Query<RemoveQuery>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    done(containers::remove(&app, target, query.force, query.volumes).await)
}
