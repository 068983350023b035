//! The OpenAPI document, generated from the routes.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, get};
use utoipa::Modify;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_actix_web::AppExt;

use super::router;
use crate::auth::session;

/// What the document says beside the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Sampan",
        description = "Containers, images, volumes, users and teams of one Sampan host. Every error is an \
            application/problem+json. A token is for one team and shows only what that team has.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "containers", description = "Containers and programs run in them"),
        (name = "images", description = "Images"),
        (name = "volumes", description = "Volumes"),
        (name = "networks", description = "Networks"),
        (name = "operations", description = "Pulls and pushes, which go on behind the answer"),
        (name = "registries", description = "Other registries: how they are reached, with whose name, through which mirrors"),
        (name = "registry", description = "The registry inside: repositories and robots"),
        (name = "system", description = "Events and the host"),
        (name = "people", description = "Users, teams, members, tokens, audit trail"),
        (name = "live", description = "Websockets"),
    ),
    security(("token" = []), ("session" = [])),
    modifiers(&Schemes),
)]
struct Head;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKeyValue::new(session::COOKIE);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// The whole document.
pub fn document() -> OpenApi {
    let rest = utoipa_actix_web::scope("/api/v1").configure(router::configure);
    let live = utoipa_actix_web::scope("/live").configure(crate::doors::live::configure);
    let app = actix_web::App::new().into_utoipa_app().openapi(Head::openapi());
    app.service(rest).service(live).split_for_parts().1
}

/// The document as it is sent.
#[derive(Debug, Clone)]
pub struct DocumentText(pub Bytes);

/// Sends it.
#[get("/api/v1/openapi.json")]
pub async fn send_document(text: Data<DocumentText>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text.0.clone())
}
