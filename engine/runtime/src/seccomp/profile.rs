//! Profiles in Docker's JSON.

use oci_spec::runtime::LinuxSeccomp;

use super::SeccompError;
use crate::capabilities::CapabilitySet;

/// A profile in Docker's JSON, not yet resolved for a container.
#[derive(Debug, Clone)]
pub struct Profile {}

impl Profile {
    /// Docker's default profile.
    ///
    /// # Errors
    /// None in a build whose tests passed: the file is part of the program.
    pub fn docker_default() -> Result<Self, SeccompError> {
        Err(SeccompError::Unsupported { what: "seccomp profiles are being built".into() })
    }

    /// Reads a profile in Docker's JSON.
    ///
    /// # Errors
    /// [`SeccompError::Parse`], [`SeccompError::Invalid`].
    pub fn parse(json: &str) -> Result<Self, SeccompError> {
        let _ = json;
        Err(SeccompError::Unsupported { what: "seccomp profiles are being built".into() })
    }

    /// The rules for a container that has `capabilities` (its bounding set), on this kernel and architecture.
    ///
    /// # Errors
    /// [`SeccompError::Invalid`].
    pub fn resolve(&self, capabilities: CapabilitySet) -> Result<LinuxSeccomp, SeccompError> {
        let _ = capabilities;
        Err(SeccompError::Unsupported { what: "seccomp profiles are being built".into() })
    }
}
