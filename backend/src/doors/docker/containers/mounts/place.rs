//! Paths in a request.

use std::path::{Component, Path, PathBuf};

use crate::doors::docker::error::DockerError;

/// An absolute path other than `/`, cleaned.
pub(super) fn destination(target: &str, whole: &str) -> Result<PathBuf, DockerError> {
    if !target.starts_with('/') {
        return Err(DockerError::invalid(format!(
            "invalid mount config: invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let path = clean(target);
    if path == Path::new("/") {
        return Err(DockerError::invalid(format!(
            "invalid volume specification: '{whole}': invalid mount config: invalid specification: destination can't \
             be '/'"
        )));
    }
    Ok(path)
}

/// Without `.`, `..` and doubled slashes, by the words of the path alone.
pub(super) fn clean(path: &str) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}
