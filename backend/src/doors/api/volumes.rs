//! Volumes.

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpResponse, delete, get, post};
use sampan_engine::volumes::Volume;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problems, times};
use crate::app::App;
use crate::policy::Volumes;
use crate::service::volumes;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(create).service(prune).service(inspect).service(remove);
}

/// A volume.
#[derive(Debug, Serialize, ToSchema)]
pub struct VolumeView {
    /// Unique in the team
    name: String,
    /// Made for one container without a name
    anonymous: bool,
    /// Labels
    labels: BTreeMap<String, String>,
    /// RFC 3339
    created_at: String,
    /// Names of the containers that use it
    used_by: Vec<String>,
}

impl From<Volume> for VolumeView {
    fn from(volume: Volume) -> Self {
        Self {
            name: volume.name,
            anonymous: volume.anonymous,
            labels: volume.labels,
            created_at: times::text(volume.created_at_ns),
            used_by: volume.used_by,
        }
    }
}

/// A volume to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeBody {
    /// Unique in the team; made up when it is not given
    name: Option<String>,
    /// Labels
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Which volumes to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumePruneBody {
    /// Also those with a name
    #[serde(default)]
    all: bool,
}

/// Volumes that were removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct VolumesPrunedView {
    /// Their names
    names: Vec<String>,
    /// Bytes that were given back
    bytes: u64,
}

/// The team's volumes, by name
#[utoipa::path(tag = "volumes", responses((status = 200, description = "All of them", body = Page<VolumeView>), Problems))]
#[get("/volumes")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<VolumeView>>> {
    let target = app.policy().team(&known.0, Volumes)?;
    let volumes = volumes::list(&app, &target).await?;
    Ok(Json(Page::whole(volumes.into_iter().map(VolumeView::from).collect())))
}

/// Makes a volume, or gives the one that has this name already
#[utoipa::path(tag = "volumes", request_body = VolumeBody,
    responses((status = 201, description = "It is there", body = VolumeView), Problems))]
#[post("/volumes")]
pub async fn create(app: Data<App>, known: Known, body: Json<VolumeBody>) -> Answer<HttpResponse> {
    let body = body.into_inner();
    let target = app.policy().team(&known.0, Volumes)?;
    let volume = volumes::create(&app, target, body.name.as_deref(), body.labels).await?;
    Ok(HttpResponse::Created().json(VolumeView::from(volume)))
}

/// Removes volumes that no container has
#[utoipa::path(tag = "volumes", request_body = VolumePruneBody,
    responses((status = 200, description = "What was removed", body = VolumesPrunedView), Problems))]
#[post("/volumes/prune")]
pub async fn prune(app: Data<App>, known: Known, body: Json<VolumePruneBody>) -> Answer<Json<VolumesPrunedView>> {
    let target = app.policy().team(&known.0, Volumes)?;
    let (names, bytes) = volumes::prune(&app, target, body.all).await?;
    Ok(Json(VolumesPrunedView { names, bytes }))
}

/// One volume
#[utoipa::path(tag = "volumes", params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The volume", body = VolumeView), Problems))]
#[get("/volumes/{name}")]
pub async fn inspect(app: Data<App>, known: Known, name: Path<String>) -> Answer<Json<VolumeView>> {
    let target = app.policy().volume(&known.0, &name)?;
    Ok(Json(volumes::inspect(&app, &target).await?.into()))
}

/// Removes a volume with its content
#[utoipa::path(tag = "volumes", params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/volumes/{name}")]
pub async fn remove(app: Data<App>, known: Known, name: Path<String>) -> Answer<HttpResponse> {
    volumes::remove(&app, app.policy().volume(&known.0, &name)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
