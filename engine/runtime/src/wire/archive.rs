//! Words about a container's files: what is to be done with them, and what the child of spawner that does it says.
//!
//! `serve` asks spawner by `files`, with one end of a [`super::socket::Connection`] beside the request and, where a
//! stream flows, one end of a pipe behind it. Spawner answers `done` when the child is on its way; from then on the
//! child speaks over that connection and reads or writes the pipe itself, and a closed end of either is its end.

use serde::{Deserialize, Serialize};

use super::Refusal;

/// What is done with a container's files. Paths are as a client typed them: from the container's root, `..` taken away
/// by its text; links are followed inside of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Work {
    /// Looks at what lies at a path, a link itself unless the path ends with a slash. No stream. Says `found`, `done`.
    Look {
        /// The path.
        path: String,
    },
    /// The same, and sends it as a tar, with all beneath it. Says `found` before the first byte, `done` after the last.
    Read {
        /// The path.
        path: String,
    },
    /// Takes a tar in at a folder. Says `done`.
    Write {
        /// The folder.
        path: String,
        /// Refuses to put a folder in the place of something else, or something else in the place of a folder.
        keep_kinds: bool,
        /// Gives all of it to this user (`name|uid[:group|gid]`, looked up in the container) instead of the tar's ids.
        #[serde(default)]
        owner: Option<String>,
    },
    /// Sends the whole root as a tar, without what is mounted in it. Says `done`.
    Export,
    /// Sends what differs from the image, one [`Change`] as JSON a line. Says `done`.
    Changes,
    /// Sends what differs from the image as a layer's tar: OCI's marks for what is gone. Says `done`.
    Layer {
        /// Its processes stand still meanwhile, if it runs.
        pause: bool,
    },
}

impl Work {
    /// Whether a pipe is needed beside the connection.
    pub fn has_stream(&self) -> bool {
        !matches!(self, Self::Look { .. })
    }
}

/// What the child says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// What lies there.
    Found(Found),
    /// All of it is done.
    Done,
    /// It is not, and why. What a `write` has written stays.
    Refused(Refusal),
}

/// One file as `stat` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Last part of its path; `/` for the root.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Kind and permissions (inode(7), `st_mode`).
    pub mode: u32,
    /// Seconds since 1970.
    pub modified_s: i64,
    /// Nanoseconds after them.
    pub modified_ns: u32,
    /// Where a link leads in the end, from the container's root; empty for what is no link.
    pub target: String,
}

/// One difference from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// From the container's root.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is another one.
    Modified,
    /// The image has none.
    Added,
    /// Only the image has it.
    Deleted,
}
