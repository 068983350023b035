//! Why something was not done to a volume.

use crate::kind::Kind;

/// Why something was not done to a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The team has no volume of that name.
    #[error("no such volume: {name}")]
    NotFound {
        /// As asked for.
        name: String,
    },
    /// Not a name for a volume.
    #[error("volume name {name:?} must match [a-zA-Z0-9][a-zA-Z0-9_.-]+ and have at most 255 characters")]
    BadName {
        /// As asked for.
        name: String,
    },
    /// Containers use it.
    #[error("volume {name} is in use by {}", .containers.join(", "))]
    InUse {
        /// Its name.
        name: String,
        /// Names of the containers.
        containers: Vec<String>,
    },
    /// The work was refused or broke off.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// Its kind.
        kind: Kind,
    },
    /// A process beneath did not do it.
    #[error(transparent)]
    Process(#[from] crate::processes::ProcessError),
    /// The database could not be read or written.
    #[error("the database failed")]
    Store(#[from] sqlx::Error),
}

impl VolumeError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::BadName { .. } => Kind::Invalid,
            Self::InUse { .. } => Kind::Conflict,
            Self::Refused { kind, .. } => *kind,
            Self::Process(error) => error.kind(),
            Self::Store(_) => Kind::Internal,
        }
    }
}
