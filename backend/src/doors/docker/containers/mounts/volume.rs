//! Names and drivers of volumes.

use crate::doors::docker::error::DockerError;

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub(super) fn volume_name(name: &str) -> Result<String, DockerError> {
    let bytes = name.as_bytes();
    let right = bytes.len() >= 2
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    if right {
        return Ok(name.to_owned());
    }
    Err(DockerError::invalid(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" \
         are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// Only the built-in driver is there.
///
/// # Errors
/// 400 in dockerd's words; its 404 would make the CLI pull the image.
pub fn check_driver(name: &str, field: &str) -> Result<(), DockerError> {
    if matches!(name, "" | "local") {
        return Ok(());
    }
    Err(DockerError::invalid(format!("{field}: error looking up volume plugin {name}: plugin {name:?} not found")))
}
