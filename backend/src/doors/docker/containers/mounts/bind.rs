//! `HostConfig.Binds`.

use sampan_engine::containers::config::{Mount, MountSource};

use super::place::{clean, destination};
use super::volume::volume_name;
use crate::doors::docker::error::DockerError;

/// `[source:]destination[:options]`.
pub(super) fn bind(text: &str) -> Result<Mount, DockerError> {
    let refused = |why: &str| DockerError::invalid(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(refused("")),
    };
    if target.is_empty() || (parts.len() > 1 && source.is_empty()) {
        return Err(refused(""));
    }
    let destination = destination(target, text)?;
    let mut read_only = false;
    let mut no_copy = false;
    let mut propagation = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            // Labels are for SELinux, which is off or absent; consistency is for Docker Desktop. dockerd ignores both.
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" | "default" => {}
            "nocopy" => no_copy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => propagation = Some(option.to_owned()),
            _ => return Err(DockerError::invalid(format!("invalid mode: {options}"))),
        }
    }
    let source = if source.starts_with('/') {
        if no_copy {
            return Err(DockerError::invalid(format!("invalid mode: {options}")));
        }
        MountSource::Bind { path: clean(source), create: true, propagation, non_recursive: false, granted: false }
    } else {
        if propagation.is_some() {
            return Err(DockerError::invalid(format!("invalid mode: {options}")));
        }
        let name = if source.is_empty() { None } else { Some(volume_name(source)?) };
        MountSource::Volume { name, no_copy }
    };
    Ok(Mount { source, destination, read_only })
}
