//! Who reads a log of which nothing is kept: its writer must know whether it may drop what is written.
//!
//! A shared lock on a file beside the log, held as long as somebody reads: it goes with its holder, however that ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

/// In the container's folder.
const READERS_FILE: &str = "readers";

/// Somebody reads, until this is dropped.
#[derive(Debug)]
pub struct Reading(#[expect(dead_code, reason = "holds the lock")] File);

impl Reading {
    /// From now on what is written to the log of this container is kept until it was read.
    ///
    /// # Errors
    /// As open(2), flock(2).
    pub fn begin(container: &Path) -> io::Result<Self> {
        let flags = OFlags::NOFOLLOW.bits() as i32;
        let path = container.join(READERS_FILE);
        let file =
            File::options().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)?;
        // The writer holds it for a moment only.
        flock(&file, FlockOperation::LockShared)?;
        Ok(Self(file))
    }
}

/// Whether somebody reads now.
pub(super) fn is_read(container: BorrowedFd<'_>) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match rustix::fs::openat(container.as_fd(), READERS_FILE, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        file => file?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
