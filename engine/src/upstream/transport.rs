//! HTTP to registries: one client for each reach and set of certificates, redirects followed by hand, patience in
//! numbers.
//!
//! Headers: hyper takes at most 100 of them and 400 KiB in all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::Body;
use super::egress::{Guard, Refused};
use super::rules::host_of;
use super::tokens::Tokens;
use super::{Endpoint, Proxies, Reach, Rules, UpstreamError};
use crate::digest::Digest;

/// Hops of one request.
const REDIRECTS: usize = 5;
/// Requests to one host at the same time, of everybody.
const PER_HOST: usize = 8;
/// Clients that are kept, each with its connections.
const CLIENTS: usize = 16;

/// How long to wait for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until an answer begins, or for a body that is sent until its next bytes are taken.
    pub answer: Duration,
    /// In which something of a body must come.
    pub stall: Duration,
    /// How much must come in that time.
    pub stall_bytes: u64,
    /// For a whole manifest or token.
    pub text: Duration,
    /// Before the second try; doubled each time.
    pub backoff: Duration,
    /// Tries in all.
    pub tries: u32,
    /// The longest `Retry-After` that is waited for.
    pub retry_after: Duration,
    /// How long a mirror that failed is not asked; doubled each time.
    pub mirror: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            answer: seconds(60),
            stall: seconds(30),
            stall_bytes: 4096,
            text: seconds(60),
            backoff: Duration::from_millis(300),
            tries: 4,
            retry_after: seconds(120),
            mirror: seconds(30),
        }
    }
}

/// All connections to registries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transport {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub patience: Patience,
    pub tokens: Tokens,
    proxies: Proxies,
    clients: Mutex<HashMap<(Reach, Option<Digest>), Client>>,
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// On whose behalf what is reached.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub rules: Arc<Rules>,
    /// An administrator's own request.
    pub elevated: bool,
    pub endpoint: Endpoint,
}

/// A request that can be made more than once.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Body,
    pub tries: u32,
    /// Whether an answer that leads elsewhere is followed.
    pub follow: bool,
}

/// An answer whose body is still to come. Holds its place among the requests to its host.
#[derive(Debug)]
pub(super) struct Answer {
    pub response: Response,
    _place: OwnedSemaphorePermit,
}

impl Access {
    /// How far and by what certificates an address is reached. Only the registry that was asked for has its rule:
    /// another host to which it leads is judged by its own.
    fn of(&self, url: &Url) -> Result<(Reach, Option<String>), UpstreamError> {
        let host = host_of(url);
        if self.endpoint.base.scheme() == "https" && url.scheme() != "https" {
            let reason = "a registry with TLS leads to an address without".to_owned();
            return Err(UpstreamError::Egress { host, reason });
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UpstreamError::Egress { host, reason: format!("{} is no scheme of the web", url.scheme()) });
        }
        let (reach, ca_pem) = match url.origin() == self.endpoint.base.origin() {
            true => (self.endpoint.reach, self.endpoint.ca_pem.clone()),
            false => (self.rules.reach(&host, self.elevated), self.rules.ca_pem(&host)),
        };
        // Written as an address it is never resolved; the URL has it in its normal form.
        let literal = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
        if let Some(address) = literal.and_then(|host| host.parse().ok()) {
            reach.check(&host, address).map_err(|refused| of_refused(&refused))?;
        }
        Ok((reach, ca_pem))
    }
}

impl Transport {
    /// None yet.
    pub fn new(proxies: Proxies, patience: Patience) -> Self {
        let shared =
            Shared { patience, tokens: Tokens::default(), proxies, clients: Mutex::default(), slots: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Asks, again where that may help; the answer is the last one, whatever its status.
    pub(super) async fn ask(&self, access: &Access, ask: &Ask) -> Result<Answer, UpstreamError> {
        let patience = &self.shared.patience;
        let mut wait = patience.backoff;
        let mut tried = 1;
        loop {
            let outcome = self.follow(access, ask).await;
            let pause = match &outcome {
                Ok(answer) if is_passing(answer.response.status()) => retry_after(answer.response.headers()),
                Err(error) if error.is_absent() => None,
                _ => return outcome,
            };
            let pause = pause.unwrap_or(wait);
            if tried >= ask.tries || pause > patience.retry_after {
                return outcome;
            }
            tracing::debug!(url = %ask.url, ?pause, "a registry is asked again");
            drop(outcome);
            tokio::time::sleep(pause).await;
            wait *= 2;
            tried += 1;
        }
    }

    /// Follows where the answer leads. What shows who asks goes to the first host alone.
    async fn follow(&self, access: &Access, ask: &Ask) -> Result<Answer, UpstreamError> {
        let mut now = ask.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.once(access, &now).await?;
            let leads = matches!(answer.response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let safe = matches!(now.method, Method::GET | Method::HEAD);
            if !leads || !safe || !ask.follow {
                return Ok(answer);
            }
            let next = location(&now.url, answer.response.headers())?;
            if next.origin() != now.url.origin() {
                now.headers.remove(AUTHORIZATION);
            }
            now.url = next;
        }
        Err(UpstreamError::Malformed { what: ask.url.to_string(), reason: format!("more than {REDIRECTS} redirects") })
    }

    async fn once(&self, access: &Access, ask: &Ask) -> Result<Answer, UpstreamError> {
        let (reach, ca_pem) = access.of(&ask.url)?;
        let client = self.client(reach, ca_pem)?;
        let slots = self.slots(&host_of(&ask.url));
        let place =
            slots.acquire_owned().await.map_err(|_| UpstreamError::Setting { reason: "it ended".to_owned() })?;
        let moved = Arc::new(AtomicU64::new(0));
        let mut request = client.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        request = ask.body.put_into(request, &moved);
        let answering = watched(request.send(), &moved, self.shared.patience.answer).await;
        let response = answering
            .ok_or_else(|| UpstreamError::Stalled {
                url: ask.url.to_string(),
                seconds: self.shared.patience.answer.as_secs(),
            })?
            .map_err(|error| of_request(&ask.method, &ask.url, error))?;
        Ok(Answer { response, _place: place })
    }

    fn slots(&self, host: &str) -> Arc<Semaphore> {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Hosts that nobody asks at the moment need no entry.
        slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        slots.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(PER_HOST))).clone()
    }

    fn client(&self, reach: Reach, ca_pem: Option<String>) -> Result<Client, UpstreamError> {
        let key = (reach, ca_pem.as_ref().map(|pem| Digest::of(pem.as_bytes())));
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(reach, ca_pem.as_deref())?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, reach: Reach, ca_pem: Option<&str>) -> Result<Client, UpstreamError> {
        // main did this already; a client without one would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let Shared { patience, proxies, .. } = &*self.shared;
        let guard = Guard { reach, proxies: proxies.hosts() };
        let mut builder = Client::builder()
            .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(patience.connect)
            .pool_idle_timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(4)
            .tcp_keepalive(Duration::from_secs(30))
            .dns_resolver(guard);
        for proxy in proxies.build()? {
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = ca_pem {
            let wrong = |error: reqwest::Error| UpstreamError::Setting {
                reason: format!("the registry's certificates do not read: {}", reason(error)),
            };
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(wrong)?);
        }
        builder.build().map_err(|error| UpstreamError::Setting { reason: reason(error) })
    }
}

/// Whether trying again may help.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// Seconds, or a date. Spec: RFC 9110, 10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(then - jiff::Timestamp::now()).unwrap_or_default())
}

/// Where an answer leads.
pub(super) fn location(from: &Url, headers: &HeaderMap) -> Result<Url, UpstreamError> {
    let wrong = |reason: &str| UpstreamError::Malformed { what: from.to_string(), reason: reason.to_owned() };
    let text = headers.get(LOCATION).ok_or_else(|| wrong("its answer leads nowhere"))?;
    let text = text.to_str().map_err(|_| wrong("its answer leads to no address"))?;
    from.join(text).map_err(|_| wrong("its answer leads to no address"))
}

/// Waits as long as something moves.
async fn watched<T>(work: impl Future<Output = T>, moved: &AtomicU64, patience: Duration) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut before = 0;
    loop {
        if let Ok(done) = tokio::time::timeout(patience, &mut work).await {
            return Some(done);
        }
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return None;
        }
        before = now;
    }
}

impl Answer {
    /// The whole body, if it is small and comes in time.
    pub async fn text(mut self, what: &str, limit: usize, patience: Duration) -> Result<Bytes, UpstreamError> {
        let url = self.response.url().clone();
        let too_large = || UpstreamError::TooLarge { what: what.to_owned(), limit: limit as u64 };
        if self.response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut whole = Vec::new();
        let reading = async {
            while let Some(piece) =
                self.response.chunk().await.map_err(|error| of_request(&Method::GET, &url, error))?
            {
                if whole.len() + piece.len() > limit {
                    return Err(too_large());
                }
                whole.extend_from_slice(&piece);
            }
            Ok(())
        };
        let stalled = |_| UpstreamError::Stalled { url: url.to_string(), seconds: patience.as_secs() };
        tokio::time::timeout(patience, reading).await.map_err(stalled)??;
        Ok(whole.into())
    }
}

/// `Get`, `Head`, as Docker writes them.
pub(super) fn verb(method: &Method) -> String {
    let text = method.as_str();
    format!("{}{}", &text[..1], text[1..].to_ascii_lowercase())
}

/// What kept a request from its answer.
pub(super) fn of_request(method: &Method, url: &Url, error: reqwest::Error) -> UpstreamError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if let Some(refused) = found.downcast_ref::<Refused>() {
            return of_refused(refused);
        }
        cause = found.source();
    }
    UpstreamError::Unreachable { method: verb(method), url: url.to_string(), reason: reason(error) }
}

fn of_refused(refused: &Refused) -> UpstreamError {
    UpstreamError::Egress {
        host: refused.host.clone(),
        reason: format!("it is {}, {}", refused.address, refused.reason),
    }
}

/// The causes, without the address, which may carry a signature.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        let said = found.to_string();
        if !text.ends_with(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        cause = found.source();
    }
    text
}
