//! A blob as a stream that goes on where a broken connection left off.

use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_RANGE;
use http::{Method, StatusCode};

use super::UpstreamError;
use super::remote::Remote;
use super::transport::{Answer, of_request};
use crate::digest::Digest;

/// Connections that may break one after another with little in between.
const FAILURES: u32 = 5;
/// What must come between two of them to count as going on.
const GOING_ON: u64 = 1 << 20;

/// A blob on its way. It gives exactly as many bytes as promised, or an error.
#[derive(Debug)]
pub struct BlobStream {
    remote: Remote,
    digest: Digest,
    size: u64,
    received: u64,
    answer: Option<Answer>,
    /// Bytes that a server sends again since it knows no ranges.
    again: u64,
    failures: u32,
    /// Where it was at the last failure.
    failed_at: u64,
    /// Since when how much came, to find out one that drips.
    window: (Instant, u64),
}

impl BlobStream {
    pub(super) fn new(remote: Remote, digest: Digest, size: u64) -> Self {
        Self {
            remote,
            digest,
            size,
            received: 0,
            answer: None,
            again: 0,
            failures: 0,
            failed_at: 0,
            window: (Instant::now(), 0),
        }
    }

    /// How much came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next bytes; `None`: it is whole.
    ///
    /// # Errors
    /// [`UpstreamError`] when it cannot be had, breaks off again and again, or has another size than promised.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            if self.answer.is_none() {
                if self.received == self.size && (self.size > 0 || self.failures > 0) {
                    return Ok(None);
                }
                self.connect().await?;
            }
            match self.piece().await {
                Ok(Some(mut piece)) => {
                    if self.again > 0 {
                        let known = usize::try_from(self.again).unwrap_or(usize::MAX).min(piece.len());
                        self.again -= known as u64;
                        piece = piece.split_off(known);
                    }
                    if piece.is_empty() {
                        continue;
                    }
                    self.received += piece.len() as u64;
                    if self.received > self.size {
                        return Err(self.wrong_size(self.received));
                    }
                    return Ok(Some(piece));
                }
                Ok(None) if self.received == self.size => {
                    self.answer = None;
                    self.failures = self.failures.max(1);
                    return Ok(None);
                }
                Ok(None) => self.failed(UpstreamError::Unreachable {
                    method: "Get".to_owned(),
                    url: self.shown(),
                    reason: format!("it broke off after {} of {} bytes", self.received, self.size),
                })?,
                Err(error) => self.failed(error)?,
            }
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let patience = self.remote.transport.shared.patience.clone();
        let stalled = UpstreamError::Stalled { url: self.shown(), seconds: patience.stall.as_secs() };
        let Some(answer) = &mut self.answer else { return Ok(None) };
        let piece = tokio::time::timeout(patience.stall, answer.response.chunk()).await;
        let piece = match piece {
            Err(_) => return Err(stalled),
            Ok(piece) => {
                let url = answer.response.url().clone();
                piece.map_err(|error| of_request(&Method::GET, &url, error))?
            }
        };
        let (since, bytes) = &mut self.window;
        *bytes += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if since.elapsed() >= patience.stall {
            if *bytes < patience.stall_bytes && piece.is_some() {
                return Err(stalled);
            }
            self.window = (Instant::now(), 0);
        }
        Ok(piece)
    }

    async fn connect(&mut self) -> Result<(), UpstreamError> {
        let range = (self.received > 0).then_some(self.received);
        let answer = self.remote.ask_blob(&self.digest, range).await?;
        let response = &answer.response;
        self.again = 0;
        match (response.status(), range) {
            (StatusCode::PARTIAL_CONTENT, Some(from)) => {
                let told = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                if !told.is_some_and(|told| told.starts_with(&format!("bytes {from}-"))) {
                    let reason = format!("it was asked for the bytes from {from} on and gives others");
                    return Err(UpstreamError::Malformed { what: self.shown(), reason });
                }
            }
            (_, from) => {
                if let Some(length) = response.content_length().filter(|length| *length != self.size) {
                    return Err(self.wrong_size(length));
                }
                self.again = from.unwrap_or(0);
            }
        }
        self.window = (Instant::now(), 0);
        self.answer = Some(answer);
        Ok(())
    }

    /// Once more, unless that came to nothing too often.
    fn failed(&mut self, error: UpstreamError) -> Result<(), UpstreamError> {
        self.answer = None;
        if self.received >= self.failed_at + GOING_ON {
            self.failures = 0;
        }
        self.failed_at = self.received;
        self.failures += 1;
        tracing::debug!(digest = %self.digest, %error, "a blob's connection broke");
        if self.failures >= FAILURES.min(self.remote.tries()) { Err(error) } else { Ok(()) }
    }

    fn wrong_size(&self, found: u64) -> UpstreamError {
        UpstreamError::WrongSize { what: format!("blob {}", self.digest), expected: self.size, found }
    }

    fn shown(&self) -> String {
        format!("{}/v2/{}/blobs/{}", self.remote.endpoint().shown(), self.remote.repository, self.digest)
    }
}
