//! Who calls, and whether they may: name and secret (Basic), a registry token (Bearer), or nobody.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sampan_engine::registry::RepositoryName;

use super::address::{self, Reached};
use super::{Answer, Refusal};
use crate::app::App;
use crate::auth::registry::{self, Identity};
use crate::auth::{Caller, RegistryScope};
use crate::policy::{Action, Denied, Granted, Repository, Verb};

/// Who calls, as far as their request says.
#[derive(Debug, Clone)]
pub struct Visitor {
    app: Data<App>,
    identity: Identity,
    scopes: Option<Vec<RegistryScope>>,
    reached: Reached,
}

/// A name and a secret, as Basic has them. Spec: RFC 7617.
pub fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

fn bearer(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

impl FromRequest for Visitor {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

impl Visitor {
    async fn of(request: &HttpRequest) -> Answer<Self> {
        let app = request.app_data::<Data<App>>().ok_or_else(|| Refusal::unsupported("no instance"))?.clone();
        let reached = address::of(&app, request);
        let (identity, scopes) = if let Some(token) = bearer(request) {
            registry::open(&app, &token).map(|(identity, scopes)| (Some(identity), Some(scopes))).unwrap_or_default()
        } else if let Some((name, secret)) = basic(request) {
            let address = crate::doors::address::of(&app, request);
            (registry::identify(&app, &name, &secret, address).await?, None)
        } else if request.headers().contains_key(AUTHORIZATION) {
            (None, None)
        } else {
            (Some(Identity::Nobody), None)
        };
        let visitor = Self { app, identity: identity.clone().unwrap_or(Identity::Nobody), scopes, reached };
        match identity {
            Some(_) => Ok(visitor),
            None => {
                Err(visitor.refused("invalid_token", None, "what was shown is no token or name and secret of ours"))
            }
        }
    }

    /// The caller, with the team of that name in view if they are in it.
    pub async fn caller(&self, team: Option<&str>) -> Answer<Caller> {
        let team = match team {
            Some(name) => match self.app.accounts.team_named(name).await {
                Ok(team) => Some(team),
                Err(error) if error.kind() == sampan_engine::Kind::NotFound => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        let caller = registry::caller(&self.app, &self.identity, self.scopes.clone(), team.as_ref()).await?;
        caller.ok_or_else(|| self.refused("invalid_token", None, "whoever the token stood for is gone"))
    }

    /// That the caller may do `A` in the repository. Nobody is asked who they are, whether it is there or not.
    pub async fn may<A: Action>(&self, name: &RepositoryName) -> Answer<Granted<A, Repository>> {
        let caller = self.caller(Some(name.team())).await?;
        match self.app.policy().repository::<A>(&caller, name).await {
            Ok(granted) => Ok(granted),
            Err(Denied::OutOfScope { .. }) => {
                let scope = scope::<A>(name);
                Err(self.refused(
                    "insufficient_scope",
                    Some(&scope),
                    "the token does not say that: ask for another one",
                ))
            }
            Err(Denied::NotFound { .. } | Denied::Forbidden { .. }) if caller.is_nobody() => {
                Err(self.refused("", Some(&scope::<A>(name)), "say who you are"))
            }
            Err(denied) => Err(denied.into()),
        }
    }

    /// Whether the caller could pull from the repository if it were there.
    pub async fn would_pull(&self, name: &RepositoryName) -> Answer<bool> {
        let caller = self.caller(Some(name.team())).await?;
        let may = self.app.policy().registry_actions(&caller, name).await?;
        Ok(may.contains(&"pull") && caller.registry_allows(name.whole(), "pull"))
    }

    /// 401, with where to get a token.
    pub fn refused(&self, error: &str, scope: Option<&str>, message: &str) -> Refusal {
        let Reached { scheme, host } = &self.reached;
        let mut challenge = format!("Bearer realm=\"{scheme}://{host}/v2/token\",service=\"{host}\"");
        for (name, value) in [("scope", scope.unwrap_or_default()), ("error", error)] {
            if !value.is_empty() {
                challenge.push_str(&format!(",{name}=\"{value}\""));
            }
        }
        Refusal::unauthorized(challenge, message)
    }
}

/// The scope that `A` takes. A push also looks.
fn scope<A: Action>(name: &RepositoryName) -> String {
    let actions = match A::VERB {
        Verb::Push => "pull,push",
        Verb::Remove => "delete",
        _ => "pull",
    };
    format!("repository:{name}:{actions}")
}

/// `GET /v2/`: whether this is a registry, and whether it knows who asks. Spec: distribution-spec, end-1.
pub async fn ping(visitor: Visitor) -> Answer<HttpResponse> {
    // Who has no token yet learns here where to get one; a token for nobody is enough.
    if visitor.identity == Identity::Nobody && visitor.scopes.is_none() {
        return Err(visitor.refused("", None, "say who you are"));
    }
    visitor.caller(None).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({})))
}
