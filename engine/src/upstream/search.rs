//! Searching a registry by words: the API of Docker Hub. Spec: Docker Registry API v1, "Search".

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use super::body::Body;
use super::rules::base;
use super::transport::{Access, Ask, Transport};
use super::{Credentials, Rules, UpstreamError};

/// Most bytes of an answer.
const ANSWER_BYTES: usize = 2 << 20;

/// One repository that was found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hit {
    /// As it is pulled.
    #[serde(default)]
    pub name: String,
    /// What its owner says.
    #[serde(default)]
    pub description: String,
    /// How many people marked it.
    #[serde(default)]
    pub star_count: i64,
    /// Kept by Docker.
    #[serde(default)]
    pub is_official: bool,
    /// Built by the registry.
    #[serde(default)]
    pub is_automated: bool,
}

impl Hit {
    /// One of which only the name is known.
    pub fn named(name: String) -> Self {
        Self { name, description: String::new(), star_count: 0, is_official: false, is_automated: false }
    }
}

/// Asks a registry; `limit` is 1 to 100.
///
/// # Errors
/// [`UpstreamError::NoSearch`] where there is none.
pub async fn search(
    transport: &Transport,
    rules: &Arc<Rules>,
    elevated: bool,
    credentials: &Credentials,
    registry: &str,
    term: &str,
    limit: u32,
) -> Result<Vec<Hit>, UpstreamError> {
    #[derive(Deserialize)]
    struct Hits {
        results: Vec<Hit>,
    }
    let mut endpoint = rules.endpoint(registry, elevated)?;
    if registry == "docker.io" {
        endpoint.base = base("https://index.docker.io")?;
    }
    let failed = |reason: String| UpstreamError::NoSearch { registry: registry.to_owned(), reason };
    let mut url = endpoint.base.join("/v1/search").map_err(|error| failed(error.to_string()))?;
    url.query_pairs_mut().append_pair("q", term).append_pair("n", &limit.to_string());
    let mut headers = HeaderMap::new();
    if let Some(value) = credentials.basic().and_then(|value| http::HeaderValue::try_from(value).ok()) {
        headers.insert(http::header::AUTHORIZATION, value);
    }
    let access = Access { rules: rules.clone(), elevated, endpoint };
    let tries = 2;
    let answer = transport
        .ask(&access, &Ask { method: Method::GET, url, headers, body: Body::None, tries, follow: true })
        .await?;
    let status = answer.response.status();
    if status != StatusCode::OK {
        return Err(failed(format!("it answers {}", status.as_u16())));
    }
    let bytes = answer.text("the answer to a search", ANSWER_BYTES, transport.shared.patience.text).await?;
    let mut hits: Hits = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    hits.results.truncate(limit as usize);
    Ok(hits.results)
}
