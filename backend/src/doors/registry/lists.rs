//! Lists: tags, referrers, repositories. Spec: distribution-spec, end-8, end-12; `_catalog` as Docker's registry has it.

use actix_web::http::header::{CONTENT_TYPE, LINK};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpResponse, HttpResponseBuilder};
use sampan_engine::digest::Digest;
use sampan_engine::registry::{INDEX, RepositoryName};
use serde::Deserialize;
use serde_json::json;

use super::visitor::Visitor;
use super::{Answer, Refusal};
use crate::app::App;
use crate::auth::RegistryScope;
use crate::policy::action::Pull;
use crate::service::registry;

/// Most names of one answer; the rest is behind its `Link`.
const PAGE: u32 = 10_000;

/// Which part of a list.
#[derive(Debug, Deserialize)]
pub struct PageQuery {
    n: Option<u32>,
    last: Option<String>,
}

/// Which referrers.
#[derive(Debug, Deserialize)]
pub struct ReferrersQuery {
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
    last: Option<String>,
}

/// `GET /v2/<name>/tags/list`.
pub async fn tags(
    app: Data<App>,
    visitor: Visitor,
    path: Path<String>,
    query: Query<PageQuery>,
) -> Answer<HttpResponse> {
    let name: RepositoryName = path.parse()?;
    let target = visitor.may::<Pull>(&name).await?;
    let most = query.n.unwrap_or(PAGE).min(PAGE);
    let after = query.last.as_deref().unwrap_or_default();
    let mut tags = registry::tag_names(&app, &target, after, most.saturating_add(1)).await?;
    let mut answer = HttpResponse::Ok();
    cut(&mut tags, most, &format!("/v2/{name}/tags/list"), &mut answer);
    Ok(answer.json(json!({ "name": name.whole(), "tags": tags })))
}

/// `GET /v2/_catalog`: what the caller may pull, with what is public.
pub async fn catalog(app: Data<App>, visitor: Visitor, query: Query<PageQuery>) -> Answer<HttpResponse> {
    let caller = visitor.caller(None).await?;
    let scope = Some("registry:catalog:*");
    if caller.is_nobody() {
        return Err(visitor.refused("", scope, "say who you are"));
    }
    if !caller.registry_allows(RegistryScope::CATALOG, "*") {
        return Err(visitor.refused("insufficient_scope", scope, "the token does not say that: ask for another one"));
    }
    let most = query.n.unwrap_or(PAGE).min(PAGE);
    let after = query.last.as_deref().unwrap_or_default();
    let mut names = registry::catalog(&app, &caller, after, most.saturating_add(1)).await?;
    let mut answer = HttpResponse::Ok();
    cut(&mut names, most, "/v2/_catalog", &mut answer);
    Ok(answer.json(json!({ "repositories": names })))
}

/// `GET /v2/<name>/referrers/<digest>`.
pub async fn referrers(
    app: Data<App>,
    visitor: Visitor,
    path: Path<(String, String)>,
    query: Query<ReferrersQuery>,
) -> Answer<HttpResponse> {
    let name: RepositoryName = path.0.parse()?;
    let subject: Digest = path.1.parse().map_err(|error| Refusal::digest(&error))?;
    let target = match visitor.may::<Pull>(&name).await {
        Ok(target) => target,
        // Where referrers are listed at all, nothing of the caller's own is 404: not even what is not there yet.
        Err(refusal) if refusal.is_unknown() && visitor.would_pull(&name).await? => {
            let none = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
            return Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, INDEX)).body(none.to_string()));
        }
        Err(refusal) => return Err(refusal),
    };
    let wanted = query.artifact_type.as_deref().filter(|text| !text.is_empty());
    let after = query.last.as_deref().unwrap_or_default();
    let found = registry::referrers(&app, &target, &subject, wanted, after).await?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_TYPE, INDEX));
    let mut filter = String::new();
    if let Some(wanted) = wanted {
        answer.insert_header(("oci-filters-applied", "artifactType"));
        filter = format!("&artifactType={}", escaped(wanted));
    }
    if let Some(next) = found.next {
        let link = format!("</v2/{name}/referrers/{subject}?last={next}{filter}>; rel=\"next\"");
        answer.insert_header((LINK, link));
    }
    Ok(answer.body(found.index.to_string()))
}

/// Takes what is beyond the page away, and says where it is. Of nothing there is no next page.
fn cut(names: &mut Vec<String>, most: u32, path: &str, answer: &mut HttpResponseBuilder) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more = names.len() > most;
    names.truncate(most);
    if let Some(last) = names.last().filter(|_| more) {
        answer.insert_header((LINK, format!("<{path}?n={most}&last={}>; rel=\"next\"", escaped(last))));
    }
}

/// As a value in a query. Spec: RFC 3986, section 2.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
