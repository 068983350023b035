//! The verbs on containers. `reference` is always a name, a whole id or the beginning of an id, of the owner's team.

use std::sync::Arc;
use std::time::Duration;

use sampan_runtime::sandbox::RestartPolicy;

use super::config::{ContainerConfig, Limits};
use super::{AttachRequest, Attached, Container, ContainerError, ExecConfig, ExecState, OutputStream};
use crate::engine::Shared;
use crate::owner::Owner;
use crate::volumes::Usage;

/// The containers of one engine.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) shared: Arc<Shared>,
}

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What was changed or ignored, one sentence each.
    pub warnings: Vec<String>,
}

/// Whether `stop` had something to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ran.
    Now,
    /// It did not run.
    Already,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// It does not run: at once for one that does not.
    #[default]
    NotRunning,
    /// Its next end, whatever it does now.
    NextExit,
    /// It is gone.
    Removed,
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// From here on, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// Up to here.
    pub until_ns: Option<i64>,
    /// The last so many lines only.
    pub tail: Option<u64>,
    /// Goes on until the container ends.
    pub follow: bool,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { stdout: true, stderr: true, since_ns: None, until_ns: None, tail: None, follow: false }
    }
}

/// Processes as `ps` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// `UID`, `PID`, …
    pub titles: Vec<String>,
    /// One row each, as many cells as titles.
    pub processes: Vec<Vec<String>>,
}

/// What `update` changes; absent values stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Only the fields that are set change.
    pub limits: Limits,
    /// A new policy.
    pub restart: Option<RestartPolicy>,
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids.
    pub ids: Vec<String>,
    /// Bytes of their writable layers.
    pub bytes: u64,
}

fn later(verb: &str) -> ContainerError {
    ContainerError::Unsupported { message: format!("`{verb}` is not offered yet") }
}

impl Containers {
    /// Makes a container. Nothing is left of one that could not be made. `name`: checked; `None`: a made-up one.
    pub async fn create(
        &self,
        owner: &Owner,
        name: Option<&str>,
        config: ContainerConfig,
    ) -> Result<Created, ContainerError> {
        let _ = (owner, name, config, &self.shared);
        Err(later("create"))
    }

    /// The container as it is now.
    pub fn get(&self, owner: &Owner, reference: &str) -> Result<Arc<Container>, ContainerError> {
        let _ = owner;
        Err(ContainerError::NotFound { reference: reference.into() })
    }

    /// The team's, newest first; without `all` only those that run.
    pub fn list(&self, owner: &Owner, all: bool) -> Vec<Arc<Container>> {
        let _ = (owner, all);
        Vec::new()
    }

    /// Bytes and files of the writable layer.
    pub async fn usage(&self, owner: &Owner, reference: &str) -> Result<Usage, ContainerError> {
        let _ = (owner, reference);
        Err(later("usage"))
    }

    /// Starts the main process. [`ContainerError::NotModified`] when it runs already.
    pub async fn start(&self, owner: &Owner, reference: &str) -> Result<(), ContainerError> {
        let _ = (owner, reference);
        Err(later("start"))
    }

    /// Sends the stop signal, waits for `grace` (`None`: the container's own, else 10 s; [`Duration::MAX`]: without
    /// limit), then kills. `signal` instead of the container's own.
    pub async fn stop(
        &self,
        owner: &Owner,
        reference: &str,
        grace: Option<Duration>,
        signal: Option<&str>,
    ) -> Result<Stopped, ContainerError> {
        let _ = (owner, reference, grace, signal);
        Err(later("stop"))
    }

    /// Sends a signal (name or number; `None`: KILL) to the main process.
    pub async fn kill(&self, owner: &Owner, reference: &str, signal: Option<&str>) -> Result<(), ContainerError> {
        let _ = (owner, reference, signal);
        Err(later("kill"))
    }

    /// Stops it if it runs, then starts it.
    pub async fn restart(
        &self,
        owner: &Owner,
        reference: &str,
        grace: Option<Duration>,
        signal: Option<&str>,
    ) -> Result<(), ContainerError> {
        let _ = (owner, reference, grace, signal);
        Err(later("restart"))
    }

    /// Freezes all its processes.
    pub async fn pause(&self, owner: &Owner, reference: &str) -> Result<(), ContainerError> {
        let _ = (owner, reference);
        Err(later("pause"))
    }

    /// Thaws them.
    pub async fn unpause(&self, owner: &Owner, reference: &str) -> Result<(), ContainerError> {
        let _ = (owner, reference);
        Err(later("unpause"))
    }

    /// Its exit code, once the condition holds. Dropping the future ends the wait. The registration is made before
    /// the future first yields, so a caller may poll it once, then start the container.
    pub async fn wait(&self, owner: &Owner, reference: &str, condition: WaitCondition) -> Result<i32, ContainerError> {
        let _ = (owner, reference, condition);
        Err(later("wait"))
    }

    /// A new name.
    pub async fn rename(&self, owner: &Owner, reference: &str, name: &str) -> Result<(), ContainerError> {
        let _ = (owner, reference, name);
        Err(later("rename"))
    }

    /// Changes limits and policy, also of a running one. Gives warnings.
    pub async fn update(&self, owner: &Owner, reference: &str, update: Update) -> Result<Vec<String>, ContainerError> {
        let _ = (owner, reference, update);
        Err(later("update"))
    }

    /// Removes it; with `force` also one that runs (killed first), with `volumes` its anonymous volumes too.
    pub async fn remove(
        &self,
        owner: &Owner,
        reference: &str,
        force: bool,
        volumes: bool,
    ) -> Result<(), ContainerError> {
        let _ = (owner, reference, force, volumes);
        Err(later("remove"))
    }

    /// Removes all that do not run and for which `wanted` says so.
    pub async fn prune(
        &self,
        owner: &Owner,
        wanted: &(dyn Fn(&Container) -> bool + Send + Sync),
    ) -> Result<Pruned, ContainerError> {
        let _ = (owner, wanted);
        Err(later("prune"))
    }

    /// Sets the terminal's size.
    pub async fn resize(&self, owner: &Owner, reference: &str, rows: u16, columns: u16) -> Result<(), ContainerError> {
        let _ = (owner, reference, rows, columns);
        Err(later("resize"))
    }

    /// Joins its streams; may be asked before it is started, and then misses nothing.
    pub async fn attach(
        &self,
        owner: &Owner,
        reference: &str,
        request: AttachRequest,
    ) -> Result<Attached, ContainerError> {
        let _ = (owner, reference, request);
        Err(later("attach"))
    }

    /// What it wrote.
    pub async fn logs(&self, owner: &Owner, reference: &str, query: LogQuery) -> Result<OutputStream, ContainerError> {
        let _ = (owner, reference, query);
        Err(later("logs"))
    }

    /// Its processes, read from /proc. `arguments` are those of `ps`: the common ones, others are refused.
    pub async fn top(&self, owner: &Owner, reference: &str, arguments: &str) -> Result<Top, ContainerError> {
        let _ = (owner, reference, arguments);
        Err(later("top"))
    }

    /// Prepares a process in a running container; gives its id.
    pub async fn exec_create(
        &self,
        owner: &Owner,
        reference: &str,
        config: ExecConfig,
    ) -> Result<String, ContainerError> {
        let _ = (owner, reference, config);
        Err(later("exec"))
    }

    /// Starts it. `size` (rows, columns) of the terminal. Detached: output is read and thrown away, `None`.
    pub async fn exec_start(
        &self,
        owner: &Owner,
        exec_id: &str,
        detach: bool,
        size: Option<(u16, u16)>,
    ) -> Result<Option<Attached>, ContainerError> {
        let _ = (owner, detach, size);
        Err(ContainerError::NoSuchExec { id: exec_id.into() })
    }

    /// What it does. Kept as long as its container runs.
    pub fn exec_get(&self, owner: &Owner, exec_id: &str) -> Result<ExecState, ContainerError> {
        let _ = owner;
        Err(ContainerError::NoSuchExec { id: exec_id.into() })
    }

    /// Ids of the container's execs that have not ended.
    pub fn exec_ids(&self, owner: &Owner, reference: &str) -> Result<Vec<String>, ContainerError> {
        let _ = (owner, reference);
        Ok(Vec::new())
    }

    /// Sets its terminal's size.
    pub async fn exec_resize(
        &self,
        owner: &Owner,
        exec_id: &str,
        rows: u16,
        columns: u16,
    ) -> Result<(), ContainerError> {
        let _ = (owner, rows, columns);
        Err(ContainerError::NoSuchExec { id: exec_id.into() })
    }
}
