//! The one error of all services, rendered once per door.

use sampan_engine::Kind;
use sampan_engine::containers::ContainerError;
use sampan_engine::volumes::VolumeError;

use crate::accounts::AccountsError;
use crate::policy::Denied;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The policy said no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// An image.
    #[error(transparent)]
    Image(#[from] sampan_engine::images::ImageError),
    /// The registry inside.
    #[error(transparent)]
    Registry(#[from] sampan_engine::registry::RegistryError),
    /// Another registry.
    #[error(transparent)]
    Registries(#[from] sampan_engine::upstream::RegistriesError),
    /// A user, team, member or token.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The kernel did not say how busy the host is.
    #[error("cannot read {what}: {message}")]
    Host {
        /// What was read.
        what: &'static str,
        /// Why not.
        message: String,
    },
    /// A value of the request is wrong.
    #[error("{message}")]
    Invalid {
        /// What is wrong with which value.
        message: String,
    },
}

impl ServiceError {
    /// What the caller can do about it: all that a door may look at.
    pub fn kind(&self) -> Kind {
        let kind = self.kind_of_noun();
        // Whatever was being written.
        if kind == Kind::Internal && sampan_engine::disk_is_full(self) { Kind::Exhausted } else { kind }
    }

    fn kind_of_noun(&self) -> Kind {
        match self {
            Self::Denied(error) => error.kind(),
            Self::Container(error) => error.kind(),
            Self::Volume(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Registries(error) => error.kind(),
            Self::Accounts(error) => error.kind(),
            Self::Host { .. } => Kind::Internal,
            Self::Invalid { .. } => Kind::Invalid,
        }
    }
}
