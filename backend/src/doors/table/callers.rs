//! Asks a door as somebody.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::{TestRequest, init_service};
use base64::Engine as _;
use tower_service::Service;

use super::rows::{Answer, Row};
use crate::auth::{Door, session};
use crate::doors::Patience;
use crate::doors::{docker, http};
use crate::testing::{BLOB, CONTAINER, IMAGE, Instance, MANIFEST, MANIFEST_TYPE, REPOSITORY, TEAM, UPLOAD, VOLUME};

/// A request that is let in may wait for something (the end of a container): that is an answer too.
const WAITS: Duration = Duration::from_millis(500);
/// No page waits for anything, and no refusal: on a busy host they may still take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status that `who` gets; 202 for a request that waits, where `expected` is to be let in.
pub async fn ask(instance: &Instance, row: &Row, who: &str, expected: Answer) -> u16 {
    let waits = if expected == Answer::In && row.door != "pages" { WAITS } else { PATIENCE };
    match row.door {
        "docker" => ask_docker(instance, row, who, waits).await,
        "pages" => ask_page(instance, row, who, waits).await,
        "registry" => ask_registry(instance, row, who, waits).await,
        _ => ask_rest(instance, row, who, waits).await,
    }
}

async fn ask_rest(instance: &Instance, row: &Row, who: &str, waits: Duration) -> u16 {
    let mut request = TestRequest::with_uri(&path(row)).method(method(row));
    if who != "nobody" {
        request = request.insert_header(("authorization", format!("Bearer {}", instance.token(who))));
    }
    if !row.body.is_empty() {
        request = request.insert_header(("content-type", "application/json")).set_payload(row.body);
    }
    send(instance, request, waits).await
}

async fn ask_registry(instance: &Instance, row: &Row, who: &str, waits: Duration) -> u16 {
    let path = row.path.replace("{name}", REPOSITORY).replace("{reference}", "latest").replace("{digest}", BLOB);
    let mut request = TestRequest::with_uri(&path.replace("{id}", UPLOAD)).method(method(row));
    if who != "nobody" {
        request = request.insert_header(("authorization", basic(who, instance.token(who))));
    }
    if !row.body.is_empty() {
        request = request.insert_header(("content-type", MANIFEST_TYPE)).set_payload(row.body);
    }
    send(instance, request, waits).await
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}")))
}

/// What is wrong with a session's request that its page did not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forged {
    /// It has no CSRF token.
    NoToken,
    /// It has another session's token.
    WrongToken,
    /// It does not say where it comes from.
    NoOrigin,
    /// It comes from another site.
    ForeignOrigin,
}

impl Forged {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::NoToken, Self::WrongToken, Self::NoOrigin, Self::ForeignOrigin];
}

/// The status that a request gets which carries the owner's cookie but is forged.
pub async fn ask_forged(instance: &Instance, row: &Row, forged: Forged) -> u16 {
    let accounts = &instance.app.accounts;
    let user = accounts.user_named("owner").await.unwrap();
    let begun = accounts.begin_session(user.id, "192.0.2.1", "test").await.unwrap();
    let other = accounts.begin_session(user.id, "192.0.2.1", "test").await.unwrap();
    let mut request = TestRequest::with_uri(&path(row))
        .method(method(row))
        .insert_header(("host", "sampan.test"))
        .insert_header(("cookie", format!("{}={}", session::COOKIE, begun.cookie.expose())));
    let token = match forged {
        Forged::NoToken => "",
        Forged::WrongToken => other.csrf.expose(),
        Forged::NoOrigin | Forged::ForeignOrigin => begun.csrf.expose(),
    };
    match forged {
        Forged::NoOrigin => {}
        Forged::ForeignOrigin => request = request.insert_header(("origin", "http://evil.test")),
        _ => request = request.insert_header(("origin", "http://sampan.test")),
    }
    if row.door == "pages" {
        let form = ("content-type", "application/x-www-form-urlencoded");
        request = request.insert_header(form).set_payload(format!("csrf={token}&{}", row.body));
    } else {
        let json = ("content-type", "application/json");
        request = request.insert_header((session::CSRF_HEADER, token)).insert_header(json).set_payload(row.body);
    }
    send(instance, request, PATIENCE).await
}

async fn ask_page(instance: &Instance, row: &Row, who: &str, waits: Duration) -> u16 {
    let mut request = TestRequest::with_uri(&path(row)).method(method(row));
    let mut csrf = String::new();
    if who != "nobody" {
        let accounts = &instance.app.accounts;
        let user = accounts.user_named(who).await.unwrap();
        let begun = accounts.begin_session(user.id, "192.0.2.1", "test").await.unwrap();
        if user.is_administrator {
            accounts.switch_team(begun.cookie.expose(), user.id, TEAM).await.unwrap();
        }
        csrf = begun.csrf.expose().to_owned();
        request = request.insert_header(("cookie", format!("{}={}", session::COOKIE, begun.cookie.expose())));
    }
    if row.method == "POST" {
        let body = format!("csrf={csrf}&{}", row.body);
        let form = ("content-type", "application/x-www-form-urlencoded");
        request = request
            .insert_header(form)
            .insert_header(("host", "sampan.test"))
            .insert_header(("origin", "http://sampan.test"))
            .set_payload(body);
    }
    send(instance, request, waits).await
}

async fn send(instance: &Instance, request: TestRequest, waits: Duration) -> u16 {
    static RENDERED: LazyLock<http::Rendered> = LazyLock::new(|| http::Rendered::new().unwrap());
    let shared = http::Shared::new(instance.app.clone(), &RENDERED, Patience::default());
    let site = init_service(http::site(shared)).await;
    let request = request.peer_addr("192.0.2.1:1024".parse().unwrap()).to_request();
    match tokio::time::timeout(waits, actix_web::dev::Service::call(&site, request)).await {
        Ok(Ok(response)) => response.status().as_u16(),
        Ok(Err(error)) => error.as_response_error().status_code().as_u16(),
        Err(_) if waits == WAITS => 202,
        Err(_) => 504,
    }
}

async fn ask_docker(instance: &Instance, row: &Row, who: &str, waits: Duration) -> u16 {
    // A host user who is nobody to us does not get to the router: the socket's own test says what they get.
    if who == "nobody" {
        let known = crate::auth::socket::caller(&instance.app, 65_533, 65_533).await.unwrap();
        return if known.is_none() { 401 } else { 200 };
    }
    let app: Arc<crate::app::App> = instance.app.clone().into_inner();
    let mut request = ::http::Request::builder()
        .method(row.method)
        .uri(path(row))
        .header("content-type", "application/json")
        .body(axum::body::Body::from(row.body))
        .unwrap();
    request.extensions_mut().insert(docker::NEWEST);
    let (takers, _taken): (docker::Takers, _) = tokio::sync::mpsc::channel(1);
    request.extensions_mut().insert(takers);
    request.extensions_mut().insert(instance.caller(who, Door::Docker).await);
    match tokio::time::timeout(waits, docker::router(app).call(request)).await {
        Ok(Ok(response)) => response.status().as_u16(),
        Ok(Err(never)) => match never {},
        Err(_) if waits == WAITS => 202,
        Err(_) => 504,
    }
}

fn method(row: &Row) -> Method {
    row.method.parse().unwrap()
}

/// The row's path with the things of [`TEAM`] in it.
fn path(row: &Row) -> String {
    let noun = row.path.trim_start_matches("/api/v1").trim_start_matches("/live").split('/').nth(1).unwrap_or_default();
    let id = match noun {
        "images" => IMAGE,
        "networks" => "bridge",
        "exec" => "9999",
        "tokens" => "2",
        "robots" => "1",
        "operations" | "mirrors" => "9999",
        "assets" => "none.css",
        _ => CONTAINER,
    };
    let name = match noun {
        "images" => IMAGE,
        "networks" => "bridge",
        "users" => "developer",
        "distribution" => "nowhere.invalid%2Fa",
        "repositories" | "registry" => "app",
        "assets" => "none.css",
        _ => VOLUME,
    };
    let filled = row.path.replace("{id}", id).replace("{name}", name).replace("{team}", TEAM);
    let manifest = sampan_engine::digest::Digest::of(MANIFEST.as_bytes()).to_string();
    let filled = filled.replace("{user}", "viewer").replace("{host}", "localhost:5000");
    filled.replace("{tag}", "latest").replace("{digest}", &manifest)
}
