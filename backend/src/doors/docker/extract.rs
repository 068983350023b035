//! What a handler gets of a request: query and body, read as dockerd reads them, refused with its words.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use http::header;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

use super::error::DockerError;
use super::version::Version;
use crate::auth::Caller;

/// Largest JSON body. A create request with a seccomp profile inside is some tens of KiB.
pub const BODY_LIMIT_BYTES: usize = 4 << 20;

/// The query, as a struct whose fields have defaults.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = DockerError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, DockerError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|refused| DockerError::invalid(refused.body_text()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = DockerError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, DockerError> {
        // Put there by the door before it routes.
        parts.extensions.get::<Version>().copied().ok_or_else(|| DockerError::internal("the request has no version"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = DockerError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, DockerError> {
        // Put there by the door before it routes, from the peer's credentials.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| DockerError::internal("the request has no caller"))
    }
}

/// A JSON body. `null` is as if the field was not sent, at every depth.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = DockerError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, DockerError> {
        let value = read_json(request)
            .await?
            .ok_or_else(|| DockerError::invalid("invalid JSON: got EOF while reading request body"))?;
        from_value(value).map(Self)
    }
}

/// A JSON body that may be absent.
pub struct MaybeJson<T>(pub Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MaybeJson<T> {
    type Rejection = DockerError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, DockerError> {
        match read_json(request).await? {
            Some(value) => from_value(value).map(|read| Self(Some(read))),
            None => Ok(Self(None)),
        }
    }
}

/// The body as JSON, `None` when it is empty.
async fn read_json(request: Request) -> Result<Option<Value>, DockerError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = axum::body::to_bytes(request.into_body(), BODY_LIMIT_BYTES).await.map_err(|_| {
        DockerError::new(
            http::StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request's body could not be read, or is larger than {BODY_LIMIT_BYTES} bytes"),
        )
    })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let essence = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim();
    if essence != "application/json" {
        return Err(DockerError::invalid(format!(
            "unsupported Content-Type header ({essence}): must be 'application/json'"
        )));
    }
    parse(&bytes).map(Some)
}

/// Parses JSON and takes its nulls out.
fn parse(bytes: &[u8]) -> Result<Value, DockerError> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| DockerError::invalid(format!("invalid JSON: {error}")))?;
    strip_nulls(&mut value, false);
    Ok(value)
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, DockerError> {
    serde_json::from_value(value).map_err(|error| DockerError::invalid(format!("invalid JSON: {error}")))
}

/// Takes out fields that are null, except the entries of maps whose keys alone matter (`"80/tcp": null`).
fn strip_nulls(value: &mut Value, keep: bool) {
    match value {
        Value::Object(fields) => {
            if !keep {
                fields.retain(|_, field| !field.is_null());
            }
            for (name, field) in fields.iter_mut() {
                strip_nulls(
                    field,
                    matches!(name.as_str(), "ExposedPorts" | "Volumes" | "PortBindings" | "EndpointsConfig"),
                );
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip_nulls(item, false)),
        _ => {}
    }
}

/// A yes or no in a query: empty, `0`, `no`, `false` and `none` are no, all else is yes.
///
/// # Errors
/// None of its own.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(!matches!(text.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none"))
}

/// A yes or no that may be absent.
///
/// # Errors
/// None of its own.
pub fn maybe_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    flag(deserializer).map(Some)
}

/// A whole number in a query that may be absent or empty.
///
/// # Errors
/// When it is neither empty nor a number.
pub fn maybe_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("{text:?} is not a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Query {
        #[serde(default, deserialize_with = "flag")]
        all: bool,
        #[serde(default, deserialize_with = "maybe_flag")]
        stream: Option<bool>,
        #[serde(default, deserialize_with = "maybe_number")]
        limit: Option<i64>,
    }

    fn query(text: &str) -> Query {
        axum::extract::Query::try_from_uri(&format!("/?{text}").parse().unwrap()).unwrap().0
    }

    #[test]
    fn yes_and_no_are_dockers() {
        for no in ["", "0", "no", "False", "none"] {
            assert!(!query(&format!("all={no}")).all, "{no}");
        }
        for yes in ["1", "true", "yes", "x"] {
            assert!(query(&format!("all={yes}")).all, "{yes}");
        }
        assert_eq!(query("").stream, None);
        assert_eq!(query("stream=0&limit=5").stream, Some(false));
        assert_eq!(query("limit=5").limit, Some(5));
        assert_eq!(query("limit=").limit, None);
    }

    #[test]
    fn nulls_are_as_if_not_sent_but_keys_of_port_maps_stay() {
        let mut value =
            serde_json::json!({"A": null, "B": {"C": null, "D": [ {"E": null} ]}, "ExposedPorts": {"80/tcp": null}});
        strip_nulls(&mut value, false);
        assert_eq!(value, serde_json::json!({"B": {"D": [ {} ]}, "ExposedPorts": {"80/tcp": null}}));
    }

    #[test]
    fn what_is_not_json_is_refused_with_the_reason() {
        let error = parse(b"{\"a\": ").unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.message.starts_with("invalid JSON: EOF while parsing"), "{}", error.message);
        assert!(parse(b"{} {}").is_err());
    }
}
