//! The words between Sampan's processes.
//!
//! Every connection is a `SOCK_SEQPACKET` unix socket; every message is one JSON object of at most
//! [`MESSAGE_BYTES`], with descriptors beside it (SCM_RIGHTS, at most [`MESSAGE_DESCRIPTORS`]). The first message of a
//! client is its `hello` with [`VERSION`]; fields are only ever added, and unknown ones are ignored, so that the two
//! releases before stay compatible. The listening side checks peer credentials: root or the instance's own uid.
//!
//! | socket in the state root | who listens | who calls |
//! |---|---|---|
//! | `keeper.sock` | keeper | serve, spawner, net, monitors |
//! | `spawner.sock` | spawner | serve, monitors (restart) |
//! | `net.sock` | net | serve, spawner |
//! | `monitor/<team key>.sock` | that team's monitor | serve, spawner |

pub mod archive;
pub mod guard;
pub mod keeper;
pub mod monitor;
pub mod net;
pub mod outbox;
pub mod socket;
pub mod spawner;

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u32 = 1;
/// Most bytes of one message.
pub const MESSAGE_BYTES: usize = 160 * 1024;
/// Most descriptors beside one message.
pub const MESSAGE_DESCRIPTORS: usize = 16;

/// Why a request was not done; the same in all four protocols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What the caller can do about it.
    pub kind: RefusalKind,
    /// What was done, to what, and what to do: one sentence for a person.
    pub message: String,
}

/// Kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The request itself is wrong (a bad path, an unknown signal, a limit out of range).
    Invalid,
    /// No such container, team, exec.
    NotFound,
    /// The thing is in a state that does not allow it (already running, port taken).
    Conflict,
    /// The program to run does not exist in the root: exit status 127.
    CommandNotFound,
    /// The program exists but cannot be run (not executable, wrong architecture, a folder): exit status 126.
    CommandNotRunnable,
    /// The kernel or the host lacks something.
    Unsupported,
    /// No space, no memory, no ids, no descriptors.
    Exhausted,
    /// Something of ours failed.
    Internal,
}
