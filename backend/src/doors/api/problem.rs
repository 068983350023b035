//! Errors of REST as problem+json (RFC 9457). The one place that turns a [`Kind`] into a status of this door.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use sampan_engine::Kind;
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::AccountsError;
use crate::auth::TooMany;
use crate::policy::Denied;
use crate::service::ServiceError;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:sampan:problem:not-found`, …
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The status of this answer.
    status: u16,
    /// What was asked for and why it was not done.
    detail: String,
    #[serde(skip)]
    allow: Option<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:sampan:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            allow: None,
            retry_after_seconds: None,
        }
    }

    /// A request that is wrong in itself.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", "the request is wrong", detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is no such thing", detail)
    }

    /// Nobody known calls.
    pub fn unauthorized() -> Self {
        let detail = "send an API token as `Authorization: Bearer …`, or log in";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?", detail)
    }

    /// A browser's request that did not come from a page of ours.
    pub fn cross_site() -> Self {
        let detail = "a session's request needs its own origin and the header x-csrf-token";
        Self::new(StatusCode::FORBIDDEN, "cross-site", "not from a page of this site", detail)
    }

    /// No such route.
    pub fn no_route(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-route", "there is no such address", format!("there is no {path}"))
    }

    /// A route that knows other methods.
    pub fn method(method: &str, path: &str, allow: String) -> Self {
        let detail = format!("{path} does not know {method}; it knows {allow}");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "wrong method", detail);
        Self { allow: Some(allow), ..problem }
    }

    /// A body that is too large.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large", detail)
    }

    /// A body of another type.
    pub fn media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "the body has the wrong type", detail)
    }

    /// Too many websocket tickets are out.
    pub fn too_many_tickets() -> Self {
        let detail = "too many tickets are out: wait 30 seconds";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many tries", detail);
        Self { retry_after_seconds: Some(30), ..problem }
    }

    /// Something of ours failed; the chain is in the log.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::of(Kind::Internal, error)
    }

    fn of(kind: Kind, error: &(dyn std::error::Error + 'static)) -> Self {
        let (status, name, title) = match kind {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid", "the request is wrong"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "there is no such thing"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "its state does not allow it"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "you may not"),
            Kind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "unsupported", "not offered here"),
            Kind::Exhausted => (StatusCode::INSUFFICIENT_STORAGE, "exhausted", "nothing left"),
            Kind::CommandNotFound => (StatusCode::BAD_REQUEST, "command-not-found", "no such program"),
            Kind::CommandNotRunnable => (StatusCode::BAD_REQUEST, "command-not-runnable", "not a program"),
            Kind::NotModified => (StatusCode::CONFLICT, "not-modified", "it is so already"),
            Kind::Upstream => (StatusCode::BAD_GATEWAY, "upstream", "another server did not do its part"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "something of ours failed"),
        };
        if kind == Kind::Internal {
            tracing::error!(error = chain(error), "a request failed");
        }
        if sampan_engine::disk_is_full(error) {
            let sentence = sampan_engine::sentence(error);
            return Self::new(status, name, "the disk is full", format!("{sentence}; {FULL}"));
        }
        Self::new(status, name, title, error.to_string())
    }
}

/// What to do about a full disk.
const FULL: &str = "the disk is full: POST /api/v1/containers/prune, /api/v1/images/prune and /api/v1/volumes/prune remove \
                    what nobody uses, GET /api/v1/system/df says what takes the room";

/// An error with all that caused it, for the log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header(("retry-after", seconds.to_string()));
        }
        response.content_type("application/problem+json").json(self)
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<Denied> for Problem {
    fn from(error: Denied) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many tries", error.to_string());
        Self { retry_after_seconds: Some(error.seconds), ..problem }
    }
}

/// The errors that every route can answer with.
#[derive(utoipa::IntoResponses)]
pub enum Problems {
    /// The request is wrong: a value, a field that does not exist, malformed JSON
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(#[to_schema] Problem),
    /// Nobody known calls
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] Problem),
    /// The caller may see it, but not do this
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// There is no such thing, or the caller may not know that there is
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] Problem),
    /// Its state does not allow it
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] Problem),
    /// Not offered by this release, kernel or host
    #[response(status = 501, content_type = "application/problem+json")]
    Unsupported(#[to_schema] Problem),
}
