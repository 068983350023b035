//! Giving a blob away: mounted from a repository that has it, or sent in pieces, from where the other side stands when a
//! connection broke. Spec: OCI distribution-spec, "Push".

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;

use super::UpstreamError;
use super::body::Body;
use super::remote::Remote;
use super::transport::{Answer, Ask, location};
use crate::digest::Digest;

/// A blob up to this size is sent with one request.
const SMALL: u64 = 8 << 20;
/// Bytes of one request of a larger one.
const PIECE: u64 = 64 << 20;
/// Times that one blob may be begun anew, or go on after a failure.
const FAILURES: u32 = 5;

/// A blob to be sent: a file, and how far it is.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Its bytes.
    pub file: Arc<File>,
    /// How many they are.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
    /// Bytes that were handed on.
    pub told: Arc<AtomicU64>,
}

impl Remote {
    /// Whether it has a blob, asked with what allows to write.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn has_blob_to_push(&self, digest: &Digest) -> Result<bool, UpstreamError> {
        match self.has_blob_for(digest, "pull,push").await {
            Err(UpstreamError::Denied { reason, .. }) => Err(UpstreamError::PushDenied { reason }),
            answer => answer,
        }
    }

    /// Has the registry take a blob over from another of its repositories; whether it did.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn mount(&self, digest: &Digest, from: &str) -> Result<bool, UpstreamError> {
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        let scope = format!("repository:{}:pull,push repository:{from}:pull", self.repository);
        let answer = self.authorized_for(&mut self.post(url.clone()), &scope).await?;
        match answer.response.status() {
            StatusCode::CREATED => Ok(true),
            // It began an upload instead, which nobody will use.
            StatusCode::ACCEPTED => {
                let place = location(&url, answer.response.headers())?;
                drop(answer);
                let ask = Ask { tries: 1, ..self.get(Method::DELETE, place, HeaderMap::new()) };
                if let Err(error) = self.authorized(ask, "pull,push").await {
                    tracing::debug!(%error, "an upload that a refused mount began was not given up");
                }
                Ok(false)
            }
            // Who may not read there: as if it was not there.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.push_refused(&Method::POST, &url, answer).await),
        }
    }

    /// Sends a blob.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn upload(&self, sending: &Sending) -> Result<(), UpstreamError> {
        let mut failures = 0;
        loop {
            let outcome = if sending.size <= SMALL {
                self.send_whole(sending).await
            } else {
                self.send_pieces(sending, &mut failures).await
            };
            match outcome {
                Err(error) if error.is_absent() && failures < FAILURES => {
                    failures += 1;
                    tracing::debug!(digest = %sending.digest, %error, "an upload is begun anew");
                    tokio::time::sleep(self.transport.shared.patience.backoff * failures).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn send_whole(&self, sending: &Sending) -> Result<(), UpstreamError> {
        let place = self.begin_upload().await?;
        self.end_upload(place, sending, 0).await
    }

    async fn send_pieces(&self, sending: &Sending, failures: &mut u32) -> Result<(), UpstreamError> {
        let mut place = self.begin_upload().await?;
        let mut at = 0;
        while at < sending.size {
            let length = PIECE.min(sending.size - at);
            match self.send_piece(&place, sending, at, length).await {
                Ok(next) => (place, at) = (next, at + length),
                Err(error) if error.is_absent() && *failures < FAILURES => {
                    *failures += 1;
                    tokio::time::sleep(self.transport.shared.patience.backoff * *failures).await;
                    (place, at) = self.where_it_stands(&place, error).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.end_upload(place, sending, sending.size).await
    }

    async fn begin_upload(&self) -> Result<Url, UpstreamError> {
        let url = self.url("blobs/uploads/")?;
        let answer = self.authorized(self.post(url.clone()), "pull,push").await?;
        self.accepted(&Method::POST, &url, answer).await
    }

    async fn send_piece(&self, place: &Url, sending: &Sending, from: u64, length: u64) -> Result<Url, UpstreamError> {
        let mut headers = octets();
        if let Ok(range) = HeaderValue::try_from(format!("{from}-{}", from + length - 1)) {
            headers.insert(CONTENT_RANGE, range);
        }
        let ask = Ask {
            body: sending.part(from, length),
            tries: 1,
            follow: false,
            ..self.get(Method::PATCH, place.clone(), headers)
        };
        let answer = self.authorized(ask, "pull,push").await?;
        self.accepted(&Method::PATCH, place, answer).await
    }

    /// How much of it the other side has. `broken`: what is said when it does not know the upload any more.
    async fn where_it_stands(&self, place: &Url, broken: UpstreamError) -> Result<(Url, u64), UpstreamError> {
        let answer = self.authorized(self.get(Method::GET, place.clone(), HeaderMap::new()), "pull,push").await?;
        let headers = answer.response.headers();
        if answer.response.status() != StatusCode::NO_CONTENT {
            return Err(broken);
        }
        let range = headers.get(RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let last = range.trim_start_matches("bytes=").split_once('-').and_then(|(_, last)| last.parse::<u64>().ok());
        let next = location(place, headers).unwrap_or_else(|_| place.clone());
        // `0-0` is how an empty upload is told: one byte alone never came.
        Ok((next, last.filter(|last| *last > 0).map_or(0, |last| last + 1)))
    }

    async fn end_upload(&self, mut place: Url, sending: &Sending, sent: u64) -> Result<(), UpstreamError> {
        place.query_pairs_mut().append_pair("digest", &sending.digest.to_string());
        let body = if sent < sending.size { sending.part(sent, sending.size - sent) } else { Body::None };
        let mut headers = octets();
        if matches!(body, Body::None) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let ask = Ask { body, tries: 1, follow: false, ..self.get(Method::PUT, place.clone(), headers) };
        let answer = self.authorized(ask, "pull,push").await?;
        match answer.response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(self.push_refused(&Method::PUT, &place, answer).await),
        }
    }

    async fn accepted(&self, method: &Method, url: &Url, answer: Answer) -> Result<Url, UpstreamError> {
        match answer.response.status() {
            StatusCode::ACCEPTED => location(url, answer.response.headers()),
            _ => Err(self.push_refused(method, url, answer).await),
        }
    }

    fn post(&self, url: Url) -> Ask {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        self.get(Method::POST, url, headers)
    }
}

impl Sending {
    fn part(&self, from: u64, length: u64) -> Body {
        Body::File { file: self.file.clone(), from, length, told: self.told.clone() }
    }
}

fn octets() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers
}
