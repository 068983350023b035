//! `/v2/token`: a name and a secret become a registry token for what was asked and is allowed, nobody's for what is
//! public. Source: distribution.github.io, "Token Authentication Specification" and "Oauth2 Token Authentication".

use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::web::{Bytes, Data, Query};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use sampan_engine::registry::RepositoryName;
use serde_json::json;

use super::visitor::basic;
use super::{Answer, Refusal};
use crate::app::App;
use crate::auth::RegistryScope;
use crate::auth::registry::{self, Identity, LIFE};
use crate::doors::address;

/// Scopes that one token may have.
const SCOPES: usize = 64;

/// `GET /v2/token?service=…&scope=…`, with Basic or without.
pub async fn by_query(
    app: Data<App>,
    request: HttpRequest,
    query: Query<Vec<(String, String)>>,
) -> Answer<HttpResponse> {
    let identity = match basic(&request) {
        Some((name, secret)) => {
            let address = address::of(&app, &request);
            match registry::identify(&app, &name, &secret, address).await? {
                Some(identity) => identity,
                None => return Ok(wrong()),
            }
        }
        None if request.headers().contains_key("authorization") => return Ok(wrong()),
        None => Identity::Nobody,
    };
    answer(&app, identity, &query).await
}

/// `POST /v2/token`, an OAuth 2 form with `grant_type=password`.
pub async fn by_form(app: Data<App>, request: HttpRequest, body: Bytes) -> Answer<HttpResponse> {
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let form = Query::<Vec<(String, String)>>::from_query(text);
    let form = form.map_err(|_| Refusal::unsupported("the form cannot be read"))?;
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    if value("grant_type") != "password" {
        return Ok(HttpResponse::BadRequest().json(json!({ "error": "unsupported_grant_type" })));
    }
    let address = address::of(&app, &request);
    match registry::identify(&app, value("username"), value("password"), address).await? {
        Some(identity) => answer(&app, identity, &form).await,
        None => Ok(wrong()),
    }
}

/// The same for a wrong name, secret or password, and for a user with a second factor.
fn wrong() -> HttpResponse {
    let message = "wrong name or secret; who has a second factor needs an API token";
    let mut answer = Refusal::unauthorized("Basic realm=\"Sampan\"".to_owned(), message).error_response();
    answer
        .headers_mut()
        .insert(WWW_AUTHENTICATE, actix_web::http::header::HeaderValue::from_static("Basic realm=\"Sampan\""));
    answer
}

async fn answer(app: &App, identity: Identity, asked: &[(String, String)]) -> Answer<HttpResponse> {
    let texts = asked.iter().filter(|(name, _)| name == "scope").flat_map(|(_, value)| value.split(' '));
    let mut scopes = Vec::new();
    for text in texts.filter(|text| !text.is_empty()).take(SCOPES) {
        scopes.extend(granted(app, &identity, text).await?);
    }
    let issued_at = jiff::Timestamp::now().to_string();
    let token = registry::issue(app, identity, scopes)?;
    Ok(HttpResponse::Ok().json(json!({
        "token": token,
        "access_token": token,
        "expires_in": LIFE.as_secs(),
        "issued_at": issued_at,
    })))
}

/// What of a scope (`type:name:actions`) is allowed. What is not known is passed over.
async fn granted(app: &App, identity: &Identity, text: &str) -> Answer<Option<RegistryScope>> {
    let Some((kind, rest)) = text.split_once(':') else { return Ok(None) };
    let Some((name, actions)) = rest.rsplit_once(':') else { return Ok(None) };
    let known = *identity != Identity::Nobody;
    if kind == "registry" && name == "catalog" && actions == "*" && known {
        let actions = vec!["*".to_owned()];
        return Ok(Some(RegistryScope { repository: RegistryScope::CATALOG.to_owned(), actions }));
    }
    let Ok(name) = name.parse::<RepositoryName>() else { return Ok(None) };
    if kind != "repository" {
        return Ok(None);
    }
    let team = match app.accounts.team_named(name.team()).await {
        Ok(team) => Some(team),
        Err(error) if error.kind() == sampan_engine::Kind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let Some(caller) = registry::caller(app, identity, None, team.as_ref()).await? else { return Ok(None) };
    let may = app.policy().registry_actions(&caller, &name).await?;
    let wanted = |action: &&str| actions.split(',').any(|asked| asked == *action || asked == "*");
    let actions: Vec<String> = may.into_iter().filter(|action| wanted(action)).map(str::to_owned).collect();
    Ok((!actions.is_empty()).then(|| RegistryScope { repository: name.whole().to_owned(), actions }))
}
