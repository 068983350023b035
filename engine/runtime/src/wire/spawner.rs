//! Words with `spawner`: the only door to privileged acts on containers. It checks every value again.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxResources, Process};
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::archive::Work;
use crate::sandbox::Team;

/// Requests to spawner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// First message of every connection. Answer: `welcome`.
    Hello {
        /// [`super::VERSION`] of the caller.
        version: u32,
    },
    /// Makes the team's parent cgroup.
    EnsureTeam {
        /// The team.
        team: Team,
    },
    /// Removes an empty team's cgroups and cradles.
    RemoveTeam {
        /// The team.
        team: Team,
    },
    /// Makes the writable layer of `containers/<id>` and checks its two files. Answer: `done`.
    Create {
        /// Container id.
        id: String,
    },
    /// Starts the main process as the two files of `containers/<id>` say, hands its stdio to the team's monitor and
    /// keeper, and has keeper watch it. Reuses kept user and network namespaces. Answer: `started`; when the program
    /// cannot be run the refusal is `command-not-found` or `command-not-runnable` and nothing is left behind.
    Start {
        /// Container id.
        id: String,
        /// Ids of containers to be made: after the answer a cradle of the same kind is raised for each, so that their
        /// start finds its first process standing. At most 64 stand; then the oldest is given back.
        #[serde(default)]
        next: Vec<String>,
    },
    /// Starts one more process inside. Answer: `exec-started`, descriptors beside it: the pty's master when
    /// `process.terminal`, else [stdin if asked,] stdout, stderr.
    Exec {
        /// Container id.
        id: String,
        /// Id of the exec.
        exec: String,
        /// What to run, resolved and checked.
        process: Box<Process>,
        /// Whether it gets a standard input (else /dev/null).
        stdin: bool,
    },
    /// Sends a signal to the main process (or all processes when `all`).
    Signal {
        /// Container id.
        id: String,
        /// Number of the signal.
        signal: i32,
        /// Every process of the container.
        #[serde(default)]
        all: bool,
    },
    /// Sends a signal to a process started by exec.
    SignalExec {
        /// Container id.
        id: String,
        /// Id of the exec.
        exec: String,
        /// Number of the signal.
        signal: i32,
    },
    /// Freezes all processes.
    Pause {
        /// Container id.
        id: String,
    },
    /// Thaws them.
    Unpause {
        /// Container id.
        id: String,
    },
    /// Changes limits of the running container (the files are `serve`'s to change).
    Update {
        /// Container id.
        id: String,
        /// Only what changes.
        resources: Box<LinuxResources>,
    },
    /// After the main process ended for good: lets go of namespaces, mounts and cgroups; keeps the writable layer.
    Release {
        /// Container id.
        id: String,
    },
    /// Removes the whole of `containers/<id>`; its room on the disk comes back later. Refused while it runs.
    Remove {
        /// Container id.
        id: String,
    },
    /// Makes `volumes/<id>/data`, owned by the container's root (plain id 0 on disk).
    CreateVolume {
        /// Volume id.
        id: String,
    },
    /// Removes `volumes/<id>`.
    RemoveVolume {
        /// Volume id.
        id: String,
    },
    /// Unpacks one layer's tar into a plain folder by a confined helper (the plain-folder backend), as overlay wants
    /// it over the folders below. The tar is the descriptor beside this message; whole or not there. One that is
    /// under way already is waited for.
    Unpack {
        /// Folder to make, relative to the data root, beneath `layers/`; must not exist.
        target: PathBuf,
        /// The folders of the layers below, top first.
        #[serde(default)]
        below: Vec<PathBuf>,
    },
    /// Removes a folder made by `unpack`, whatever its name is by now; relative to the data root, beneath `layers/`.
    RemoveLayer {
        /// The folder.
        target: PathBuf,
    },
    /// Bytes and files used by a folder beneath the data root (writable layers and volumes are root's, so `serve`
    /// cannot look itself). Answer: `usage`.
    Usage {
        /// The folder.
        target: PathBuf,
    },
    /// Sends a child to the container's files, running or not. Beside it: a connection to which the child speaks
    /// ([`super::archive::Told`]), and one end of a pipe where a stream flows. Answer: `done`, when it is on its way.
    Files {
        /// Container id.
        id: String,
        /// What to do.
        work: Work,
    },
    /// Pids of all processes of the container, host numbers. Answer: `pids`.
    Processes {
        /// Container id.
        id: String,
    },
    /// Numbers of the namespaces of the main process. Answer: `namespaces`.
    Namespaces {
        /// Container id.
        id: String,
    },
}

/// Answers of spawner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// To `hello`.
    Welcome {
        /// [`super::VERSION`] of spawner.
        version: u32,
        /// What kernel and host offer.
        features: Features,
    },
    /// Done.
    Done,
    /// To `start`.
    Started(Started),
    /// To `exec`.
    ExecStarted {
        /// Host pid.
        pid: i32,
    },
    /// To `usage`.
    Usage {
        /// Bytes on disk.
        bytes: u64,
        /// Inodes.
        files: u64,
    },
    /// To `namespaces`: kind (`user`, `mnt`, `pid`, `net`, `ipc`, `uts`, `cgroup`) and inode number (namespaces(7)).
    Namespaces {
        /// One for each kind.
        numbers: Vec<(String, u64)>,
    },
    /// To `processes`.
    Pids {
        /// Host pids.
        pids: Vec<i32>,
    },
    /// Not done; nothing half made.
    Refused(Refusal),
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Host pid of the main process.
    pub pid: i32,
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// Its place on the team's bridge.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
}

/// A container's place on a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// `02:…`, lower case.
    pub mac: String,
}

/// What was found at start; shown by the preflight and used by the engine to choose a storage backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// File-backed EROFS can be mounted from the data root.
    pub erofs: bool,
    /// `open_tree_attr` and overlay layers by descriptor (6.15 and later).
    pub detached_mounts: bool,
    /// Unified cgroup hierarchy only.
    pub cgroup_v2: bool,
    /// Where our parent cgroup is, relative to each hierarchy's root.
    pub cgroup_parent: String,
    /// Controllers that limits can use.
    pub controllers: Vec<String>,
    /// Swap can be limited.
    pub swap_limit: bool,
}
