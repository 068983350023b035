//! The routes, and what happens to requests that fit none or cannot be read.

use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError};
use actix_web::http::Method;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, ResponseError, dev::ResourceDef};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Problem, containers, difference, execs, images, networks, operations, people, registries, repositories, robots,
    system, volumes,
};

/// Most bytes of a JSON body.
const JSON_BYTES: usize = 1 << 20;

/// All routes beneath /api/v1.
pub fn configure(config: &mut ServiceConfig<'_>) {
    containers::configure(config);
    execs::configure(config);
    operations::configure(config);
    images::configure(config);
    difference::configure(config);
    registries::configure(config);
    networks::configure(config);
    volumes::configure(config);
    system::configure(config);
    people::configure(config);
    repositories::configure(config);
    robots::configure(config);
}

/// How JSON bodies are read.
pub fn json_config() -> web::JsonConfig {
    web::JsonConfig::default().limit(JSON_BYTES).error_handler(|error, _| json_problem(&error).into())
}

/// How queries are read.
pub fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|error, _| match &error {
        QueryPayloadError::Deserialize(reason) => Problem::invalid(format!("the query is wrong: {reason}")).into(),
        _ => Problem::invalid(format!("the query is wrong: {error}")).into(),
    })
}

/// How addresses are read. What is no number where one stands names nothing.
pub fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|error, request| match &error {
        PathError::Deserialize(_) => Problem::no_route(request.path()).into(),
        _ => Problem::invalid(error.to_string()).into(),
    })
}

fn json_problem(error: &JsonPayloadError) -> Problem {
    match error {
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            Problem::too_large(format!("a JSON body may have {JSON_BYTES} bytes"))
        }
        JsonPayloadError::ContentType => Problem::media_type("send JSON with content-type: application/json"),
        JsonPayloadError::Deserialize(reason) => Problem::invalid(format!("the body is wrong: {reason}")),
        other => Problem::invalid(format!("the body cannot be read: {}", other.status_code())),
    }
}

/// What the routes know, for requests that fit none.
#[derive(Debug)]
pub struct KnownRoutes {
    routes: Vec<(ResourceDef, Vec<Method>)>,
}

impl KnownRoutes {
    /// From the document.
    pub fn new(document: &utoipa::openapi::OpenApi) -> Self {
        let routes = document.paths.paths.iter().map(|(path, item)| {
            let methods = [
                (&item.get, Method::GET),
                (&item.put, Method::PUT),
                (&item.post, Method::POST),
                (&item.delete, Method::DELETE),
                (&item.patch, Method::PATCH),
            ];
            let methods = methods.into_iter().filter_map(|(operation, method)| operation.as_ref().map(|_| method));
            (ResourceDef::new(path.as_str()), methods.collect())
        });
        Self { routes: routes.collect() }
    }

    fn methods(&self, path: &str) -> Vec<&Method> {
        let fitting = self.routes.iter().filter(|(route, _)| route.is_match(path));
        fitting.flat_map(|(_, methods)| methods).collect()
    }
}

/// The answer to a request that fits no route: 405 where the address is known, else 404.
pub async fn fits_none(request: HttpRequest, known: Data<KnownRoutes>) -> Result<actix_web::HttpResponse, Problem> {
    let path = request.path();
    let mut methods: Vec<&str> = known.methods(path).into_iter().map(Method::as_str).collect();
    if methods.is_empty() {
        return Err(Problem::no_route(path));
    }
    methods.sort_unstable();
    methods.dedup();
    Err(Problem::method(request.method().as_str(), path, methods.join(", ")))
}
