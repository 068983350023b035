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

/// Requests to keeper.
///
/// | name of kept descriptors | what lies there |
/// |---|---|
/// | `listener/docker`, `listener/http` | `serve`'s listening sockets |
/// | `container/<id>/folder` | `containers/<id>` (O_PATH) |
/// | `container/<id>/pidfd` | the main process |
/// | `container/<id>/userns`, `container/<id>/netns` | namespaces that the next start uses again |
/// | `container/<id>/stdio` | the pty's master; or [stdin's write end,] stdout's, stderr's read ends |
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
    /// As several `put`: names, each with the number of its descriptors among those beside this message, in order.
    PutAll {
        /// The names.
        names: Vec<(String, usize)>,
    },
    /// Hands out duplicates of what is kept under `name`. Answer: `kept` with descriptors, or a not-found refusal.
    Get {
        /// The name.
        name: String,
    },
    /// Closes all that is kept under names that start with one of `prefixes`.
    Drop {
        /// Prefixes of names.
        prefixes: Vec<String>,
    },
    /// Lists the names that start with `prefix`; refused (exhausted) beyond [`NAMES`] of them.
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
    /// From a monitor: the team's containers whose end it has not dealt with. Answer: `containers`, sorted by id.
    Containers {
        /// Key of the team.
        team: String,
        /// Only ids after this one; empty for the first page.
        after: String,
    },
    /// From a monitor: it has dealt with the end of this container's process. Keeper lets go of folder and streams;
    /// until then the end is told again to every new monitor of the team.
    Confirm {
        /// Container id.
        id: String,
        /// Which run.
        pid: i32,
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

/// Most names in one answer to `list`.
pub const NAMES: usize = 1_000;
/// Most containers in one answer to `containers`; a shorter answer is the last one.
pub const CONTAINERS: usize = 500;
/// The status in `ended` when nobody could learn it: keeper was dead when the process was reaped.
pub const STATUS_UNKNOWN: i32 = -1;

/// One container that keeper watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Container id.
    pub id: String,
    /// Host pid of its main process.
    pub pid: i32,
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
    /// To `containers`.
    Containers {
        /// At most [`CONTAINERS`].
        containers: Vec<Child>,
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
        /// Raw wait status (waitpid(2)), or [`STATUS_UNKNOWN`].
        status: i32,
        /// When it was reaped, nanoseconds since 1970.
        at_ns: i64,
    },
}
