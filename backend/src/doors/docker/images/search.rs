//! `GET /images/search`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use sampan_engine::upstream::Hit;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, maybe_number};
use crate::doors::docker::filters::Filters;
use crate::doors::docker::registry_auth;
use crate::policy::Images;
use crate::policy::action::Pull;
use crate::service;

/// How many when nothing is said, and at most.
const USUAL: i64 = 25;
const MOST: i64 = 100;

/// For what.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SearchQuery {
    term: String,
    #[serde(deserialize_with = "maybe_number")]
    limit: Option<i64>,
    filters: String,
}

/// `GET /images/search`: asks a registry for repositories by words: Docker Hub, or the one that the words begin with.
/// Spec: Docker Engine API, `ImageSearch`.
pub async fn search(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<SearchQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, &["is-automated", "is-official", "stars"])?;
    let limit = match query.limit.unwrap_or(USUAL) {
        0 => USUAL,
        limit @ 1..=MOST => limit,
        limit => return Err(DockerError::invalid(format!("limit {limit} is outside the range of [1, {MOST}]"))),
    };
    if query.term.is_empty() {
        return Err(DockerError::invalid("the parameter term is missing"));
    }
    let target = app.policy().team::<Pull, _>(&caller, Images)?;
    let given = registry_auth::credentials(&headers)?;
    let (registry, term) = split(&query.term);
    let limit = u32::try_from(limit).unwrap_or(1);
    let hits = service::registries::search(&app, &target, (registry, term), limit, given).await?;
    let mut wanted = Vec::new();
    for hit in &hits {
        if fits(hit, &filters)? {
            wanted.push(view(hit, registry));
        }
    }
    Ok(Answer(wanted))
}

/// The registry that the words name, and the rest. Source: moby `registry/search.go`, splitReposSearchTerm.
fn split(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => ("docker.io", rest),
            host => (host, rest),
        },
        _ => ("docker.io", term),
    }
}

fn fits(hit: &Hit, filters: &Filters) -> Result<bool, DockerError> {
    let stars = filters
        .get("stars")
        .iter()
        .map(|text| text.parse::<i64>().map_err(|_| DockerError::invalid(format!("invalid filter 'stars={text}'"))));
    let stars = stars.collect::<Result<Vec<_>, _>>()?;
    let official = filters.get("is-official").is_empty() || filters.flag("is-official", false)? == hit.is_official;
    let automated = filters.get("is-automated").is_empty() || filters.flag("is-automated", false)? == hit.is_automated;
    Ok(official && automated && stars.iter().all(|least| hit.star_count >= *least))
}

fn view(hit: &Hit, registry: &str) -> Value {
    let name = if registry == "docker.io" { hit.name.clone() } else { format!("{registry}/{}", hit.name) };
    json!({
        "star_count": hit.star_count,
        "is_official": hit.is_official,
        "name": name,
        "is_automated": hit.is_automated,
        "description": hit.description,
    })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_may_begin_with_a_registry() {
        assert_eq!(split("busybox"), ("docker.io", "busybox"));
        assert_eq!(split("library/busybox"), ("docker.io", "library/busybox"));
        assert_eq!(split("localhost:5000/box"), ("localhost:5000", "box"));
        assert_eq!(split("index.docker.io/a/b"), ("docker.io", "a/b"));
    }
}
