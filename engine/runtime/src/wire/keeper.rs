//! Words with `keeper`: it keeps descriptors under names, starts monitors, and tells of ended processes.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::sandbox::Team;

/// Who a connection is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "role")]
pub enum Role {
    /// The server.
    Serve,
    /// The spawner.
    Spawner,
    /// The network process.
    Net,
    /// A team's monitor.
    Monitor {
        /// Key of the team.
        team: String,
    },
}

/// Requests to keeper. Names of kept descriptors: `listener/docker`, `listener/http`, `container/<id>/stdout`, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// First message of every connection. Answer: `welcome`.
    Hello {
        /// [`super::VERSION`] of the caller.
        version: u32,
        /// Who calls.
        role: Role,
    },
    /// Keeps the descriptors beside this message under `name`, in order, replacing older ones.
    Put {
        /// Slash-separated name.
        name: String,
    },
    /// Hands out duplicates of what is kept under `name`. Answer: `kept` with descriptors, or a not-found refusal.
    Get {
        /// The name.
        name: String,
    },
    /// Closes all that is kept under names that start with `prefix`.
    Drop {
        /// Prefix of names.
        prefix: String,
    },
    /// Lists the names that start with `prefix`.
    List {
        /// Prefix of names.
        prefix: String,
    },
    /// Tells keeper whose child `pid` is (sent by spawner right after the birth, pidfd beside it). The process may
    /// have ended already; keeper then tells at once.
    Watch {
        /// Host pid of a child of keeper.
        pid: i32,
        /// The team whose monitor is told.
        team: String,
        /// What it is.
        what: Watched,
    },
    /// Starts the team's monitor if it does not run; answers when its socket listens.
    EnsureMonitor {
        /// The team.
        team: Team,
    },
    /// Ends the team's monitor, which must have no container.
    EndMonitor {
        /// Key of the team.
        team: String,
    },
    /// Ends spawner, net, monitors and keeper itself. Refused (conflict) while a watched container lives.
    Shutdown,
}

/// What a watched process is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Watched {
    /// The main process of a container.
    Container {
        /// Its id.
        id: String,
    },
    /// A process started by `exec`.
    Exec {
        /// Its container.
        id: String,
        /// Its own id.
        exec: String,
    },
}

/// Answers and news from keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// To `hello`.
    Welcome {
        /// [`super::VERSION`] of keeper.
        version: u32,
    },
    /// Done, nothing to say.
    Done,
    /// To `get`, descriptors beside it.
    Kept,
    /// To `list`.
    Names {
        /// The names, sorted.
        names: Vec<String>,
    },
    /// Not done.
    Refused(Refusal),
    /// News, not an answer: a watched process ended. Sent to `serve` for execs and to the team's monitor for both;
    /// kept for a monitor that is away until it is back.
    Ended {
        /// What ended.
        what: Watched,
        /// Host pid.
        pid: i32,
        /// Raw wait status (waitpid(2)).
        status: i32,
        /// When it was reaped, nanoseconds since 1970.
        at_ns: i64,
    },
}
