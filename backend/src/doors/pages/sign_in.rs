//! `GET /login`, `POST /login`, `POST /logout`: equal answers for unknown users and wrong passwords.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::error::{PageError, door};
use super::frame::Door;
use super::reader::Reader;
use crate::accounts::NewSession;
use crate::app::App;
use crate::auth::login::{Attempt, LoginError, Outcome, login};
use crate::auth::{session, setup};
use crate::doors::{address, https};
use crate::texts::{Language, Texts};

/// Cookie that keeps the language before somebody is signed in.
pub(super) const LANGUAGE: &str = "sampan_language";

/// What the address brings along.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    next: String,
    language: String,
}

/// What was typed.
#[derive(Deserialize)]
pub struct Form {
    name: String,
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    door: Door,
    error: Option<String>,
    name: String,
    next: String,
}

/// The form; to the first run while there is no administrator.
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    query: web::Query<Query>,
) -> Result<HttpResponse, PageError> {
    let wanted = setup::is_wanted(&app).await.map_err(|error| PageError::service(&request, &error.into()))?;
    if wanted {
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/setup")).finish());
    }
    let (door, language) = chosen_door(&request, &query.language);
    let page = Page { door, error: None, name: String::new(), next: query.next.clone() };
    let mut answer = answer(&page, StatusCode::OK)?;
    keep_language(&mut answer, language);
    Ok(answer)
}

/// Name, password and code.
pub async fn sign_in(
    app: web::Data<App>,
    request: HttpRequest,
    form: web::Form<Form>,
) -> Result<HttpResponse, PageError> {
    let old = request.cookie(session::COOKIE);
    let agent = agent(&request);
    let attempt = Attempt {
        name: form.name.trim(),
        password: &form.password,
        code: &form.code,
        address: address::of(&app, &request),
        agent: &agent,
        old_cookie: old.as_ref().map(Cookie::value),
    };
    let again = |status: StatusCode, error: String| {
        let page = Page { door: door(&request), error: Some(error), name: form.name.clone(), next: form.next.clone() };
        answer(&page, status)
    };
    let t = door(&request).t;
    match login(&app, attempt).await {
        Ok(Outcome::In(session)) => Ok(begin(&app, &request, &session, &next_path(&form.next))),
        Ok(Outcome::CodeWanted) => again(StatusCode::UNAUTHORIZED, t.get("code-hint")),
        Ok(Outcome::Wrong) => again(StatusCode::UNAUTHORIZED, t.get("sign-in-wrong")),
        Err(LoginError::TooMany(error)) => again(StatusCode::TOO_MANY_REQUESTS, too_many(t, &error)),
        Err(LoginError::Accounts(error)) => Err(PageError::service(&request, &error.into())),
    }
}

/// Ends the session.
pub async fn sign_out(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<super::team::Plain>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    session::logout(&app, &reader.cookie).await.map_err(|error| reader.refuse(error))?;
    let mut gone = Cookie::build(session::COOKIE, "").path("/").finish();
    gone.make_removal();
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/login")).cookie(gone).finish())
}

/// The answer that sets the session's cookie and goes on to `place`.
pub(super) fn begin(app: &App, request: &HttpRequest, session: &NewSession, place: &str) -> HttpResponse {
    let public = app.config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let secure = public || https::is_encrypted(request) || request.connection_info().scheme() == "https";
    let cookie = Cookie::build(session::COOKIE, session.cookie.expose().to_owned())
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
        .finish();
    HttpResponse::SeeOther().insert_header((LOCATION, place)).cookie(cookie).finish()
}

/// The sentence for somebody who tried too often.
pub(super) fn too_many(t: Texts, error: &crate::auth::TooMany) -> String {
    t.with("sign-in-throttled", i64::try_from(error.seconds).unwrap_or(i64::MAX))
}

/// What the browser says about itself, cut to what a list shows.
pub(super) fn agent(request: &HttpRequest) -> String {
    let header = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    header.unwrap_or_default().chars().take(200).collect()
}

/// The door in the language that `?language=` asks for, else as [`door`]; and that language to keep.
pub(super) fn chosen_door(request: &HttpRequest, asked: &str) -> (Door, Option<Language>) {
    let mut found = door(request);
    let language = Language::from_tag(asked);
    if let Some(language) = language {
        found.t = Texts::of(language);
    }
    (found, language)
}

/// Keeps the language in a cookie.
pub(super) fn keep_language(answer: &mut HttpResponse, language: Option<Language>) {
    let Some(language) = language else { return };
    let cookie = Cookie::build(LANGUAGE, language.tag()).path("/").same_site(SameSite::Lax).finish();
    if let Err(error) = answer.add_cookie(&cookie) {
        tracing::warn!(%error, "the language could not be kept in a cookie");
    }
}

/// A page outside the frame.
pub(super) fn answer(page: &impl Template, status: StatusCode) -> Result<HttpResponse, PageError> {
    let body = page.render().map_err(|error| {
        let host = String::new();
        PageError::failed(Door::new(Language::English, None, host), &error.to_string())
    })?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body))
}

/// A path of this server to go on to, never another server's.
fn next_path(next: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let fine = next.starts_with('/') && !next.starts_with("//") && next.chars().all(plain);
    if fine { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::next_path;

    #[test]
    fn nobody_is_sent_to_another_server() {
        assert_eq!(next_path("/containers/web"), "/containers/web");
        for wrong in ["//evil.test", "https://evil.test", "", "/\\evil", "/a?b=c", "javascript:x"] {
            assert_eq!(next_path(wrong), "/", "{wrong}");
        }
    }
}
