//! Further processes in a running container.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sampan_runtime::wire::keeper::{Answer, STATUS_UNKNOWN, Watched};
use tokio::sync::{mpsc, watch};

use super::streams::{self, Ends};
use super::{Attached, Container, ContainerError, Containers, State, describe};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;

/// Ended execs kept for `inspect`, per container; the oldest go first.
const KEPT: usize = 64;

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
    /// 0-255 once ended; -1 when nobody could learn it.
    pub exit_code: Option<i32>,
}

/// One exec and those who wait for its end.
#[derive(Debug)]
struct Slot {
    team_id: i64,
    made_at_ns: i64,
    state: watch::Sender<ExecState>,
    /// Once it runs, to have it watched again when keeper was killed.
    pidfd: Mutex<Option<OwnedFd>>,
    /// The terminal's master, while there is one.
    terminal: Mutex<Option<Arc<OwnedFd>>>,
}

/// All execs, in memory only: none outlives its container's run.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    by_id: Mutex<HashMap<String, Arc<Slot>>>,
}

impl Execs {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, owner: &Owner, id: &str) -> Result<Arc<Slot>, ContainerError> {
        let found = self.lock().get(id).filter(|slot| slot.team_id == owner.team_id).cloned();
        found.ok_or_else(|| ContainerError::NoSuchExec { id: id.into() })
    }

    fn of_container(&self, container_id: &str) -> Vec<Arc<Slot>> {
        self.lock().values().filter(|slot| slot.state.borrow().container_id == container_id).cloned().collect()
    }

    /// The container is gone, and its execs with it.
    pub(super) fn forget(&self, container_id: &str) {
        self.lock().retain(|_, slot| slot.state.borrow().container_id != container_id);
    }

    /// Drops the oldest ended ones of a container beyond [`KEPT`].
    fn tidy(&self, container_id: &str) {
        let mut ended = self.of_container(container_id);
        ended.retain(|slot| slot.state.borrow().exit_code.is_some());
        ended.sort_by_key(|slot| slot.made_at_ns);
        let surplus = ended.len().saturating_sub(KEPT);
        let mut all = self.lock();
        for slot in &ended[..surplus] {
            all.remove(&slot.state.borrow().id);
        }
    }

    fn note_end(&self, id: &str, status: i32) -> Option<ExecState> {
        let slot = self.lock().get(id).cloned()?;
        slot.state.send_modify(|state| {
            state.running = false;
            state.exit_code = Some(exit_code(status));
        });
        *slot.terminal.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *slot.pidfd.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let state = slot.state.borrow().clone();
        Some(state)
    }
}

impl Shared {
    /// A new keeper knows nothing of the execs of the one before.
    pub(crate) async fn watch_execs_again(&self) {
        let all: Vec<Arc<Slot>> = self.execs.lock().values().cloned().collect();
        for slot in all {
            let state = slot.state.borrow().clone();
            let Some(pid) = state.pid.filter(|_| state.running) else { continue };
            let Some(container) = self.table.by_id(&state.container_id) else { continue };
            let pidfd = slot.pidfd.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(OwnedFd::try_clone);
            let what = Watched::Exec { id: state.container_id.clone(), exec: state.id.clone() };
            let watched = match pidfd {
                Some(Ok(pidfd)) => self.keeper.watch(pid, &container.now().owner.key, what, pidfd).await.is_ok(),
                _ => false,
            };
            if !watched {
                self.execs.note_end(&state.id, STATUS_UNKNOWN);
            }
        }
    }
}

/// Docker's code for a raw wait status. Spec: wait(2).
fn exit_code(status: i32) -> i32 {
    match (status & 0x7f, (status >> 8) & 0xff) {
        _ if status == STATUS_UNKNOWN => -1,
        (0, code) => code,
        (signal, _) => 128 + signal,
    }
}

/// Takes in what keeper tells of ended execs.
pub(crate) async fn take_ends(shared: Arc<Shared>, mut told: mpsc::UnboundedReceiver<Answer>) {
    while let Some(answer) = told.recv().await {
        let Answer::Ended { what: Watched::Exec { exec, .. }, status, at_ns, .. } = answer else { continue };
        let Some(state) = shared.execs.note_end(&exec, status) else { continue };
        if let Some(slot) = shared.table.by_id(&state.container_id) {
            let code = state.exit_code.unwrap_or(-1).to_string();
            let more = [("execID".to_owned(), exec), ("exitCode".to_owned(), code)];
            shared.tell(&slot.now(), at_ns, Action::ExecDie, more);
        }
    }
}

impl Containers {
    /// Prepares a process in a running container; gives its id.
    pub async fn exec_create(
        &self,
        owner: &Owner,
        reference: &str,
        config: ExecConfig,
    ) -> Result<String, ContainerError> {
        let container = self.get(owner, reference)?;
        check_running(&container)?;
        // Refuses what cannot be run before it has an id.
        describe::exec(&config, &container.config, &container.resolved)?;
        let id = super::create::new_id();
        let state = ExecState {
            id: id.clone(),
            container_id: container.id.clone(),
            config,
            running: false,
            pid: None,
            exit_code: None,
        };
        let command = state.config.command.join(" ");
        let slot = Slot {
            team_id: owner.team_id,
            made_at_ns: now_ns(),
            state: watch::Sender::new(state),
            pidfd: Mutex::default(),
            terminal: Mutex::default(),
        };
        self.shared.execs.tidy(&container.id);
        self.shared.execs.lock().insert(id.clone(), Arc::new(slot));
        let more = [("execID".to_owned(), id.clone()), ("command".to_owned(), command)];
        self.shared.tell(&container, now_ns(), Action::ExecCreate, more);
        Ok(id)
    }

    /// Starts it. `size` (rows, columns) of the terminal. Detached: output is read and thrown away, `None`.
    pub async fn exec_start(
        &self,
        owner: &Owner,
        exec_id: &str,
        detach: bool,
        size: Option<(u16, u16)>,
    ) -> Result<Option<Attached>, ContainerError> {
        let slot = self.shared.execs.find(owner, exec_id)?;
        let state = slot.state.borrow().clone();
        let container = self.get(owner, &state.container_id)?;
        check_running(&container)?;
        let first = slot.state.send_if_modified(|state| !std::mem::replace(&mut state.running, true));
        if !first || state.exit_code.is_some() {
            let message = format!("exec {exec_id} was started already");
            return Err(ContainerError::Refused { message, kind: crate::Kind::Conflict });
        }
        let mut process = describe::exec(&state.config, &container.config, &container.resolved)?;
        // Before it runs: a program may ask for it first of all.
        process.set_console_size(size.filter(|_| state.config.tty).map(describe::console));
        let wants_stdin = state.config.stdin && !detach;
        let shared = self.shared.clone();
        let (ids, born) = ((container.id.clone(), state.id.clone()), slot.clone());
        let ends = Shared::whole(async move {
            match shared.spawner.exec(&ids.0, &ids.1, process, wants_stdin).await {
                Ok((pid, descriptors)) => {
                    // None when it is over already; then its end is on its way.
                    let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                    *born.pidfd.lock().unwrap_or_else(PoisonError::into_inner) = pidfd;
                    born.state.send_modify(|state| state.pid = Some(pid));
                    Ok(descriptors)
                }
                Err(error) => {
                    let code = match error.kind() {
                        crate::Kind::CommandNotFound => 127,
                        _ => 126,
                    };
                    born.state.send_modify(|state| {
                        state.running = false;
                        state.exit_code = Some(code);
                    });
                    Err(error.into())
                }
            }
        })
        .await?;
        let more = [("execID".to_owned(), state.id.clone()), ("command".to_owned(), state.config.command.join(" "))];
        self.shared.tell(&container, now_ns(), Action::ExecStart, more);
        let ends = Ends::sort(ends, state.config.tty, wants_stdin)?;
        if let Some(terminal) = &ends.terminal {
            *slot.terminal.lock().unwrap_or_else(PoisonError::into_inner) = Some(terminal.clone());
        }
        let mut seen = slot.state.subscribe();
        let ended = async move {
            // Kept by `slot` as long as the exec is known; a container that is gone ends it too.
            let _ = seen.wait_for(|state| !state.running).await;
        };
        let (stdin, output) = streams::pump(ends, ended)?;
        if detach {
            tokio::spawn(streams::drain(output));
            return Ok(None);
        }
        Ok(Some(Attached { stdin, output, tty: state.config.tty }))
    }

    /// What it does. Kept as long as its container runs.
    pub fn exec_get(&self, owner: &Owner, exec_id: &str) -> Result<ExecState, ContainerError> {
        Ok(self.shared.execs.find(owner, exec_id)?.state.borrow().clone())
    }

    /// Ids of the container's execs that have not ended.
    pub fn exec_ids(&self, owner: &Owner, reference: &str) -> Result<Vec<String>, ContainerError> {
        let container = self.get(owner, reference)?;
        let mut slots = self.shared.execs.of_container(&container.id);
        slots.retain(|slot| slot.state.borrow().exit_code.is_none());
        slots.sort_by_key(|slot| slot.made_at_ns);
        Ok(slots.iter().map(|slot| slot.state.borrow().id.clone()).collect())
    }

    /// Sets its terminal's size.
    pub async fn exec_resize(
        &self,
        owner: &Owner,
        exec_id: &str,
        rows: u16,
        columns: u16,
    ) -> Result<(), ContainerError> {
        let slot = self.shared.execs.find(owner, exec_id)?;
        let terminal = slot.terminal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match terminal {
            Some(terminal) => streams::resize(&terminal, rows, columns),
            None => Err(ContainerError::Refused {
                message: format!("exec {exec_id} has no terminal, or does not run"),
                kind: crate::Kind::Conflict,
            }),
        }
    }
}

fn check_running(container: &Container) -> Result<(), ContainerError> {
    match container.state {
        State::Running => Ok(()),
        State::Paused => Err(ContainerError::WrongState {
            name: container.name.clone(),
            state: "paused",
            wanted: "unpause it before the exec",
        }),
        _ => Err(super::stop::not_running(container)),
    }
}

#[cfg(test)]
mod tests {
    use super::exit_code;

    #[test]
    fn statuses_become_dockers_codes() {
        assert_eq!(exit_code(0), 0);
        assert_eq!(exit_code(3 << 8), 3);
        assert_eq!(exit_code(9), 137);
        assert_eq!(exit_code(0x80 | 11), 139, "with a core file");
        assert_eq!(exit_code(-1), -1);
    }
}
