//! Words with a team's `monitor`: it holds stdio, writes logs and journals, and restarts.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::sandbox::{LogLimits, RestartPolicy, Stdio};

/// Requests to a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// First message of every connection. Answer: `welcome`.
    Hello {
        /// [`super::VERSION`] of the caller.
        version: u32,
    },
    /// From spawner, before the program runs. Descriptors beside it, in order: the container's folder (O_PATH),
    /// pidfd, then the pty's master, or [stdin's write end if `stdio.stdin`,] stdout's and stderr's read ends.
    Adopt {
        /// Container id.
        id: String,
        /// Host pid.
        pid: i32,
        /// Which descriptors follow.
        stdio: Stdio,
        /// What to do at its end.
        restart: RestartPolicy,
        /// Bounds of the log.
        log: LogLimits,
        /// Nanoseconds since 1970.
        at_ns: i64,
    },
    /// From spawner when the program could not be run after `adopt`: forget it, write nothing.
    Abandon {
        /// Container id.
        id: String,
    },
    /// From serve: sends all news of this team from now on, before that the last of each container it has; `done` comes
    /// behind these.
    Subscribe,
    /// A person asked it to stop: no restart at its end, until the next `adopt`. Cancels a waiting restart; then the
    /// news `ended` with `will_restart: false` follows at once.
    Stopping {
        /// Container id.
        id: String,
    },
    /// A new restart policy.
    SetPolicy {
        /// Container id.
        id: String,
        /// The policy.
        restart: RestartPolicy,
    },
    /// A duplicate of stdin's write end or of the pty's master, to write to. Answer: `done` with one descriptor.
    Stdin {
        /// Container id.
        id: String,
    },
    /// Closes stdin for good here and in keeper.
    CloseStdin {
        /// Container id.
        id: String,
    },
    /// Sets the pty's size.
    Resize {
        /// Container id.
        id: String,
        /// Lines.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// The container is gone: forget it and let go of what is kept.
    Forget {
        /// Container id.
        id: String,
    },
}

/// Answers and news of a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// To `hello`.
    Welcome {
        /// [`super::VERSION`] of the monitor.
        version: u32,
    },
    /// Done.
    Done,
    /// Not done.
    Refused(Refusal),
    /// News, also written to the journal first.
    News(Entry),
}

/// One line of `containers/<id>/journal` (JSON lines) and one piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Container id.
    pub id: String,
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// Counts up within one container.
    pub sequence: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What can happen to a container while no daemon looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Happening {
    /// The main process runs.
    Started {
        /// Host pid.
        pid: i32,
        /// How often the monitor restarted it since a person started it.
        restarts: u32,
    },
    /// The main process ended and all its output is in the log.
    Ended {
        /// 0-255 as Docker counts: 128+n for signal n; `None` when nobody could learn it.
        code: Option<i32>,
        /// The kernel's out-of-memory killer took a process of it.
        out_of_memory: bool,
        /// Whether the monitor will start it again, and after how many milliseconds.
        restart_in_ms: Option<u64>,
    },
    /// A restart by the monitor failed.
    RestartFailed {
        /// Why.
        message: String,
        /// Next try.
        restart_in_ms: Option<u64>,
    },
    /// Output was lost (the monitor was killed between reading and writing).
    OutputLost,
    /// Standard input was closed.
    StdinClosed,
}
