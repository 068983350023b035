//! The command line of `sampan-runtime monitor`.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::keeper::ArgumentError;
use crate::keeper::arguments::{needed, number, options, text};

/// What a monitor is told once, at its start, by keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `--state-root`: sockets.
    pub state_root: PathBuf,
    /// `--cgroup-parent`: the instance's cgroup, relative to each hierarchy's root.
    pub cgroup_parent: String,
    /// `--team`: the team's key.
    pub team: String,
    /// `--uid`: the instance's own user, whose it becomes.
    pub uid: u32,
    /// `--gid`: its group.
    pub gid: u32,
    /// `--keeper-fd`: the connection to keeper.
    pub keeper: RawFd,
}

impl Arguments {
    /// Reads what follows the word `monitor`.
    ///
    /// # Errors
    /// [`ArgumentError`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let (options, _) = options(words)?;
        let take = |name| options.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Ok(Self {
            state_root: needed("--state-root", take("--state-root"))?.into(),
            cgroup_parent: text("--cgroup-parent", take("--cgroup-parent"))?,
            team: text("--team", take("--team"))?,
            uid: number("--uid", take("--uid"))?,
            gid: number("--gid", take("--gid"))?,
            keeper: number("--keeper-fd", take("--keeper-fd"))?,
        })
    }
}
