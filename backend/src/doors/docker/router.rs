//! The table of contents of this door: every route of Docker's API 1.51, what it takes, and who answers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodFilter, MethodRouter, delete, get, on, post, put};
use http::Method;

use super::error::DockerError;
use super::{containers, execs, images, networks, system, volumes};
use crate::app::App;
use crate::policy::{Act, NounKind as Noun, Verb};

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Without a version; `{id}` is one part.
    pub path: &'static str,
    /// What the policy is asked; `None`: it tells nothing of any team and changes nothing.
    pub act: Option<Act>,
    handler: Handler,
}

#[derive(Debug, Clone, Copy)]
enum Handler {
    /// Who answers.
    Here(fn() -> MethodRouter<Arc<App>>),
    /// 501 with this sentence.
    Missing(&'static str),
    /// 503 in dockerd's words.
    NoSwarm,
}

impl Route {
    /// The route answers 501, whoever asks.
    pub fn is_missing(&self) -> bool {
        matches!(self.handler, Handler::Missing(_) | Handler::NoSwarm)
    }
}

const fn here(
    method: &'static str,
    path: &'static str,
    verb: Verb,
    noun: Noun,
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Route {
    Route { method, path, act: Some(Act(verb, noun)), handler: Handler::Here(handler) }
}

const fn open(method: &'static str, path: &'static str, handler: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { method, path, act: None, handler: Handler::Here(handler) }
}

const fn missing(method: &'static str, path: &'static str, sentence: &'static str) -> Route {
    Route { method, path, act: None, handler: Handler::Missing(sentence) }
}

const fn no_swarm(method: &'static str, path: &'static str) -> Route {
    Route { method, path, act: None, handler: Handler::NoSwarm }
}

const BUILD: &str =
    "building images comes with a later release: build elsewhere, `docker save`, and `docker load` here";
const NETWORKS: &str = "networks beside bridge, host and none come with a later release";
const PLUGINS: &str = "plugins are not offered";
const SWARM: &str = "this host cannot be part of a swarm";
const WEBSOCKET: &str = "attaching by websocket is not offered at this door: use attach, or the live API";
const CHECKPOINTS: &str = "checkpoints come with a later release";

/// Every route.
pub const ROUTES: &[Route] = &[
    open("GET", "/_ping", || get(system::ping::ping)),
    open("GET", "/version", || get(system::version::version)),
    here("GET", "/info", Verb::View, Noun::System, || get(system::info::info)),
    here("GET", "/events", Verb::Watch, Noun::Event, || get(system::events::events)),
    here("GET", "/system/df", Verb::View, Noun::System, || get(system::df::df)),
    here("POST", "/auth", Verb::Pull, Noun::Image, || post(system::auth::auth)),
    here("GET", "/containers/json", Verb::List, Noun::Container, || get(containers::list::list)),
    here("POST", "/containers/create", Verb::Create, Noun::Container, || post(containers::create::create)),
    here("POST", "/containers/prune", Verb::Prune, Noun::Container, || post(containers::prune::prune)),
    here("GET", "/containers/{id}/json", Verb::View, Noun::Container, || get(containers::inspect::inspect)),
    here("GET", "/containers/{id}/top", Verb::Top, Noun::Container, || get(containers::top::top)),
    here("GET", "/containers/{id}/logs", Verb::Logs, Noun::Container, || get(containers::logs::logs)),
    here("GET", "/containers/{id}/stats", Verb::Stats, Noun::Container, || get(containers::stats::stats)),
    here("POST", "/containers/{id}/start", Verb::Start, Noun::Container, || post(containers::start::start)),
    here("POST", "/containers/{id}/stop", Verb::Stop, Noun::Container, || post(containers::stop::stop)),
    here("POST", "/containers/{id}/restart", Verb::Restart, Noun::Container, || post(containers::restart::restart)),
    here("POST", "/containers/{id}/kill", Verb::Kill, Noun::Container, || post(containers::kill::kill)),
    here("POST", "/containers/{id}/pause", Verb::Pause, Noun::Container, || post(containers::pause::pause)),
    here("POST", "/containers/{id}/unpause", Verb::Unpause, Noun::Container, || post(containers::pause::unpause)),
    here("POST", "/containers/{id}/wait", Verb::Wait, Noun::Container, || post(containers::wait::wait)),
    here("POST", "/containers/{id}/rename", Verb::Rename, Noun::Container, || post(containers::rename::rename)),
    here("POST", "/containers/{id}/update", Verb::Update, Noun::Container, || post(containers::update::update)),
    here("POST", "/containers/{id}/attach", Verb::Attach, Noun::Container, || post(containers::attach::attach)),
    here("POST", "/containers/{id}/resize", Verb::Resize, Noun::Container, || post(containers::resize::resize)),
    here("POST", "/containers/{id}/exec", Verb::Exec, Noun::Container, || post(execs::create::create)),
    here("DELETE", "/containers/{id}", Verb::Remove, Noun::Container, || delete(containers::remove::remove)),
    missing("GET", "/containers/{id}/attach/ws", WEBSOCKET),
    here("GET", "/containers/{id}/changes", Verb::Changes, Noun::Container, || get(containers::changes::changes)),
    here("GET", "/containers/{id}/export", Verb::Export, Noun::Container, || get(containers::export::export)),
    here("HEAD", "/containers/{id}/archive", Verb::CopyFrom, Noun::Container, || {
        on(MethodFilter::HEAD, containers::archive::look)
    }),
    here("GET", "/containers/{id}/archive", Verb::CopyFrom, Noun::Container, || get(containers::archive::read)),
    here("PUT", "/containers/{id}/archive", Verb::CopyTo, Noun::Container, || put(containers::archive::write)),
    missing("GET", "/containers/{id}/checkpoints", CHECKPOINTS),
    missing("POST", "/containers/{id}/checkpoints", CHECKPOINTS),
    missing("DELETE", "/containers/{id}/checkpoints/{checkpoint}", CHECKPOINTS),
    here("POST", "/commit", Verb::Commit, Noun::Container, || post(containers::commit::commit)),
    here("POST", "/exec/{id}/start", Verb::Start, Noun::Exec, || post(execs::start::start)),
    here("POST", "/exec/{id}/resize", Verb::Resize, Noun::Exec, || post(execs::resize::resize)),
    here("GET", "/exec/{id}/json", Verb::View, Noun::Exec, || get(execs::inspect::inspect)),
    here("GET", "/images/json", Verb::List, Noun::Image, || get(images::list::list)),
    here("POST", "/images/load", Verb::Load, Noun::Image, || post(images::load::load)),
    here("POST", "/images/prune", Verb::Prune, Noun::Image, || post(images::prune::prune)),
    here("GET", "/images/{name}/json", Verb::View, Noun::Image, || get(images::inspect::inspect)),
    here("GET", "/images/{name}/history", Verb::View, Noun::Image, || get(images::history::history)),
    here("POST", "/images/{name}/tag", Verb::Tag, Noun::Image, || post(images::tag::tag)),
    here("DELETE", "/images/{name}", Verb::Remove, Noun::Image, || delete(images::remove::remove)),
    here("POST", "/images/create", Verb::Pull, Noun::Image, || post(images::create::create)),
    here("GET", "/images/search", Verb::Pull, Noun::Image, || get(images::search::search)),
    here("GET", "/images/get", Verb::Save, Noun::Image, || get(images::save::save_all)),
    here("GET", "/images/{name}/get", Verb::Save, Noun::Image, || get(images::save::save)),
    here("POST", "/images/{name}/push", Verb::Push, Noun::Image, || post(images::push::push)),
    missing("POST", "/build", BUILD),
    open("POST", "/build/prune", || post(system::missing::no_build_cache)),
    missing("POST", "/build/cancel", BUILD),
    missing("POST", "/session", BUILD),
    missing("POST", "/grpc", BUILD),
    here("GET", "/distribution/{name}/json", Verb::Pull, Noun::Image, || get(images::distribution::distribution)),
    here("GET", "/volumes", Verb::List, Noun::Volume, || get(volumes::list::list)),
    here("POST", "/volumes/create", Verb::Create, Noun::Volume, || post(volumes::create::create)),
    here("POST", "/volumes/prune", Verb::Prune, Noun::Volume, || post(volumes::prune::prune)),
    here("GET", "/volumes/{name}", Verb::View, Noun::Volume, || get(volumes::inspect::inspect)),
    here("DELETE", "/volumes/{name}", Verb::Remove, Noun::Volume, || delete(volumes::remove::remove)),
    no_swarm("PUT", "/volumes/{name}"),
    here("GET", "/networks", Verb::List, Noun::Network, || get(networks::list::list)),
    here("POST", "/networks/prune", Verb::List, Noun::Network, || post(networks::prune::prune)),
    missing("POST", "/networks/create", NETWORKS),
    here("GET", "/networks/{id}", Verb::View, Noun::Network, || get(networks::inspect::inspect)),
    here("DELETE", "/networks/{id}", Verb::View, Noun::Network, || delete(networks::remove::remove)),
    missing("POST", "/networks/{id}/connect", NETWORKS),
    missing("POST", "/networks/{id}/disconnect", NETWORKS),
    open("GET", "/plugins", || get(system::missing::no_plugins)),
    missing("GET", "/plugins/privileges", PLUGINS),
    missing("POST", "/plugins/pull", PLUGINS),
    missing("POST", "/plugins/create", PLUGINS),
    open("GET", "/plugins/{*name}", || get(system::missing::no_such_plugin)),
    missing("POST", "/plugins/{*name}", PLUGINS),
    missing("DELETE", "/plugins/{*name}", PLUGINS),
    missing("POST", "/swarm/init", SWARM),
    missing("POST", "/swarm/join", SWARM),
    no_swarm("GET", "/swarm"),
    no_swarm("POST", "/swarm/leave"),
    no_swarm("POST", "/swarm/update"),
    no_swarm("GET", "/swarm/unlockkey"),
    no_swarm("POST", "/swarm/unlock"),
    no_swarm("GET", "/nodes"),
    no_swarm("GET", "/nodes/{id}"),
    no_swarm("DELETE", "/nodes/{id}"),
    no_swarm("POST", "/nodes/{id}/update"),
    no_swarm("GET", "/services"),
    no_swarm("POST", "/services/create"),
    no_swarm("GET", "/services/{id}"),
    no_swarm("DELETE", "/services/{id}"),
    no_swarm("POST", "/services/{id}/update"),
    no_swarm("GET", "/services/{id}/logs"),
    no_swarm("GET", "/tasks"),
    no_swarm("GET", "/tasks/{id}"),
    no_swarm("GET", "/tasks/{id}/logs"),
    no_swarm("GET", "/secrets"),
    no_swarm("POST", "/secrets/create"),
    no_swarm("GET", "/secrets/{id}"),
    no_swarm("DELETE", "/secrets/{id}"),
    no_swarm("POST", "/secrets/{id}/update"),
    no_swarm("GET", "/configs"),
    no_swarm("POST", "/configs/create"),
    no_swarm("GET", "/configs/{id}"),
    no_swarm("DELETE", "/configs/{id}"),
    no_swarm("POST", "/configs/{id}/update"),
];

/// The router over the table. It expects version and caller among a request's extensions.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let methods = match route.handler {
            Handler::Here(handler) => handler(),
            Handler::Missing(sentence) => filtered(route, move |body| system::missing::refuse(body, sentence)),
            Handler::NoSwarm => filtered(route, system::missing::no_swarm),
        };
        router = router.route(route.path, methods);
    }
    router
        .method_not_allowed_fallback(system::missing::page_not_found)
        .fallback(system::missing::page_not_found)
        .with_state(app)
}

/// A handler for the route's method alone.
fn filtered<F, Out>(route: &Route, handler: F) -> MethodRouter<Arc<App>>
where
    F: Fn(Body) -> Out + Clone + Send + Sync + 'static,
    Out: Future<Output = DockerError> + Send + 'static,
{
    match route.method {
        "PUT" => put(handler),
        "POST" => post(handler),
        "DELETE" => delete(handler),
        "HEAD" => on(MethodFilter::HEAD, handler),
        _ => get(handler),
    }
}

impl Route {
    /// The method as a type.
    pub fn method(&self) -> Method {
        self.method.parse().unwrap_or(Method::GET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_route_stands_twice_and_each_act_is_one_of_the_policy() {
        let mut seen = BTreeSet::new();
        for route in ROUTES {
            assert!(seen.insert((route.method, route.path)), "{} {}", route.method, route.path);
            if let Some(act) = route.act {
                assert!(crate::policy::needs(act).is_some(), "{} {}", route.method, route.path);
            }
        }
    }
}
