//! The lock that all instances on a host share while they choose ids and names.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// File in the data root that is locked by who works on it alone: the server, or a repair.
pub(super) const LOCK_FILE: &str = "lock";
/// A server that was told to end a moment ago, or killed, may still hold it.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// The data root for one process alone, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Alone {
    _file: File,
}

/// Takes a data root for this process alone.
///
/// # Errors
/// [`HostError::Busy`] when a server or a repair has it.
pub fn claim_alone(data_root: &Path) -> Result<Alone, HostError> {
    let path = data_root.join(LOCK_FILE);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
    let file = options.open(&path).map_err(HostError::io("open", &path))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Alone { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(HostError::Busy { data_root: data_root.to_owned() }),
            Err(error) => return Err(HostError::Io { what: "lock", path, source: error.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_root_is_one_process_s_alone() {
        let root = tempfile::tempdir().unwrap();
        let first = claim_alone(root.path()).unwrap();
        assert!(matches!(claim_alone(root.path()), Err(HostError::Busy { .. })));
        drop(first);
        claim_alone(root.path()).unwrap();
    }
}
