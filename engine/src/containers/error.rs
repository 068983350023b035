//! Why something was not done to a container.

use crate::kind::Kind;

/// Why something was not done to a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No container of this team has that name, id or beginning of an id.
    #[error("no such container: {reference}")]
    NotFound {
        /// As asked for.
        reference: String,
    },
    /// Several ids begin so.
    #[error("several containers have an id that begins with {reference}: type more of it")]
    Ambiguous {
        /// As asked for.
        reference: String,
    },
    /// There is nothing at a path. In dockerd's words, which its clients know.
    #[error("Could not find the file {path} in container {container}")]
    NoSuchFile {
        /// As asked for.
        path: String,
        /// Name of the container.
        container: String,
    },
    /// No such exec.
    #[error("no such exec: {id}")]
    NoSuchExec {
        /// As asked for.
        id: String,
    },
    /// A value of the request is wrong.
    #[error("{message}")]
    Invalid {
        /// What is wrong with which value.
        message: String,
    },
    /// The name is another container's.
    #[error(
        "the container name \"/{name}\" is already in use by container \"{id}\": remove or rename that container to reuse it"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// Its state does not allow it.
    #[error("container {name} is {state}: {wanted}")]
    WrongState {
        /// Name of the container.
        name: String,
        /// Docker's word for the state.
        state: &'static str,
        /// What it would have to be, or what to do first.
        wanted: &'static str,
    },
    /// It is so already.
    #[error("container {name} is {state} already")]
    NotModified {
        /// Name of the container.
        name: String,
        /// Docker's word for the state.
        state: &'static str,
    },
    /// Not offered.
    #[error("{message}")]
    Unsupported {
        /// What, and what to do instead.
        message: String,
    },
    /// Its image.
    #[error(transparent)]
    Image(#[from] crate::images::ImageError),
    /// The registry inside.
    #[error(transparent)]
    Registry(#[from] crate::registry::RegistryError),
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
    /// The network process did not do it.
    #[error(transparent)]
    Network(#[from] crate::networks::NetworkError),
    /// A stream could not be read or written.
    #[error("a stream of the container failed")]
    Stream(#[source] std::io::Error),
    /// The database could not be read or written.
    #[error("the database failed")]
    Store(#[from] sqlx::Error),
    /// A file of the container could not be read or written.
    #[error("cannot write {}", .path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A volume stands in the way.
    #[error(transparent)]
    Volume(#[from] crate::volumes::VolumeError),
}

impl ContainerError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Image(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::NotFound { .. } | Self::NoSuchExec { .. } | Self::NoSuchFile { .. } => Kind::NotFound,
            Self::Ambiguous { .. } | Self::Invalid { .. } => Kind::Invalid,
            Self::NameTaken { .. } | Self::WrongState { .. } => Kind::Conflict,
            Self::NotModified { .. } => Kind::NotModified,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Refused { kind, .. } => *kind,
            Self::Process(error) => error.kind(),
            Self::Network(error) => error.kind(),
            Self::Stream(_) | Self::Store(_) | Self::File { .. } => Kind::Internal,
            Self::Volume(error) => error.kind(),
        }
    }
}
