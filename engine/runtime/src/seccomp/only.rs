//! A filter that lets few calls through.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompBuilder, LinuxSyscallBuilder};

use super::SeccompError;

/// Rules by which only `calls` are possible; everything else answers EPERM.
///
/// # Errors
/// [`SeccompError::Invalid`].
pub fn only(calls: &[&str]) -> Result<LinuxSeccomp, SeccompError> {
    let invalid = |error: oci_spec::OciSpecError| SeccompError::Invalid { why: error.to_string() };
    let allowed = LinuxSyscallBuilder::default()
        .names(calls.iter().map(|&call| call.to_owned()).collect::<Vec<_>>())
        .action(LinuxSeccompAction::ScmpActAllow)
        .build()
        .map_err(invalid)?;
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(1_u32)
        .syscalls(vec![allowed])
        .build()
        .map_err(invalid)
}
