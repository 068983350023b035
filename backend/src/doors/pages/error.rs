//! A refusal is a page: what happened, what was left untouched, what to do.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use sampan_engine::Kind;

use super::frame::Door;
use crate::service::ServiceError;
use crate::texts::{Language, Texts};

/// Why a page is not what was asked for.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is signed in: to the sign-in, and back to the path afterwards.
    SignIn {
        /// Path to come back to.
        next: String,
    },
    /// A refusal in the reader's language.
    Refused {
        /// Status.
        status: StatusCode,
        /// Title, sentence and way back, ready.
        body: String,
    },
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Page {
    door: Door,
    title: String,
    text: String,
    back: &'static str,
    status: String,
}

impl PageError {
    /// Nobody is signed in.
    pub fn sign_in(request: &HttpRequest) -> Self {
        let next = if request.method() == actix_web::http::Method::GET { request.uri().path() } else { "/" };
        Self::SignIn { next: next.to_owned() }
    }

    /// A service's error, for a reader whose language only the request tells.
    pub fn service(request: &HttpRequest, error: &ServiceError) -> Self {
        Self::of(door(request), error)
    }

    /// A service's error.
    pub fn of(door: Door, error: &ServiceError) -> Self {
        let (status, title) = match error.kind() {
            Kind::NotFound => (StatusCode::NOT_FOUND, "refused-not-found"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "refused-forbidden"),
            Kind::Invalid | Kind::CommandNotFound | Kind::CommandNotRunnable => {
                (StatusCode::BAD_REQUEST, "refused-failed")
            }
            Kind::Conflict | Kind::NotModified => (StatusCode::CONFLICT, "refused-failed"),
            Kind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "refused-failed"),
            Kind::Exhausted => (StatusCode::INSUFFICIENT_STORAGE, "refused-failed"),
            Kind::Upstream => (StatusCode::BAD_GATEWAY, "refused-failed"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "refused-failed"),
        };
        let text = match error.kind() {
            Kind::NotFound => door.t.get("refused-not-found-text"),
            _ => words(door.t, error),
        };
        let title = door.t.get(title);
        Self::refused(door, status, title, text)
    }

    /// A form without this session's token.
    pub fn csrf(door: Door) -> Self {
        let (title, text) = (door.t.get("refused-forbidden"), door.t.get("refused-csrf-text"));
        Self::refused(door, StatusCode::FORBIDDEN, title, text)
    }

    /// Something of ours failed.
    pub fn failed(door: Door, what: &str) -> Self {
        tracing::error!(error = what, "a page could not be made");
        let title = door.t.get("refused-failed");
        Self::refused(door, StatusCode::INTERNAL_SERVER_ERROR, title, what.to_owned())
    }

    fn refused(door: Door, status: StatusCode, title: String, text: String) -> Self {
        let words = door.t.with("refused-status", status.as_u16().to_string());
        let page = Page { door, title, text, back: "/", status: words };
        let body = page.render().unwrap_or_else(|error| format!("{status}: {error}"));
        Self::Refused { status, body }
    }
}

/// An error as the reader's page says it: that the disk is full, and what to do, in their language.
pub(super) fn words(t: Texts, error: &ServiceError) -> String {
    if sampan_engine::disk_is_full(error) { t.get("refused-full-text") } else { error.to_string() }
}

/// The door of a reader whose session is not known: language from the cookie, then the browser's wish.
pub(super) fn door(request: &HttpRequest) -> Door {
    let cookie = request.cookie("sampan_language").and_then(|cookie| Language::from_tag(cookie.value()));
    let language = cookie.unwrap_or_else(|| {
        let header = request.headers().get("accept-language").and_then(|value| value.to_str().ok());
        Language::negotiate(header.unwrap_or_default())
    });
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Door::new(language, None, host)
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn { next } => write!(f, "nobody is signed in at {next}"),
            Self::Refused { status, .. } => write!(f, "refused with {status}"),
        }
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::Refused { status, .. } => *status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::SignIn { next } => {
                let query = next_query(next);
                HttpResponse::SeeOther().insert_header((LOCATION, format!("/login{query}"))).finish()
            }
            Self::Refused { status, body } => {
                HttpResponse::build(*status).content_type("text/html; charset=utf-8").body(body.clone())
            }
        }
    }
}

/// `?next=…`, only for plain paths of this server.
fn next_query(next: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if next == "/" || !next.chars().all(plain) { String::new() } else { format!("?next={next}") }
}
