//! Why another registry did not do its part, in Docker's words where its clients look for them.

use crate::digest::Digest;
use crate::kind::Kind;

/// Why another registry did not do its part.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// It does not let this caller read a repository, or there is none.
    #[error("pull access denied for {repository}, repository does not exist or may require 'docker login': {reason}")]
    Denied {
        /// As Docker shows it.
        repository: String,
        /// The registry's words.
        reason: String,
    },
    /// It does not let this caller write.
    #[error("{reason}")]
    PushDenied {
        /// The registry's words.
        reason: String,
    },
    /// It has no such manifest.
    #[error("manifest for {reference} not found: {reason}")]
    NoManifest {
        /// As Docker shows it.
        reference: String,
        /// The registry's words.
        reason: String,
    },
    /// User name and password, or token, are not right.
    #[error("Get {url:?}: unauthorized: {reason}")]
    Unauthorized {
        /// What was asked.
        url: String,
        /// The registry's words.
        reason: String,
    },
    /// The address is not reached on this caller's behalf.
    #[error("{host} is not reached: {reason}")]
    Egress {
        /// Registry, target of a redirect, realm of a token.
        host: String,
        /// Why not, and who may change that.
        reason: String,
    },
    /// It cannot be connected to, or the connection broke.
    #[error("{method} {url:?}: {reason}")]
    Unreachable {
        /// In Docker's spelling: `Get`, `Head`, …
        method: String,
        /// What was asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// It answered with something else than was to be expected.
    #[error("{method} {url:?}: unexpected answer {status}{}", said(.reason))]
    Status {
        /// In Docker's spelling.
        method: String,
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// The registry's words.
        reason: String,
    },
    /// It stopped sending, or goes on so slowly that it might as well.
    #[error("{url:?}: nothing came for {seconds} s, or next to nothing")]
    Stalled {
        /// What was asked.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// More bytes than are taken.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// Manifest, token, …
        what: String,
        /// How many are taken.
        limit: u64,
    },
    /// Bytes that do not hash to the digest that they were asked for by.
    #[error("{what} should have digest {expected} and has {found}")]
    WrongDigest {
        /// Manifest, blob.
        what: String,
        /// As promised.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// More or fewer bytes than its descriptor says.
    #[error("{what} should have {expected} bytes and has {found}")]
    WrongSize {
        /// Manifest, blob.
        what: String,
        /// As promised.
        expected: u64,
        /// As counted, or as announced.
        found: u64,
    },
    /// An answer that does not read.
    #[error("{what}: {reason}")]
    Malformed {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting that cannot be used.
    #[error("{reason}")]
    Setting {
        /// Which, and what is right.
        reason: String,
    },
    /// The registry offers no search.
    #[error("{registry} offers no search: {reason}")]
    NoSearch {
        /// Its host.
        registry: String,
        /// What it answered.
        reason: String,
    },
}

fn said(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

impl UpstreamError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Denied { .. } | Self::NoManifest { .. } => Kind::NotFound,
            Self::PushDenied { .. } | Self::Egress { .. } => Kind::Forbidden,
            Self::Setting { .. } | Self::Unauthorized { .. } => Kind::Invalid,
            Self::NoSearch { .. } => Kind::Unsupported,
            Self::Unreachable { .. }
            | Self::Status { .. }
            | Self::Stalled { .. }
            | Self::TooLarge { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::Malformed { .. } => Kind::Upstream,
        }
    }

    /// The registry itself could not be asked: nothing is known of what it would have said.
    pub(crate) fn is_absent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}
