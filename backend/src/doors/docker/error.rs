//! What goes wrong at this door: a status and `{"message": …}`, as every client of Docker's API expects.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sampan_engine::Kind;
use sampan_engine::containers::ContainerError;
use sampan_engine::volumes::VolumeError;
use serde::Serialize;

use crate::policy::{Denied, NounKind};
use crate::service::ServiceError;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerError {
    /// HTTP status.
    pub status: StatusCode,
    /// One sentence for a person; clients print it after `Error response from daemon: `.
    pub message: String,
}

/// The body of every error.
#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
}

impl DockerError {
    /// An error of this status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 501: the thing is of Docker's API and is not here.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl DockerError {
    /// The same, as a fault of the request instead of a 404.
    pub fn not_as_missing(self) -> Self {
        let status = if self.status == StatusCode::NOT_FOUND { StatusCode::BAD_REQUEST } else { self.status };
        Self { status, ..self }
    }

    /// The same, as part of something larger: `cannot kill container: web: …`.
    pub fn within(self, whole: &str) -> Self {
        Self { message: format!("{whole}: {}", self.message), ..self }
    }
}

impl From<ServiceError> for DockerError {
    fn from(error: ServiceError) -> Self {
        let status = status(error.kind());
        if status == StatusCode::INTERNAL_SERVER_ERROR && error.kind() != Kind::Upstream {
            tracing::error!(error = sampan_engine::sentence(&error), "a request at the docker door failed");
        }
        let sentence = sentence(&error);
        if sampan_engine::disk_is_full(&error) {
            return Self::new(status, format!("{sentence}; {FULL}"));
        }
        Self::new(status, sentence)
    }
}

/// What to do about a full disk.
const FULL: &str = "the disk is full: `docker system prune` removes what nobody uses, `docker system df` says what takes \
                    the room";

impl From<Denied> for DockerError {
    fn from(denied: Denied) -> Self {
        ServiceError::from(denied).into()
    }
}

/// The one place from what a caller can do about an error to a status.
fn status(kind: Kind) -> StatusCode {
    match kind {
        // A program that cannot be run is the request's fault, as dockerd sees it.
        Kind::Invalid | Kind::CommandNotFound | Kind::CommandNotRunnable => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        // As dockerd has it, for what another registry did as well.
        Kind::Exhausted | Kind::Upstream | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The sentence, in dockerd's words where clients look for them.
fn sentence(error: &ServiceError) -> String {
    match error {
        ServiceError::Denied(Denied::NotFound { noun, reference }) => missing(*noun, reference),
        ServiceError::Denied(Denied::Container(error)) | ServiceError::Container(error) => of_container(error),
        ServiceError::Volume(VolumeError::NotFound { name }) => missing(NounKind::Volume, name),
        ServiceError::Volume(VolumeError::InUse { name, containers }) => {
            format!("remove {name}: volume is in use - [{}]", containers.join(", "))
        }
        other => sampan_engine::sentence(other),
    }
}

/// What dockerd says of a thing that is not there.
pub fn missing(noun: NounKind, reference: &str) -> String {
    match noun {
        NounKind::Container => format!("No such container: {reference}"),
        NounKind::Image => format!("No such image: {reference}"),
        NounKind::Exec => format!("No such exec instance: {reference}"),
        NounKind::Volume => format!("get {reference}: no such volume"),
        NounKind::Network => format!("network {reference} not found"),
        other => format!("No such {}: {reference}", other.as_str()),
    }
}

fn of_container(error: &ContainerError) -> String {
    match error {
        ContainerError::NotFound { reference } => missing(NounKind::Container, reference),
        ContainerError::NoSuchExec { id } => missing(NounKind::Exec, id),
        ContainerError::NameTaken { name, id } => format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or \
             rename) that container to be able to reuse that name."
        ),
        other => run_words(other.kind(), sampan_engine::sentence(other)),
    }
}

/// The docker CLI makes its exit codes 127 and 126 of these words.
fn run_words(kind: Kind, sentence: String) -> String {
    let (words, instead): (&[&str], &str) = match kind {
        Kind::CommandNotFound => {
            (&["executable file not found", "no such file or directory"], "executable file not found in $PATH")
        }
        Kind::CommandNotRunnable => (&["permission denied", "is a directory"], "permission denied"),
        _ => return sentence,
    };
    if words.iter().any(|word| sentence.contains(word)) { sentence } else { format!("{sentence}: {instead}") }
}

impl IntoResponse for DockerError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::NOT_MODIFIED {
            return self.status.into_response();
        }
        // dockerd ends its JSON with a line feed; a string always serializes.
        let mut body = serde_json::to_vec(&Body { message: &self.message }).unwrap_or_default();
        body.push(b'\n');
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: ContainerError) -> DockerError {
        ServiceError::from(error).into()
    }

    #[test]
    fn clients_find_the_words_they_look_for() {
        assert_eq!(
            of(ContainerError::NotFound { reference: "web".into() }),
            DockerError::not_found("No such container: web")
        );
        let taken = of(ContainerError::NameTaken { name: "web".into(), id: "ab".into() });
        assert_eq!(taken.status, StatusCode::CONFLICT);
        assert!(
            taken.message.starts_with("Conflict. The container name \"/web\" is already in use by container \"ab\".")
        );
        assert_eq!(
            DockerError::from(Denied::Container(ContainerError::NoSuchExec { id: "x".into() })).message,
            "No such exec instance: x"
        );
    }

    #[test]
    fn a_program_that_cannot_be_run_is_told_so_that_the_cli_knows_the_exit_code() {
        let refused = |kind, message: &str| of(ContainerError::Refused { message: message.into(), kind });
        assert_eq!(
            refused(Kind::CommandNotFound, "exec \"x\""),
            DockerError::invalid("exec \"x\": executable file not found in $PATH")
        );
        assert_eq!(
            refused(Kind::CommandNotRunnable, "exec \"/tmp\": is a directory"),
            DockerError::invalid("exec \"/tmp\": is a directory")
        );
    }

    #[test]
    fn a_full_disk_is_told_with_what_makes_room() {
        let source = std::io::Error::from_raw_os_error(28);
        let full = of(ContainerError::File { path: "/x".into(), source });
        assert_eq!(full.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(full.message.starts_with("cannot write /x: No space left on device (os error 28); the disk is full: "));
        assert!(full.message.contains("`docker system prune`"), "{}", full.message);
    }

    #[test]
    fn causes_are_told_once() {
        let error: ContainerError = sampan_engine::processes::ProcessError::Unreachable {
            process: "spawner",
            socket: "/run/x".into(),
            source: std::io::Error::other("gone"),
        }
        .into();
        assert_eq!(of(error), DockerError::internal("spawner does not answer on /run/x: gone"));
    }
}
