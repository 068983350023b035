//! The connection to guard, our parent: it tells how the children of a keeper before us end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use super::children::End;
use crate::wire::guard::OrphanEnded;
use crate::wire::socket::Connection;

/// Guard, as long as it lives.
#[derive(Debug)]
pub(super) struct Guard {
    connection: Connection,
    pid: Option<i32>,
}

impl Guard {
    /// Takes the connection over.
    pub(super) fn join(number: RawFd) -> io::Result<Self> {
        let connection = Connection::from(crate::sys::descriptors::inherit(number)?);
        connection.set_nonblocking(true)?;
        let pid = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        Ok(Self { connection, pid })
    }

    /// Whether it has to reap this process.
    pub(super) fn is_parent_of(&self, pid: i32) -> bool {
        self.pid.is_some() && parent(pid) == self.pid
    }

    /// The next end that it told; an error is the end of guard itself.
    pub(super) fn receive(&self) -> io::Result<Option<(i32, End)>> {
        match self.connection.receive::<OrphanEnded>() {
            Ok(Some((ended, _))) => Ok(Some((ended.pid, End { status: ended.status, at_ns: ended.at_ns }))),
            Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// The second field behind the name in /proc/PID/stat (proc_pid_stat(5)).
fn parent(pid: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
