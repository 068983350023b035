//! The lock that all instances on a host share while they choose addresses.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::networks::NetworkError;

const PATH: &str = "/run/lock/sampan.lock";
/// Others hold it for some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct HostLock {
    _file: File,
}

impl HostLock {
    /// Waits for the lock.
    pub(super) fn take() -> Result<Self, NetworkError> {
        let file = open(Path::new(PATH)).map_err(NetworkError::system(format!("open {PATH}")))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(NetworkError::system(format!("lock {PATH}"))(error.into())),
            }
        }
    }
}

/// Opens for reading, which is enough for flock(2): the file may be another user's, and in a sticky folder such a one
/// cannot be opened with O_CREAT (fs.protected_regular).
fn open(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o644).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(path),
        other => other,
    }
}
