//! Why a filter of system calls could not be made.

use std::io;

use crate::wire::RefusalKind;

/// Why a filter of system calls could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The text is not a profile.
    #[error("the seccomp profile cannot be read")]
    Parse {
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The profile contradicts itself.
    #[error("the seccomp profile is wrong: {why}")]
    Invalid {
        /// What is wrong, and where.
        why: String,
    },
    /// Something that this runtime does not do.
    #[error("{what}")]
    Unsupported {
        /// What.
        what: String,
    },
    /// The kernel did not take the program.
    #[error("cannot install a seccomp filter of {instructions} instructions")]
    Install {
        /// Its length.
        instructions: usize,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl SeccompError {
    /// What the caller can do about it.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Parse { .. } | Self::Invalid { .. } => RefusalKind::Invalid,
            Self::Unsupported { .. } => RefusalKind::Unsupported,
            Self::Install { .. } => RefusalKind::Internal,
        }
    }
}
