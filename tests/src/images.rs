//! Archives of images that tests load. `tests/images/prepare` makes them.

use std::path::PathBuf;

/// The folder: `SAMPAN_TEST_IMAGES`, else `~/.cache/sampan-images`.
pub fn folder() -> PathBuf {
    let typed = std::env::var_os("SAMPAN_TEST_IMAGES").map(PathBuf::from);
    typed.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache/sampan-images"))
}

/// An archive by its name without `.tar`.
pub fn archive(name: &str) -> PathBuf {
    let path = folder().join(format!("{name}.tar"));
    assert!(path.exists(), "{} is not there: run tests/images/prepare", path.display());
    path
}

/// The smallest image with a shell: `busybox:latest`.
pub fn busybox() -> PathBuf {
    archive("busybox")
}
