//! `POST /containers` and `POST /containers/prune`.

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, post};
use sampan_engine::Kind;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Answer, Known, Problem, Problems};
use super::request::{CreateBody, PullBody};
use crate::app::App;
use crate::policy::{Containers, Images};
use crate::service::images::PullOrder;
use crate::service::{containers, images};

/// A container that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedView {
    /// Its id
    id: String,
    /// What was changed or ignored, one sentence each
    warnings: Vec<String>,
}

/// Containers that were removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PrunedView {
    /// Their ids
    ids: Vec<String>,
    /// Bytes that were given back
    bytes: u64,
}

/// Makes a container, and with `start` starts it; one that cannot be started is removed again
#[utoipa::path(tag = "containers", request_body = CreateBody,
    responses((status = 201, description = "It was made", body = CreatedView), Problems))]
#[post("/containers")]
pub async fn create(app: Data<App>, known: Known, body: Json<CreateBody>) -> Answer<HttpResponse> {
    let body = body.into_inner();
    bring(&app, &known, &body.image, body.pull).await?;
    let (name, start) = (body.name.clone(), body.start);
    let target = app.policy().new_container(&known.0, name, body.into_config()?).await?;
    let created = containers::create(&app, target).await?;
    if start {
        let target = app.policy().container(&known.0, &created.id)?;
        if let Err(error) = containers::start(&app, target).await {
            let leftover = app.policy().container(&known.0, &created.id)?;
            containers::remove(&app, leftover, true, true).await?;
            return Err(error.into());
        }
    }
    let location = format!("/api/v1/containers/{}", created.id);
    let view = CreatedView { id: created.id, warnings: created.warnings };
    Ok(HttpResponse::Created().insert_header(("location", location)).json(view))
}

/// Pulls the image first, as far as that is wanted.
async fn bring(app: &Data<App>, known: &Known, image: &str, pull: PullBody) -> Answer<()> {
    if pull == PullBody::Never {
        return Ok(());
    }
    if pull == PullBody::Missing {
        match images::inspect(app, &app.policy().image(&known.0, image)?).await {
            Err(error) if error.kind() == Kind::NotFound => {}
            found => return Ok(found.map(drop)?),
        }
    }
    let target = app.policy().team(&known.0, Images)?;
    let reference = image.parse().map_err(|error| Problem::invalid(format!("{error}")))?;
    let order = PullOrder { reference, platform: None, given: None, all: false };
    images::pull(app, target, order, &|_| ()).await?;
    Ok(())
}

/// Removes all of the team's containers that do not run
#[utoipa::path(tag = "containers",
    responses((status = 200, description = "What was removed", body = PrunedView), Problems))]
#[post("/containers/prune")]
pub async fn prune(app: Data<App>, known: Known) -> Answer<Json<PrunedView>> {
    let target = app.policy().team(&known.0, Containers)?;
    let pruned = containers::prune(&app, target, &|_| true).await?;
    Ok(Json(PrunedView { ids: pruned.ids, bytes: pruned.bytes }))
}
