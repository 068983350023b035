//! What a container needs beside its OCI description.
//!
//! `containers/<id>/config.json` is the OCI runtime specification and the one description of the process, its
//! namespaces, mounts and limits. `containers/<id>/sandbox.json` is this file: where the root comes from, whose it is,
//! and what the monitor does with it. Both lie in the data root, written by `serve`, read again by `spawner` at every
//! start, so that a restart needs no daemon.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The file name of a [`Sandbox`] in its container's folder.
pub const SANDBOX_FILE: &str = "sandbox.json";
/// The file name of the OCI description in its container's folder.
pub const CONFIG_FILE: &str = "config.json";

/// Folder of the data root with a file for each team that was granted host folders: `<team key>.json`, a list of
/// [`HostFolder`]. A team without one was granted none.
pub const GRANTS_FOLDER: &str = "grants";

/// A folder (or file) of the host that a team's containers may bind, with all that lies beneath.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFolder {
    /// Absolute, of normal parts only.
    pub path: PathBuf,
    /// It may only be bound read-only.
    #[serde(default)]
    pub read_only: bool,
}

/// All that `config.json` cannot say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    /// Whose container it is.
    pub team: Team,
    /// Where the root's lower layers come from; the writable layer is always `containers/<id>/{upper,work}`.
    pub root: Root,
    /// Which network it joins.
    pub network: NetworkMode,
    /// Its hardware address on the team's bridge; none: one that follows from its IPv4 address.
    #[serde(default)]
    pub mac: Option<[u8; 6]>,
    /// Off only for what docs/user-namespaces.md lists (privileged, host pid or network, `--userns=host`).
    pub user_namespace: bool,
    /// Standard streams.
    pub stdio: Stdio,
    /// What the monitor does when the main process ends.
    pub restart: RestartPolicy,
    /// Bounds of the log.
    pub log: LogLimits,
    /// Written to the sandbox's own tmpfs and mounted over the root: /etc/hosts, /etc/resolv.conf, /etc/hostname.
    /// At start `{address}` in the content is replaced by the container's own IPv4 address, `{gateway}` by that of its
    /// bridge.
    #[serde(default)]
    pub files: Vec<SandboxFile>,
    /// Destinations of volumes that get the image's content (owner, mode, links) when they are still empty.
    #[serde(default)]
    pub copy_up: Vec<PathBuf>,
    /// Host folders that are made, root's and of mode 0755, when a start does not find them (`-v /host/path:/inside`).
    #[serde(default)]
    pub make_sources: Vec<PathBuf>,
    /// Sources of binds that a team has by a grant, not an administrator by right: looked for beneath a granted
    /// [`HostFolder`] at every start, and mounted without a shift of ids, so that files are made with the team's own.
    #[serde(default)]
    pub granted_sources: Vec<PathBuf>,
    /// Runs a tiny init as PID 1 that reaps and forwards signals (`--init`).
    #[serde(default)]
    pub init: bool,
    /// Further groups of the main process and of every exec, names or numbers, looked up in the root's own group file.
    /// (The user is `process.user.username` in config.json and in an exec's process: `name|uid[:group|gid]`, looked up
    /// in the root's passwd and group; absent: the numbers beside it.)
    #[serde(default)]
    pub groups: Vec<String>,
    /// Where the filter of system calls comes from.
    #[serde(default)]
    pub filter: Filter,
}

/// Where the filter of system calls comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// `linux.seccomp` of config.json; none there: no filter.
    #[default]
    Described,
    /// Docker's default profile for the process's capabilities; kept out of config.json, since it is long, the same
    /// for most containers, and can be compiled once.
    DockerDefault,
}

/// The engine's opaque owner, as the runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Team {
    /// Name of the team's cgroup and monitor: `[a-z0-9]{1,16}`, never reused by another team of the instance.
    pub key: String,
    /// First host id of the team's range of 65,536.
    pub base_id: u32,
}

/// Host ids in a team's range.
pub const RANGE: u32 = 65_536;

/// The read-only lower part of a root. Paths are relative to the data root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "backend", rename_all = "kebab-case")]
pub enum Root {
    /// One merged EROFS index whose devices are the layers' tars, bottom to top.
    Erofs {
        /// The merged (or only) index.
        index: PathBuf,
        /// The tars, in the order of the index's device table.
        devices: Vec<PathBuf>,
    },
    /// Plain folders, top first, ids as in the image.
    Folders {
        /// Lower folders, top first.
        lowers: Vec<PathBuf>,
    },
    /// A ready root folder given by an absolute path, used as it is and never removed (`run --bundle`).
    Ready {
        /// The folder.
        path: PathBuf,
    },
}

/// Which network a sandbox joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum NetworkMode {
    /// Its own network namespace with loopback only.
    None,
    /// The host's.
    Host,
    /// The team's bridge.
    Bridge,
    /// Another container's namespace.
    Container {
        /// That container's id.
        id: String,
    },
}

/// Standard streams of the main process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stdio {
    /// A pseudo-terminal instead of pipes.
    pub tty: bool,
    /// Standard input is a pipe that stays open (`-i`); else it is /dev/null.
    pub stdin: bool,
    /// Standard input closes when the first attached client leaves.
    pub stdin_once: bool,
}

/// Docker's restart policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whatever happened, also after a restart of the host.
    Always,
    /// Like `Always`, but a container that a person stopped stays stopped over a restart of the host.
    UnlessStopped,
    /// On a status other than 0, at most so many times (0: without limit).
    OnFailure {
        /// Most retries; 0 is no limit.
        max_retries: u32,
    },
}

/// Bounds of one container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Size at which a file is closed and the next one begun.
    pub file_bytes: u64,
    /// Files kept, the current one included.
    pub files: u32,
    /// Nothing is kept for later readers: what nobody who reads now still has to read is dropped. (Docker's `none`.)
    #[serde(default)]
    pub transient: bool,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { file_bytes: 256 << 20, files: 4, transient: false }
    }
}

/// A small file that the sandbox brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxFile {
    /// Absolute path in the container.
    pub path: PathBuf,
    /// Its text.
    pub content: String,
}
