//! `GET /setup`, `POST /setup`: the first run. There is no default password; the token stands on the server's console.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::error::{PageError, door};
use super::frame::Door;
use super::sign_in::{agent, answer, begin, chosen_door, keep_language, too_many};
use crate::app::App;
use crate::auth::login::LoginError;
use crate::auth::setup;
use crate::doors::address;

/// What the address brings along.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    token: String,
    language: String,
}

/// What was typed.
#[derive(Deserialize)]
pub struct Form {
    token: String,
    name: String,
    password: String,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct Page {
    door: Door,
    error: Option<String>,
    token: String,
    name: String,
}

/// The form, while it is wanted.
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    query: web::Query<Query>,
) -> Result<HttpResponse, PageError> {
    let wanted = setup::is_wanted(&app).await.map_err(|error| PageError::service(&request, &error.into()))?;
    if !wanted {
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/login")).finish());
    }
    let (door, language) = chosen_door(&request, &query.language);
    let page = Page { door, error: None, token: query.token.clone(), name: String::new() };
    let mut answer = answer(&page, StatusCode::OK)?;
    keep_language(&mut answer, language);
    Ok(answer)
}

/// Makes the first administrator.
pub async fn finish(
    app: web::Data<App>,
    request: HttpRequest,
    form: web::Form<Form>,
) -> Result<HttpResponse, PageError> {
    let agent = agent(&request);
    let first = setup::First {
        token: form.token.trim(),
        name: form.name.trim(),
        password: &form.password,
        address: address::of(&app, &request),
        agent: &agent,
    };
    let again = |status: StatusCode, error: String| {
        let page =
            Page { door: door(&request), error: Some(error), token: form.token.clone(), name: form.name.clone() };
        answer(&page, status)
    };
    let t = door(&request).t;
    match setup::finish(&app, first).await {
        Ok(Some(session)) => Ok(begin(&app, &request, &session, "/")),
        Ok(None) => again(StatusCode::FORBIDDEN, t.get("setup-token-wrong")),
        Err(LoginError::TooMany(error)) => again(StatusCode::TOO_MANY_REQUESTS, too_many(t, &error)),
        Err(LoginError::Accounts(error)) => again(StatusCode::BAD_REQUEST, error.to_string()),
    }
}
