//! What happened in the team.

use actix_web::get;
use actix_web::web::{Data, Json, Query};
use futures_util::StreamExt;
use sampan_engine::events::Event;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problems, times};
use crate::app::App;
use crate::clock::now_ns;
use crate::policy::{Containers, Events, Images, System};
use crate::service::{containers, events, host, images};

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list_events).service(info).service(df);
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// RFC 3339
    at: String,
    /// container, image, volume or network
    noun: &'static str,
    /// create, start, die, …
    action: &'static str,
    /// Id, or name of a volume
    id: String,
    /// name, image, exitCode, …
    attributes: BTreeMap<String, String>,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            at: times::text(event.at_ns),
            noun: event.noun.word(),
            action: event.action.word(),
            id: event.id.clone(),
            attributes: event.attributes.clone(),
        }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// From here on: RFC 3339, or seconds since 1970; as far back as is remembered when it is not given
    since: Option<String>,
    /// Up to here, not later than now
    until: Option<String>,
}

/// What happened in the team and is still remembered, oldest first
#[utoipa::path(tag = "system", params(EventsQuery),
    responses((status = 200, description = "The events", body = Page<EventView>), Problems))]
#[get("/events")]
pub async fn list_events(app: Data<App>, known: Known, query: Query<EventsQuery>) -> Answer<Json<Page<EventView>>> {
    let since = times::parse("since", query.since.as_deref())?.unwrap_or(0);
    let now = now_ns();
    let until = times::parse("until", query.until.as_deref())?.unwrap_or(now).min(now);
    let target = app.policy().team(&known.0, Events)?;
    let events: Vec<_> = events::watch(&app, &target, Some(since), Some(until)).collect().await;
    Ok(Json(Page::whole(events.iter().map(|event| EventView::from(&**event)).collect())))
}

/// This host and the team's use of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct InfoView {
    /// Release of Sampan
    version: &'static str,
    /// CPUs that are on
    cpus: u32,
    /// Hundredths of all CPUs
    cpu_percent: f64,
    /// Memory of the host
    memory_bytes: u64,
    /// Of it what cannot be had
    memory_used_bytes: u64,
    /// Size of the file system under the data root
    disk_bytes: u64,
    /// Of it what is used
    disk_used_bytes: u64,
    /// Containers of the team
    containers: usize,
    /// Of them those that run
    containers_running: usize,
    /// Images of the team
    images: usize,
}

/// The host, and how much the team has
#[utoipa::path(tag = "system", responses((status = 200, description = "The host", body = InfoView), Problems))]
#[get("/system/info")]
pub async fn info(app: Data<App>, known: Known) -> Answer<Json<InfoView>> {
    let host = host::look(&app, &app.policy().team(&known.0, System)?)?;
    let containers = containers::list(&app, &app.policy().team(&known.0, Containers)?, true);
    let images = images::list(&app, &app.policy().team(&known.0, Images)?).await?;
    Ok(Json(InfoView {
        version: env!("CARGO_PKG_VERSION"),
        cpus: host.cpus,
        cpu_percent: host.cpu_percent,
        memory_bytes: host.memory_bytes,
        memory_used_bytes: host.memory_used_bytes,
        disk_bytes: host.disk_bytes,
        disk_used_bytes: host.disk_used_bytes,
        containers_running: containers.iter().filter(|container| container.state.is_alive()).count(),
        containers: containers.len(),
        images: images.len(),
    }))
}

/// What the team's images take of the disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskView {
    /// All layers, each counted once
    layers_bytes: u64,
    /// Of it what a prune of all unused images would give back
    reclaimable_bytes: u64,
    /// Of it what unused images have and such a prune would not give back: images in use or repositories share it
    unused_kept_bytes: u64,
    /// Each image
    images: Vec<ImageUseView>,
}

/// What one image takes of the disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageUseView {
    /// Digest of its configuration
    id: String,
    /// Bytes of layers that only it has
    unique_bytes: u64,
    /// Bytes of layers that others have too
    shared_bytes: u64,
    /// Bytes that its removal gives back to the team
    freed_bytes: u64,
    /// Containers that use it
    containers: usize,
}

/// What the team's images take of the disk
#[utoipa::path(tag = "system", responses((status = 200, description = "The use of the disk", body = DiskView), Problems))]
#[get("/system/df")]
pub async fn df(app: Data<App>, known: Known) -> Answer<Json<DiskView>> {
    let usage = images::usage(&app, &app.policy().team(&known.0, Images)?).await?;
    let one = |one: &sampan_engine::images::ImageUsage| ImageUseView {
        id: one.image.id.to_string(),
        unique_bytes: one.unique_bytes,
        shared_bytes: one.shared_bytes,
        freed_bytes: one.freed_bytes,
        containers: one.containers,
    };
    Ok(Json(DiskView {
        layers_bytes: usage.layers_bytes,
        reclaimable_bytes: usage.reclaimable_bytes,
        unused_kept_bytes: usage.unused_kept_bytes,
        images: usage.images.iter().map(one).collect(),
    }))
}
