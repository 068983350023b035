//! `GET /containers` and `GET /containers/{id}`.

use std::cmp::Reverse;

use actix_web::get;
use actix_web::web::{Data, Json, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::{Answer, Known, Problems, page};
use super::view::{ContainerSummary, ContainerView};
use crate::app::App;
use crate::doors::api::page::Page;
use crate::policy::Containers;
use crate::service::containers;

/// Which containers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those in this state: created, running, paused, restarting, exited, removing or dead
    state: Option<String>,
    /// Only those whose name has this in it
    name: Option<String>,
    /// At most so many items: 1 to 1000
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<u32>,
    /// `next` of the page before
    cursor: Option<String>,
}

/// The team's containers, newest first
#[utoipa::path(tag = "containers", params(ListQuery), responses(
    (status = 200, description = "A page of them", body = Page<ContainerSummary>),
    Problems,
))]
#[get("/containers")]
pub async fn list(app: Data<App>, known: Known, query: Query<ListQuery>) -> Answer<Json<Page<ContainerSummary>>> {
    let limit = page::limit(query.limit)? as usize;
    let after: Option<(i64, String)> = page::read(query.cursor.as_deref())?;
    let target = app.policy().team(&known.0, Containers)?;
    let mut all = containers::list(&app, &target, true);
    all.sort_by_cached_key(|container| Reverse((container.created_at_ns, container.id.clone())));
    let wanted = all.iter().filter(|container| {
        let position = (container.created_at_ns, &container.id);
        after.as_ref().is_none_or(|(at, id)| position < (*at, id))
            && query.state.as_deref().is_none_or(|state| state == container.state.word())
            && query.name.as_deref().is_none_or(|name| container.name.contains(name))
    });
    let mut found: Vec<_> = wanted.take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    let next = last.map(|container| page::write(&(container.created_at_ns, &container.id)));
    let items = found.into_iter().map(|container| ContainerSummary::from(&**container)).collect();
    Ok(Json(Page { items, next }))
}

/// One container
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 200, description = "All that is known of it", body = ContainerView), Problems))]
#[get("/containers/{id}")]
pub async fn inspect(app: Data<App>, known: Known, id: Path<String>) -> Answer<Json<ContainerView>> {
    let target = app.policy().container(&known.0, &id)?;
    let container = containers::inspect(&app, &target)?;
    Ok(Json(ContainerView::new(&container, containers::reveals(&target))))
}
