//! The lock that all instances on a host share while they choose ids and names.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::FlockOperation;

use super::HostError;

const PATH: &str = "/run/lock/sampan.lock";

/// Held until dropped.
#[derive(Debug)]
pub(super) struct HostLock {
    _file: File,
}

impl HostLock {
    /// Waits for the lock; others hold it for some milliseconds.
    pub(super) fn take() -> Result<Self, HostError> {
        let file = match File::open(PATH) {
            Ok(file) => file,
            Err(_) => OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(PATH)
                .map_err(HostError::io("make", PATH))?,
        };
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| HostError::Io {
            what: "lock",
            path: PATH.into(),
            source: error.into(),
        })?;
        Ok(Self { _file: file })
    }
}
