//! Standard streams of a container: pipes made here, given to its user, their other ends for monitor and keeper.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Uid, fchown};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::failure::Doing;
use crate::wire::Refusal;

/// Both sides, each in the order stdin (if asked for), stdout, stderr.
#[derive(Debug)]
pub(super) struct Streams {
    pub inside: Vec<OwnedFd>,
    pub outside: Vec<OwnedFd>,
}

impl Streams {
    pub fn make(stdin: bool) -> Result<Self, Refusal> {
        let mut streams = Self { inside: Vec::new(), outside: Vec::new() };
        if stdin {
            let (read, write) = pipe()?;
            streams.inside.push(read);
            streams.outside.push(write);
        }
        for _ in 0..2 {
            let (read, write) = pipe()?;
            streams.inside.push(write);
            streams.outside.push(read);
        }
        Ok(streams)
    }

    /// Gives the pipes to a host user, so that the program can open /dev/stdout again. One file stands for both ends.
    pub fn give_to(&self, user: u32, group: u32) -> Result<(), Refusal> {
        for stream in &self.outside {
            fchown(stream, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
                .doing(|| "give the standard streams to the user".to_owned())?;
        }
        Ok(())
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Refusal> {
    pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe".to_owned())
}

/// Borrows each.
pub(super) fn borrow(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    descriptors.iter().map(AsFd::as_fd).collect()
}
