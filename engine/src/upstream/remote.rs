//! One repository at one place, as one caller sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LINK};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use super::body::Body;
use super::transport::{Access, Answer, Ask, Transport, verb};
use super::{BlobStream, Credentials, Endpoint, Rules, UpstreamError};
use crate::digest::Digest;
use crate::reference::ImageReference;

/// Most bytes of a manifest or an index. Spec: distribution-spec, "registries may limit", 4 MiB is what it asks for.
pub const MANIFEST_BYTES: usize = 4 << 20;
/// Most bytes of an error's body, or of a list of tags.
const TEXT_BYTES: usize = 1 << 20;
/// Most tags of one repository.
const TAGS_MAX: usize = 10_000;
/// Manifests and indexes that are understood.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.v1+prettyjws";
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// One repository at one place, as one caller sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Remote {
    pub(super) transport: Transport,
    pub(super) access: Arc<Access>,
    pub(super) credentials: Credentials,
    /// `library/nginx`.
    pub(super) repository: String,
    /// As Docker shows it: `nginx`.
    shown: String,
    tries: u32,
}

/// A manifest or an index as it came, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// As the registry calls it.
    pub media_type: String,
    /// Of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Bytes,
}

impl Remote {
    /// A repository at an endpoint; `elevated`: an administrator asks.
    pub fn new(
        transport: &Transport,
        rules: &Arc<Rules>,
        endpoint: Endpoint,
        elevated: bool,
        credentials: Credentials,
        reference: &ImageReference,
    ) -> Self {
        // A mirror is tried once or twice: there is another place after it.
        let tries = if endpoint.is_mirror { 2 } else { transport.shared.patience.tries };
        Self {
            transport: transport.clone(),
            access: Arc::new(Access { rules: rules.clone(), elevated, endpoint }),
            credentials,
            repository: reference.repository().to_owned(),
            shown: reference.familiar_name(),
            tries,
        }
    }

    /// Where it is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.access.endpoint
    }

    /// The same, asked only once and without patience: another place can be asked instead.
    pub fn hurried(&self) -> Self {
        Self { tries: 1, ..self.clone() }
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// The manifest that a tag or a digest names. Its bytes are verified against the digest, or against the one that the
    /// registry says beside it.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn manifest(&self, name: &str) -> Result<Manifest, UpstreamError> {
        let (answer, url) = self.ask_manifest(Method::GET, name).await?;
        let headers = answer.response.headers();
        let promised = match name.parse::<Digest>() {
            Ok(digest) => Some(digest),
            Err(_) => text(headers, DOCKER_CONTENT_DIGEST).and_then(|digest| digest.parse().ok()),
        };
        let media_type = text(headers, CONTENT_TYPE).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let what = format!("the manifest at {url}");
        let bytes = answer.text(&what, MANIFEST_BYTES, self.transport.shared.patience.text).await?;
        let digest = Digest::of(&bytes);
        match promised.filter(|promised| *promised != digest) {
            Some(expected) => Err(UpstreamError::WrongDigest { what, expected, found: digest }),
            None => Ok(Manifest { media_type, digest, bytes }),
        }
    }

    /// What digest a tag has now; `None`: it says none, and only the manifest itself would tell.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn manifest_digest(&self, name: &str) -> Result<Option<Digest>, UpstreamError> {
        let (answer, _) = self.ask_manifest(Method::HEAD, name).await?;
        Ok(text(answer.response.headers(), DOCKER_CONTENT_DIGEST).and_then(|digest| digest.parse().ok()))
    }

    async fn ask_manifest(&self, method: Method, name: &str) -> Result<(Answer, Url), UpstreamError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let url = self.url(&format!("manifests/{name}"))?;
        let answer = self.authorized(self.get(method.clone(), url.clone(), headers), "pull").await?;
        if answer.response.status() == StatusCode::OK {
            return Ok((answer, url));
        }
        let separator = if name.contains(':') { '@' } else { ':' };
        Err(self.refused(&method, &url, answer, &format!("{}{separator}{name}", self.shown)).await)
    }

    /// Whether it has a blob, for this caller.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, UpstreamError> {
        self.has_blob_for(digest, "pull").await
    }

    pub(super) async fn has_blob_for(&self, digest: &Digest, actions: &str) -> Result<bool, UpstreamError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        // Where it leads is not of interest: that it leads somewhere says that it is there and may be had.
        let ask = Ask { follow: false, ..self.get(Method::HEAD, url.clone(), HeaderMap::new()) };
        let answer = self.authorized(ask, actions).await?;
        match answer.response.status() {
            StatusCode::OK => Ok(true),
            status if status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(&Method::HEAD, &url, answer, &self.shown).await),
        }
    }

    /// A blob as a stream that goes on after a broken connection. Its digest is the reader's to verify.
    pub fn blob(&self, digest: &Digest, size: u64) -> BlobStream {
        BlobStream::new(self.clone(), *digest, size)
    }

    /// A small blob, verified.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn small_blob(&self, digest: &Digest, size: u64, limit: usize) -> Result<Bytes, UpstreamError> {
        let what = format!("blob {digest}");
        if size > limit as u64 {
            return Err(UpstreamError::TooLarge { what, limit: limit as u64 });
        }
        let mut stream = self.blob(digest, size);
        let mut whole = Vec::new();
        while let Some(piece) = stream.next().await? {
            whole.extend_from_slice(&piece);
        }
        match Digest::of(&whole) {
            found if found == *digest => Ok(whole.into()),
            found => Err(UpstreamError::WrongDigest { what, expected: *digest, found }),
        }
    }

    pub(super) async fn ask_blob(&self, digest: &Digest, range: Option<u64>) -> Result<Answer, UpstreamError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let mut headers = HeaderMap::new();
        if let Some(from) = range
            && let Ok(value) = HeaderValue::try_from(format!("bytes={from}-"))
        {
            headers.insert(http::header::RANGE, value);
        }
        let answer = self.authorized(self.get(Method::GET, url.clone(), headers), "pull").await?;
        match answer.response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            _ => Err(self.refused(&Method::GET, &url, answer, &self.shown).await),
        }
    }

    /// All tags of the repository.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn tags(&self) -> Result<Vec<String>, UpstreamError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut url = self.url("tags/list?n=1000")?;
        let mut all = Vec::new();
        loop {
            let answer = self.authorized(self.get(Method::GET, url.clone(), HeaderMap::new()), "pull").await?;
            if answer.response.status() != StatusCode::OK {
                return Err(self.refused(&Method::GET, &url, answer, &self.shown).await);
            }
            let next = text(answer.response.headers(), LINK).and_then(|link| next_page(&url, &link));
            let what = format!("the list at {url}");
            let bytes = answer.text(&what, TEXT_BYTES, self.transport.shared.patience.text).await?;
            let list: List = serde_json::from_slice(&bytes)
                .map_err(|error| UpstreamError::Malformed { what, reason: error.to_string() })?;
            all.extend(list.tags.unwrap_or_default());
            match next {
                Some(next) if all.len() < TAGS_MAX => url = next,
                _ => break,
            }
        }
        all.truncate(TAGS_MAX);
        Ok(all)
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn put_manifest(&self, name: &str, media_type: &str, bytes: Bytes) -> Result<(), UpstreamError> {
        let url = self.url(&format!("manifests/{name}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if let Ok(value) = HeaderValue::try_from(media_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        let ask = Ask { body: Body::Bytes(bytes), ..self.get(Method::PUT, url.clone(), headers) };
        let answer = self.authorized(ask, "pull,push").await?;
        match answer.response.status() {
            status if status.is_success() => Ok(()),
            _ => Err(self.push_refused(&Method::PUT, &url, answer).await),
        }
    }

    pub(super) fn url(&self, rest: &str) -> Result<Url, UpstreamError> {
        let path = format!("/v2/{}/{rest}", self.repository);
        self.access
            .endpoint
            .base
            .join(&path)
            .map_err(|error| UpstreamError::Setting { reason: format!("{path} makes no address: {error}") })
    }

    pub(super) fn get(&self, method: Method, url: Url, headers: HeaderMap) -> Ask {
        Ask { method, url, headers, body: Body::None, tries: self.tries, follow: true }
    }

    /// Asks with what shows who asks; when that is missing or not accepted any more, gets it and asks again.
    pub(super) async fn authorized(&self, mut ask: Ask, actions: &str) -> Result<Answer, UpstreamError> {
        let scope = format!("repository:{}:{actions}", self.repository);
        self.authorized_for(&mut ask, &scope).await
    }

    pub(super) async fn authorized_for(&self, ask: &mut Ask, scope: &str) -> Result<Answer, UpstreamError> {
        // A place of another host was given away by the registry with all that it needs.
        let own = ask.url.origin() == self.access.endpoint.base.origin();
        if own && let Some(value) = self.kept(scope) {
            ask.headers.insert(AUTHORIZATION, value);
        }
        let answer = self.transport.ask(&self.access, ask).await?;
        if answer.response.status() != StatusCode::UNAUTHORIZED || !own {
            return Ok(answer);
        }
        let Some(value) = self.authorize(answer.response.headers(), scope).await? else { return Ok(answer) };
        drop(answer);
        ask.headers.insert(AUTHORIZATION, value);
        let answer = self.transport.ask(&self.access, ask).await?;
        if answer.response.status() == StatusCode::UNAUTHORIZED {
            self.forget(scope);
        }
        Ok(answer)
    }

    /// Why not, from the answer to a request that reads.
    pub(super) async fn refused(&self, method: &Method, url: &Url, answer: Answer, name: &str) -> UpstreamError {
        let status = answer.response.status();
        let reason = self.words(answer).await;
        let or = |instead: &str| if reason.is_empty() { instead.to_owned() } else { reason.clone() };
        match status.as_u16() {
            401 if self.credentials.is_anonymous() => {
                UpstreamError::Denied { repository: self.shown.clone(), reason: or("no basic auth credentials") }
            }
            401 | 403 => UpstreamError::Denied {
                repository: self.shown.clone(),
                reason: or("denied: requested access to the resource is denied"),
            },
            404 => UpstreamError::NoManifest {
                reference: name.to_owned(),
                reason: or("manifest unknown: manifest unknown"),
            },
            status => UpstreamError::Status { method: verb(method), url: url.to_string(), status, reason },
        }
    }

    /// Why not, from the answer to a request that writes.
    pub(super) async fn push_refused(&self, method: &Method, url: &Url, answer: Answer) -> UpstreamError {
        let status = answer.response.status().as_u16();
        let reason = self.words(answer).await;
        match status {
            401 if reason.is_empty() => UpstreamError::PushDenied { reason: "no basic auth credentials".to_owned() },
            403 if reason.is_empty() => {
                UpstreamError::PushDenied { reason: "denied: requested access to the resource is denied".to_owned() }
            }
            401 | 403 => UpstreamError::PushDenied { reason },
            _ => UpstreamError::Status { method: verb(method), url: url.to_string(), status, reason },
        }
    }

    /// The registry's own words, as Docker prints them: `code in words: message`.
    pub(super) async fn words(&self, answer: Answer) -> String {
        let Ok(bytes) = answer.text("an error", TEXT_BYTES, Duration::from_secs(10)).await else {
            return String::new();
        };
        words(&bytes)
    }
}

/// What a body of a registry's error says. Spec: distribution-spec, "Error Codes".
pub(super) fn words(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<One>,
        #[serde(default)]
        details: String,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(read) = serde_json::from_slice::<Errors>(bytes) else { return String::new() };
    let Some(first) = read.errors.first() else { return cut(&read.details) };
    let code = first.code.to_ascii_lowercase().replace('_', " ");
    cut(&if first.message.is_empty() { code } else { format!("{code}: {}", first.message) })
}

/// What strangers say goes to people's terminals.
fn cut(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `<…>; rel="next"`. Spec: RFC 8288. Only at the same host.
fn next_page(from: &Url, link: &str) -> Option<Url> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = from.join(address).ok().filter(|next| next.origin() == from.origin())?;
    rest.contains("rel=\"next\"").then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_errors_are_told_as_docker_tells_them() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#;
        assert_eq!(words(body), "manifest unknown: manifest unknown");
        assert_eq!(words(br#"{"details":"incorrect username or password"}"#), "incorrect username or password");
        assert_eq!(words(b"<html>"), "");
        assert_eq!(words(b"{\"errors\":[{\"code\":\"X\",\"message\":\"a\\u001b[31mb\"}]}"), "x: a[31mb");
    }

    #[test]
    fn the_next_page_is_at_the_same_host() {
        let from: Url = "https://r.example/v2/a/tags/list?n=1".parse().unwrap();
        let next = next_page(&from, "</v2/a/tags/list?n=1&last=b>; rel=\"next\"").unwrap();
        assert_eq!(next.as_str(), "https://r.example/v2/a/tags/list?n=1&last=b");
        assert_eq!(next_page(&from, "<https://other.example/x>; rel=\"next\""), None);
        assert_eq!(next_page(&from, "</x>; rel=\"prev\""), None);
    }
}
