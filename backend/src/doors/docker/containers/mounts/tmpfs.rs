//! `HostConfig.Tmpfs`.

use sampan_engine::containers::config::{Mount, MountSource};

use super::place::destination;
use crate::doors::docker::error::DockerError;

/// `--tmpfs /run:size=64m,mode=1777,noexec`.
pub(super) fn tmpfs_mount(target: &str, text: &str) -> Result<Mount, DockerError> {
    let destination = destination(target, target)?;
    let refused = |option: &str| DockerError::invalid(format!("invalid tmpfs option {option:?}"));
    let (mut size_bytes, mut mode, mut options, mut read_only) = (None, None, Vec::new(), false);
    for option in text.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => size_bytes = Some(size(value).ok_or_else(|| refused(option))?),
            Some(("mode", value)) => mode = Some(u32::from_str_radix(value, 8).map_err(|_| refused(option))?),
            None if option == "ro" => read_only = true,
            None if option == "rw" => {}
            _ => options.push(option.to_owned()),
        }
    }
    Ok(Mount { source: MountSource::Tmpfs { size_bytes, mode, options }, destination, read_only })
}

/// `64m`: tmpfs(5) knows k, m and g.
fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
