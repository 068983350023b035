//! Every route of the registry, as one table.

use actix_web::dev::Service as _;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, ServiceConfig};

use super::{blobs, error, lists, manifests, token, uploads, visitor};

/// Method and path of each route, for the table test of the policy.
#[cfg(test)]
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/v2/"),
    ("GET", "/v2/token"),
    ("POST", "/v2/token"),
    ("GET", "/v2/_catalog"),
    ("GET", "/v2/{name}/tags/list"),
    ("GET", "/v2/{name}/referrers/{digest}"),
    ("GET", "/v2/{name}/manifests/{reference}"),
    ("HEAD", "/v2/{name}/manifests/{reference}"),
    ("PUT", "/v2/{name}/manifests/{reference}"),
    ("DELETE", "/v2/{name}/manifests/{reference}"),
    ("GET", "/v2/{name}/blobs/{digest}"),
    ("HEAD", "/v2/{name}/blobs/{digest}"),
    ("DELETE", "/v2/{name}/blobs/{digest}"),
    ("POST", "/v2/{name}/blobs/uploads/"),
    ("GET", "/v2/{name}/blobs/uploads/{id}"),
    ("PATCH", "/v2/{name}/blobs/uploads/{id}"),
    ("PUT", "/v2/{name}/blobs/uploads/{id}"),
    ("DELETE", "/v2/{name}/blobs/uploads/{id}"),
];

/// What clients look for to know that this is a registry.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// Puts the registry into the server.
pub fn configure(config: &mut ServiceConfig) {
    let scope = web::scope("/v2")
        .wrap_fn(|request, service| {
            let answer = service.call(request);
            async move {
                let mut answer = answer.await?;
                answer.headers_mut().insert(VERSION.0, VERSION.1);
                Ok(answer)
            }
        })
        .app_data(error::query_config())
        .service(web::resource(["", "/"]).route(web::get().to(visitor::ping)))
        .service(web::resource("/token").route(web::get().to(token::by_query)).route(web::post().to(token::by_form)))
        .service(web::resource("/_catalog").route(web::get().to(lists::catalog)))
        .service(web::resource("/{name:.+}/tags/list").route(web::get().to(lists::tags)))
        .service(web::resource("/{name:.+}/referrers/{digest}").route(web::get().to(lists::referrers)))
        .service(
            web::resource("/{name:.+}/manifests/{reference}")
                .route(web::get().to(manifests::get))
                .route(web::head().to(manifests::head_only))
                .route(web::put().to(manifests::put))
                .route(web::delete().to(manifests::delete))
                .default_service(web::to(error::wrong_method)),
        )
        .service(
            web::resource(["/{name:.+}/blobs/uploads/", "/{name:.+}/blobs/uploads"])
                .route(web::post().to(uploads::begin))
                .default_service(web::to(error::wrong_method)),
        )
        .service(
            web::resource("/{name:.+}/blobs/uploads/{id}")
                .route(web::get().to(uploads::status))
                .route(web::patch().to(uploads::append))
                .route(web::put().to(uploads::finish))
                .route(web::delete().to(uploads::cancel))
                .default_service(web::to(error::wrong_method)),
        )
        .service(
            web::resource("/{name:.+}/blobs/{digest}")
                .route(web::get().to(blobs::get))
                .route(web::head().to(blobs::head))
                .route(web::delete().to(blobs::delete))
                .default_service(web::to(error::wrong_method)),
        )
        .default_service(web::to(error::no_route));
    config.service(scope);
}

/// Whether blobs are sent to this address: they may take long as a whole, and have a patience of their own.
pub fn is_upload(path: &str) -> bool {
    path.starts_with("/v2/") && path.contains("/blobs/uploads")
}
