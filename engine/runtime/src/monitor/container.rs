//! What the monitor knows about one container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::stdio::Source;
use crate::journal::Journal;
use crate::log::Writer;
use crate::sandbox::{LogLimits, RestartPolicy};

/// The file that says, to a monitor that comes after this one, that a person asked the container to stop.
pub(super) const STOPPING_FILE: &str = "stopping";

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    /// Its number in epoll tokens: never used twice.
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) folder: OwnedFd,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) streams: Streams,
    pub(super) policy: RestartPolicy,
    pub(super) log_limits: LogLimits,
    pub(super) log: Option<Writer>,
    /// Bytes that could not be written to the log since the last that could.
    pub(super) lost_bytes: u64,
    pub(super) journal: Journal,
    pub(super) phase: Phase,
    /// Restarts since a person started it.
    pub(super) restarts: u32,
    pub(super) last_wait: Option<Duration>,
    pub(super) stopping: bool,
    /// Kills by the out-of-memory killer in its cgroup before this run.
    pub(super) oom_kills_before: u64,
    pub(super) last_code: Option<i32>,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The main process runs, as far as we know.
    Running {
        since: Instant,
        /// The journal does not say so yet: the program may turn out not to be runnable. When it was born.
        unwritten: Option<i64>,
        /// Seen ended by its pidfd while keeper is away.
        over_since: Option<Instant>,
        /// This run was asked for by ourselves.
        restarted: bool,
    },
    /// It ended and will be started again.
    Waiting { until: Instant },
    /// Spawner was asked.
    Starting,
}

/// Its standard streams.
#[derive(Debug)]
pub(super) enum Streams {
    /// Closed: it does not run.
    None,
    /// The master of its terminal.
    Terminal(Source),
    /// Pipes.
    Pipes { stdin: Option<OwnedFd>, stdout: Source, stderr: Source },
}

impl Streams {
    /// Descriptors as keeper keeps them.
    pub(super) fn kept(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::None => Vec::new(),
            Self::Terminal(master) => vec![master.descriptor.as_fd()],
            Self::Pipes { stdin, stdout, stderr } => {
                let output = [stdout.descriptor.as_fd(), stderr.descriptor.as_fd()];
                stdin.iter().map(AsFd::as_fd).chain(output).collect()
            }
        }
    }

    /// What is read from.
    pub(super) fn sources(&mut self) -> impl Iterator<Item = &mut Source> {
        let sources = match self {
            Self::None => [None, None],
            Self::Terminal(master) => [Some(master), None],
            Self::Pipes { stdout, stderr, .. } => [Some(stdout), Some(stderr)],
        };
        sources.into_iter().flatten()
    }
}
