//! Getting what shows a registry who asks: a token from where it says, or the user's name and password.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use super::body::Body;
use super::challenge::{Challenge, challenges};
use super::remote::{Remote, words};
use super::tokens::Key;
use super::transport::Ask;
use super::{Credentials, UpstreamError};

/// Most bytes of a token service's answer.
const TOKEN_BYTES: usize = 256 << 10;
/// Whom a token service is told that asks.
const CLIENT: &str = "sampan";
/// How long user name and password are sent along unasked.
const BASIC_LIFE: Duration = Duration::from_secs(300);

/// Spec: distribution, auth/token.md and auth/oauth.md.
#[derive(Deserialize)]
struct Issued {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Remote {
    /// What was got before and still holds.
    pub(super) fn kept(&self, scope: &str) -> Option<HeaderValue> {
        header(&self.transport.shared.tokens.get(&self.key(scope))?)
    }

    /// It is not accepted any more.
    pub(super) fn forget(&self, scope: &str) {
        self.transport.shared.tokens.forget(&self.key(scope));
    }

    /// Answers a challenge; `None`: there is nothing to answer it with.
    pub(super) async fn authorize(
        &self,
        headers: &HeaderMap,
        scope: &str,
    ) -> Result<Option<HeaderValue>, UpstreamError> {
        for challenge in challenges(headers) {
            let (value, life) = match (challenge, &self.credentials) {
                (Challenge::Bearer { .. }, Credentials::Bearer { token }) => (format!("Bearer {token}"), None),
                (Challenge::Bearer { realm, service, scope: asked }, _) => {
                    // What the registry asks for may be more than we know of, as for a mount.
                    let scope = if scope.is_empty() { asked.unwrap_or_default() } else { scope.to_owned() };
                    let issued = self.token(&realm, service.as_deref(), &scope).await?;
                    let token = if issued.token.is_empty() { issued.access_token } else { issued.token };
                    (format!("Bearer {token}"), issued.expires_in.map(Duration::from_secs))
                }
                (Challenge::Basic, credentials) => match credentials.basic() {
                    Some(value) => (value, Some(BASIC_LIFE)),
                    None => continue,
                },
            };
            let value_of_header = header(&value);
            self.transport.shared.tokens.put(self.key(scope), value, life);
            return Ok(value_of_header);
        }
        Ok(None)
    }

    async fn token(&self, realm: &str, service: Option<&str>, scope: &str) -> Result<Issued, UpstreamError> {
        let what = format!("the token service {realm}");
        let malformed = |reason: String| UpstreamError::Malformed { what: what.clone(), reason };
        let mut url: Url = realm.parse().map_err(|_| malformed("it is no address".to_owned()))?;
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(service.map(|service| ("service", service)));
        // Several scopes in one are several parameters.
        pairs.extend(scope.split(' ').filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope)));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (method, body) = match &self.credentials {
            Credentials::Identity { token } => {
                let mut form = Url::parse("form:").map_err(|error| malformed(error.to_string()))?;
                form.query_pairs_mut()
                    .extend_pairs([("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token)])
                    .extend_pairs(service.map(|service| ("service", service)))
                    .extend_pairs((!scope.is_empty()).then_some(("scope", scope)));
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                (Method::POST, Body::Bytes(Bytes::from(form.query().unwrap_or_default().to_owned())))
            }
            credentials => {
                pairs.extend(credentials.username().map(|name| ("account", name)));
                pairs.extend(credentials.username().map(|_| ("client_id", CLIENT)));
                if !pairs.is_empty() {
                    url.query_pairs_mut().extend_pairs(&pairs);
                }
                if let Some(value) = credentials.basic().as_deref().and_then(header) {
                    headers.insert(AUTHORIZATION, value);
                }
                (Method::GET, Body::None)
            }
        };
        let ask = Ask { method: method.clone(), body, ..self.get(method, url.clone(), headers) };
        let answer = self.transport.ask(&self.access, &ask).await?;
        let status = answer.response.status();
        let bytes = answer.text(&what, TOKEN_BYTES, self.transport.shared.patience.text).await?;
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                url.set_query(None);
                let said = words(&bytes);
                let reason = if said.is_empty() { "incorrect username or password".to_owned() } else { said };
                let reason = reason.strip_prefix("unauthorized: ").map_or(reason.clone(), str::to_owned);
                return Err(UpstreamError::Unauthorized { url: url.to_string(), reason });
            }
            status => {
                url.set_query(None);
                let (url, reason) = (url.to_string(), words(&bytes));
                return Err(UpstreamError::Status { method: "Get".to_owned(), url, status: status.as_u16(), reason });
            }
        }
        let issued: Issued = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if issued.token.is_empty() && issued.access_token.is_empty() {
            return Err(malformed("it gave no token".to_owned()));
        }
        Ok(issued)
    }

    /// Whether the registry takes these credentials: asks its door, and shows them if it wants to see any.
    ///
    /// # Errors
    /// [`UpstreamError::Unauthorized`].
    pub async fn log_in(&self) -> Result<(), UpstreamError> {
        let url = self.access.endpoint.base.join("/v2/").map_err(|error| UpstreamError::Setting {
            reason: format!("{} makes no address: {error}", self.access.endpoint.base),
        })?;
        // Nothing that was got before: the question is about these credentials now.
        self.forget("");
        let answer = self.authorized_for(&mut self.get(Method::GET, url.clone(), HeaderMap::new()), "").await?;
        let status = answer.response.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = self.words(answer).await;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let said = reason.strip_prefix("unauthorized: ").unwrap_or(&reason);
                let reason = if said.is_empty() { "incorrect username or password" } else { said }.to_owned();
                Err(UpstreamError::Unauthorized { url: url.to_string(), reason })
            }
            StatusCode::NOT_FOUND => Err(UpstreamError::Malformed {
                what: url.to_string(),
                reason: "this server is no registry of the second version".to_owned(),
            }),
            _ => Err(UpstreamError::Status {
                method: "Get".to_owned(),
                url: url.to_string(),
                status: status.as_u16(),
                reason,
            }),
        }
    }

    fn key(&self, scope: &str) -> Key {
        Key { endpoint: self.access.endpoint.shown(), who: self.credentials.fingerprint(), scope: scope.to_owned() }
    }
}

/// A secret value of a header: it is left out of every log.
fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
