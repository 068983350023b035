//! The networks that each team has: `bridge`, `host` and `none`. More come with a later release.

use std::sync::Arc;

use actix_web::get;
use actix_web::web::{Data, Json, Path};
use sampan_engine::containers::Container;
use sampan_engine::containers::config::Network;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::Page;
use super::{Answer, Known, Problem, Problems};
use crate::app::App;
use crate::auth::Caller;
use crate::policy::action::{List, View};
use crate::policy::{Containers, Networks};
use crate::service::containers;

/// What each team has.
const NETWORKS: [(&str, Network); 3] = [("bridge", Network::Bridge), ("host", Network::Host), ("none", Network::None)];

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list).service(inspect);
}

/// A network.
#[derive(Debug, Serialize, ToSchema)]
pub struct NetworkView {
    /// bridge, host or none
    name: &'static str,
    /// Address of the bridge while a container runs on it
    gateway: Option<String>,
    /// Those of the team's containers that run in it
    containers: Vec<PlaceView>,
}

/// A container in a network.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaceView {
    /// Id of the container
    id: String,
    /// Its name
    name: String,
    /// Its address
    address: Option<String>,
}

impl NetworkView {
    fn new((name, network): &(&'static str, Network), containers: &[Arc<Container>]) -> Self {
        let inside = || containers.iter().filter(|container| container.config.network == *network);
        let gateway = inside().find_map(|container| container.run.endpoint.as_ref());
        let place = |container: &Arc<Container>| PlaceView {
            id: container.id.clone(),
            name: container.name.clone(),
            address: container.run.endpoint.as_ref().map(|endpoint| endpoint.address.to_string()),
        };
        Self {
            name,
            gateway: gateway.map(|endpoint| endpoint.gateway.to_string()),
            containers: inside().map(place).collect(),
        }
    }
}

fn running(app: &App, caller: &Caller) -> Answer<Vec<Arc<Container>>> {
    Ok(containers::list(app, &app.policy().team::<List, _>(caller, Containers)?, false))
}

/// The team's networks
#[utoipa::path(tag = "networks", responses((status = 200, description = "All of them", body = Page<NetworkView>), Problems))]
#[get("/networks")]
pub async fn list(app: Data<App>, known: Known) -> Answer<Json<Page<NetworkView>>> {
    app.policy().team::<List, _>(&known.0, Networks)?;
    let running = running(&app, &known.0)?;
    Ok(Json(Page::whole(NETWORKS.iter().map(|network| NetworkView::new(network, &running)).collect())))
}

/// One network
#[utoipa::path(tag = "networks", params(("name" = String, Path, description = "bridge, host or none")),
    responses((status = 200, description = "The network", body = NetworkView), Problems))]
#[get("/networks/{name}")]
pub async fn inspect(app: Data<App>, known: Known, name: Path<String>) -> Answer<Json<NetworkView>> {
    app.policy().network::<View>(&known.0, &name)?;
    let Some(network) = NETWORKS.iter().find(|(known, _)| *known == name.as_str()) else {
        return Err(Problem::not_found(format!("no such network: {name}")));
    };
    Ok(Json(NetworkView::new(network, &running(&app, &known.0)?)))
}
