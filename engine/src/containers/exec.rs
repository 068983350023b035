//! Further processes in a running container.

use std::path::PathBuf;

/// A process to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecConfig {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `NAME=value`, added to the container's.
    pub environment: Vec<String>,
    /// `name|uid[:group|gid]`; `None`: the container's.
    pub user: Option<String>,
    /// `None`: the container's.
    pub working_directory: Option<PathBuf>,
    /// A pseudo-terminal.
    pub tty: bool,
    /// Standard input is wanted.
    pub stdin: bool,
    /// Standard output is wanted.
    pub stdout: bool,
    /// Standard error is wanted.
    pub stderr: bool,
    /// All capabilities; needs a grant.
    pub privileged: bool,
    /// Detach keys as the client said them; kept for `inspect`.
    pub detach_keys: Option<String>,
}

/// An exec as it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecState {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its container.
    pub container_id: String,
    /// What was asked for.
    pub config: ExecConfig,
    /// It was started and has not ended.
    pub running: bool,
    /// Host pid once started.
    pub pid: Option<i32>,
    /// 0-255 once ended.
    pub exit_code: Option<i32>,
}
