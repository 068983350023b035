//! What can go wrong with networks, on the engine's side and in the `net` process.

use std::io;
use std::path::PathBuf;

use sampan_runtime::wire::{Refusal, RefusalKind};

use crate::Kind;

/// Why a network request was not done.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The `net` process refused; the text is its sentence for a person.
    #[error("{message}")]
    Refused {
        /// What the caller can do about it.
        kind: RefusalKind,
        /// The sentence.
        message: String,
    },
    /// The `net` process does not answer, although it was tried again for some seconds.
    #[error("the network process does not answer on {}", .socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// The last attempt.
        #[source]
        source: io::Error,
    },
    /// It answered something that does not fit the request.
    #[error("the network process answered out of turn to {request}")]
    OutOfTurn {
        /// The request.
        request: &'static str,
    },
    /// A system call failed.
    #[error("cannot {action}")]
    System {
        /// What was tried: a verb and its object.
        action: String,
        /// As the kernel says.
        #[source]
        source: io::Error,
    },
}

impl NetworkError {
    /// What the caller can do about it: all that doors may look at.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused { kind, .. } => Kind::from(*kind),
            Self::Unreachable { .. } | Self::OutOfTurn { .. } | Self::System { .. } => Kind::Internal,
        }
    }

    /// A refusal with its sentence.
    pub(crate) fn refused(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self::Refused { kind, message: message.into() }
    }

    /// For `map_err`: names what was tried.
    pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}

impl From<Refusal> for NetworkError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { kind: refusal.kind, message: refusal.message }
    }
}

impl From<NetworkError> for Refusal {
    fn from(error: NetworkError) -> Self {
        let kind = match &error {
            NetworkError::Refused { kind, .. } => *kind,
            NetworkError::System { source, .. } => match source.raw_os_error() {
                Some(libc::ENOSPC | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => RefusalKind::Exhausted,
                Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => RefusalKind::Unsupported,
                _ => RefusalKind::Internal,
            },
            NetworkError::Unreachable { .. } | NetworkError::OutOfTurn { .. } => RefusalKind::Internal,
        };
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self { kind, message }
    }
}
