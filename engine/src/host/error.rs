//! Why the host could not be made ready.

use std::io;
use std::path::PathBuf;

/// Why the host could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Not root.
    #[error("{what} needs root: run it with sudo, or as the systemd service")]
    NotRoot {
        /// `sampan serve`, `sampan down`.
        what: &'static str,
    },
    /// A call of the kernel or a file failed.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was done: `make`, `read`, `lock`.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A call that is about the process itself failed.
    #[error("cannot {what}")]
    Process {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Every id is taken.
    #[error("no block of {count} host ids is free from {first} up: see /etc/subuid")]
    NoIds {
        /// Ids wanted.
        count: u32,
        /// Where the search began.
        first: u32,
    },
    /// Another process works on the data root.
    #[error("{} is in use: a server runs on it, or `sampan doctor --repair`; end that one first", .data_root.display())]
    Busy {
        /// Which.
        data_root: PathBuf,
    },
    /// A helper program is not there.
    #[error("{} is not there: sampan and sampan-runtime belong into one folder", .path.display())]
    NoRuntime {
        /// Where it should be.
        path: PathBuf,
    },
    /// Keeper did not answer.
    #[error("keeper does not answer at {}: {reason}", .path.display())]
    Keeper {
        /// Its socket.
        path: PathBuf,
        /// Why, or what it last said.
        reason: String,
    },
    /// The cgroup could not be made.
    #[error("cannot make the cgroup {name}: {reason}")]
    Cgroup {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A value in a file is not what it should be.
    #[error("{} holds {found:?} instead of an instance's id: six digits or letters", .path.display())]
    Instance {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
}

impl HostError {
    /// For `map_err`: what was done, to which path.
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// For `map_err` of rustix calls on the process itself.
    pub(super) fn process(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |error| Self::Process { what, source: error.into() }
    }
}
