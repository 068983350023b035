//! Refusals in the spec's JSON. The one place that gives them statuses and codes.
//! Spec: distribution-spec, "Error Codes".

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use sampan_engine::Kind;
use sampan_engine::digest::DigestError;
use sampan_engine::registry::RegistryError;
use sampan_engine::upstream::UpstreamError;
use serde_json::{Value, json};

use crate::accounts::AccountsError;
use crate::auth::TooMany;
use crate::auth::login::LoginError;
use crate::policy::Denied;
use crate::service::ServiceError;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    status: StatusCode,
    errors: Vec<Value>,
    /// How to say who one is.
    challenge: Option<String>,
    /// Bytes that an upload has, after a chunk that does not follow.
    pub(super) offset: Option<u64>,
    /// Size of the blob, after a range that it does not have.
    size: Option<u64>,
    retry_after_seconds: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            errors: vec![json!({ "code": code, "message": message.into() })],
            challenge: None,
            offset: None,
            size: None,
            retry_after_seconds: None,
        }
    }

    /// Nobody known calls, or one whose token does not say enough.
    pub(super) fn unauthorized(challenge: String, message: impl Into<String>) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message) }
    }

    /// Whether it says that something is not there.
    pub(super) fn is_unknown(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The digest is none of ours.
    pub(super) fn digest(error: &DigestError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
    }

    /// A value of the request is wrong.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message)
    }

    /// A length that the body or the range does not have.
    pub(super) fn size(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message)
    }

    /// A manifest that is longer than one may be.
    pub(super) fn manifest_too_large(limit: usize) -> Self {
        RegistryError::ManifestTooLarge { limit }.into()
    }

    /// A body that broke off.
    pub(super) fn broken(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
    }

    /// A chunk whose range is none.
    pub(super) fn chunk(message: impl Into<String>) -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
    }

    /// A range that the blob does not have.
    pub(super) fn range(size: u64) -> Self {
        let message = format!("the blob has {size} bytes");
        Self { size: Some(size), ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "UNSUPPORTED", message) }
    }
}

/// How queries are read.
pub(super) fn query_config() -> web::QueryConfig {
    web::QueryConfig::default()
        .error_handler(|error, _| Refusal::unsupported(format!("the query is wrong: {error}")).into())
}

/// An address that is none.
pub(super) async fn no_route(request: HttpRequest) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "UNSUPPORTED", format!("there is no {}", request.path()))
}

/// A method that the address does not know.
pub(super) async fn wrong_method(request: HttpRequest) -> Refusal {
    let message = format!("{} does not know {}", request.path(), request.method());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", json!({ "errors": self.errors }))
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if let Some(challenge) = &self.challenge {
            answer.insert_header((WWW_AUTHENTICATE, challenge.as_str()));
        }
        if let Some(offset) = self.offset {
            answer.insert_header(("range", format!("0-{}", offset.saturating_sub(1))));
        }
        if let Some(size) = self.size {
            answer.insert_header((CONTENT_RANGE, format!("bytes */{size}")));
        }
        if let Some(seconds) = self.retry_after_seconds {
            answer.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        answer.content_type("application/json").body(self.to_string())
    }
}

impl actix_web::Responder for Refusal {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self::of(&error)
    }
}

impl Refusal {
    fn of(error: &RegistryError) -> Self {
        use RegistryError as E;
        let message = error.to_string();
        let of = |status: StatusCode, code: &str| Self::new(status, code, message.clone());
        let bad = |code: &str| of(StatusCode::BAD_REQUEST, code);
        let unknown = |code: &str| of(StatusCode::NOT_FOUND, code);
        match error {
            E::Filling(error) => Self::of(error),
            E::Upstream(error) => Self::upstream(error),
            E::BadName { .. } => bad("NAME_INVALID"),
            E::BadTag { .. } => bad("MANIFEST_INVALID"),
            E::RepositoryUnknown { .. } => unknown("NAME_UNKNOWN"),
            E::BlobUnknown { .. } => unknown("BLOB_UNKNOWN"),
            E::ManifestUnknown { .. } => unknown("MANIFEST_UNKNOWN"),
            E::UploadUnknown { .. } => unknown("BLOB_UPLOAD_UNKNOWN"),
            E::UploadBusy { .. } => of(StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            E::BrokenOff { .. } => bad("BLOB_UPLOAD_INVALID"),
            E::OutOfOrder { offset, .. } => Self { offset: Some(*offset), ..Self::chunk(message) },
            E::WrongLength { .. } => bad("SIZE_INVALID"),
            E::WrongDigest { .. } | E::DescriptorDigest { .. } => bad("DIGEST_INVALID"),
            E::ManifestInvalid { .. } => bad("MANIFEST_INVALID"),
            E::ManifestTooLarge { .. } => of(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID"),
            E::ReferencesUnknown { digests } => {
                let message = "the manifest needs it, and it is not in this repository";
                let one = |digest| json!({ "code": "MANIFEST_BLOB_UNKNOWN", "message": message, "detail": { "digest": digest } });
                Self { errors: digests.iter().map(one).collect(), ..unknown("MANIFEST_BLOB_UNKNOWN") }
            }
            E::TagImmutable { .. } => of(StatusCode::FORBIDDEN, "DENIED"),
            E::ManifestInUse { .. } => of(StatusCode::CONFLICT, "DENIED"),
            E::TooManyUploads { .. } => {
                let many = of(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
                Self { retry_after_seconds: Some(60), ..many }
            }
            E::Damaged { .. } | E::Io { .. } | E::Content(_) | E::Layer(_) | E::Store(_) => failed(error.kind(), error),
        }
    }

    /// What a registry that the cache is filled from did not do.
    fn upstream(error: &UpstreamError) -> Self {
        let of = |status: StatusCode, code: &str| Self::new(status, code, error.to_string());
        match error.kind() {
            Kind::NotFound if matches!(error, UpstreamError::NoManifest { .. }) => {
                of(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN")
            }
            // Another name here would not help: 401 would have clients ask for another token.
            Kind::NotFound | Kind::Forbidden | Kind::Invalid => of(StatusCode::FORBIDDEN, "DENIED"),
            _ => of(StatusCode::BAD_GATEWAY, "UNAVAILABLE"),
        }
    }
}

/// Something of ours failed, or of the host's; the chain is in the log.
fn failed(kind: Kind, error: &(dyn std::error::Error + 'static)) -> Refusal {
    tracing::error!(error, "a request to the registry failed");
    if sampan_engine::disk_is_full(error) {
        let message = "the disk is full: remove tags and images, or say `docker system prune` on the registry's host";
        return Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "UNSUPPORTED", message);
    }
    match kind {
        Kind::Exhausted => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "UNSUPPORTED", "there is no space left"),
        _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNSUPPORTED", "something failed: see the server's log"),
    }
}

/// What the policy says to somebody who is known.
impl From<Denied> for Refusal {
    fn from(error: Denied) -> Self {
        match error {
            Denied::NotFound { reference, .. } => {
                Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("there is no repository {reference}"))
            }
            Denied::Forbidden { .. }
            | Denied::OutOfScope { .. }
            | Denied::Cache { .. }
            | Denied::NoTeam { .. }
            | Denied::Elevated { .. }
            | Denied::Folder { .. } => Self::new(StatusCode::FORBIDDEN, "DENIED", error.to_string()),
            Denied::Registry(error) => error.into(),
            Denied::Accounts(error) => error.into(),
            Denied::Container(_) => failed(Kind::Internal, &error),
        }
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Self {
        failed(error.kind(), &error)
    }
}

impl From<TooMany> for Refusal {
    fn from(error: TooMany) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", error.to_string());
        Self { retry_after_seconds: Some(error.seconds), ..refusal }
    }
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::TooMany(error) => error.into(),
            LoginError::Accounts(AccountsError::Busy) => {
                let message = AccountsError::Busy.to_string();
                let busy = Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message);
                Self { retry_after_seconds: Some(5), ..busy }
            }
            LoginError::Accounts(error) => error.into(),
        }
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Registry(error) => error.into(),
            ServiceError::Denied(error) => error.into(),
            ServiceError::Accounts(error) => error.into(),
            other => failed(other.kind(), &other),
        }
    }
}
