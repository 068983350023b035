//! From rules to classic BPF.

use oci_spec::runtime::LinuxSeccomp;

use super::SeccompError;

/// A program for the kernel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Program {}

/// Makes the program for `rules`.
///
/// # Errors
/// [`SeccompError::Invalid`]; [`SeccompError::Unsupported`] for SCMP_ACT_NOTIFY and for architectures not known here.
pub fn compile(rules: &LinuxSeccomp) -> Result<Program, SeccompError> {
    let _ = rules;
    Err(SeccompError::Unsupported { what: "the seccomp compiler is being built".into() })
}

impl Program {
    /// Installs it into the calling thread, for ever. Needs no_new_privs or CAP_SYS_ADMIN in the user namespace: where
    /// no_new_privs is off, before capabilities are given up.
    ///
    /// # Errors
    /// [`SeccompError::Install`].
    pub fn install(&self) -> Result<(), SeccompError> {
        Err(SeccompError::Unsupported { what: "the seccomp compiler is being built".into() })
    }
}
