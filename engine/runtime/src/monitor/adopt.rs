//! A container begins.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::AtFlags;

use super::answer::refusal;
use super::container::{Container, Phase, STOPPING_FILE, Streams};
use super::epoll::{Token, Watch};
use super::run::{Monitor, START_SETTLES};
use crate::cgroups::Cgroup;
use crate::journal::Journal;
use crate::sandbox::{LogLimits, RestartPolicy, Stdio};
use crate::wire::RefusalKind;
use crate::wire::monitor::Answer;

/// The words of an `adopt`.
#[derive(Debug)]
pub(super) struct Adoption {
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) stdio: Stdio,
    pub(super) restart: RestartPolicy,
    pub(super) log: LogLimits,
    pub(super) at_ns: i64,
}

/// What an earlier run of the same container leaves to the next.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    restarts: u32,
    last_wait: Option<Duration>,
    restarted: bool,
}

impl Monitor {
    /// Takes a container that is about to run.
    pub(super) fn adopt(&mut self, adoption: Adoption, descriptors: Vec<OwnedFd>) -> Answer {
        let id = adoption.id.clone();
        let before = match self.make_room_for(&id) {
            Ok(before) => before,
            Err(refused) => return refused,
        };
        match self.take(adoption, descriptors, before) {
            Ok(number) => {
                self.set_timer(number, START_SETTLES);
                Answer::Done
            }
            Err(text) => refusal(RefusalKind::Internal, format!("container {id} cannot be adopted: {text}")),
        }
    }

    /// The same id may be known from its last run: then this is its restart, or a person was faster.
    fn make_room_for(&mut self, id: &str) -> Result<Before, Answer> {
        let Some(number) = self.numbers.get(id).copied() else { return Ok(Before::default()) };
        let Some(old) = self.containers.get(&number) else { return Ok(Before::default()) };
        let before = match old.phase {
            Phase::Running { .. } => {
                return Err(refusal(RefusalKind::Conflict, format!("container {id} runs already")));
            }
            Phase::Starting if old.stopping => {
                return Err(refusal(RefusalKind::Conflict, format!("container {id} was stopped before it restarted")));
            }
            Phase::Starting => Before { restarts: old.restarts + 1, last_wait: old.last_wait, restarted: true },
            Phase::Waiting { .. } => Before::default(),
        };
        self.remove(number);
        Ok(before)
    }

    fn take(&mut self, adoption: Adoption, descriptors: Vec<OwnedFd>, before: Before) -> Result<u64, String> {
        let mut descriptors = descriptors.into_iter();
        let (Some(folder), Some(pidfd)) = (descriptors.next(), descriptors.next()) else {
            return Err("the folder's or the process's descriptor is missing".to_owned());
        };
        let expected = if adoption.stdio.tty { 1 } else { 2 + usize::from(adoption.stdio.stdin) };
        let streams: Vec<OwnedFd> = descriptors.collect();
        if streams.len() != expected {
            return Err(format!("{} descriptors of streams came, not {expected}", streams.len()));
        }
        let streams = Streams::from_descriptors(adoption.stdio, streams).ok_or("the streams are not usable")?;
        let journal = Journal::open(&folder, &adoption.id).map_err(|error| error.to_string())?;
        match rustix::fs::unlinkat(&folder, STOPPING_FILE, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.to_string()),
        }
        let number = self.new_number();
        let container = Container {
            number,
            id: adoption.id,
            folder,
            pid: adoption.pid,
            pidfd,
            streams,
            policy: adoption.restart,
            log_limits: adoption.log,
            log: None,
            lost_bytes: 0,
            journal,
            phase: Phase::Running {
                since: Instant::now(),
                unwritten: Some(adoption.at_ns),
                over_since: None,
                restarted: before.restarted,
            },
            restarts: before.restarts,
            last_wait: before.last_wait,
            stopping: false,
            oom_kills_before: 0,
            last_code: None,
        };
        self.insert(container).map_err(|error| error.to_string())?;
        Ok(number)
    }

    /// Begins to watch a container that runs.
    pub(super) fn insert(&mut self, mut container: Container) -> std::io::Result<()> {
        let number = container.number;
        if matches!(container.phase, Phase::Running { .. }) {
            let watched = container.watch_output(&self.epoll).and_then(|()| {
                if self.keeper.is_up() {
                    return Ok(());
                }
                self.epoll.add(&container.pidfd, Token::Pidfd(number), Watch::Level)
            });
            if let Err(error) = watched {
                container.close_streams(&self.epoll);
                return Err(error);
            }
        }
        self.numbers.insert(container.id.clone(), number);
        self.containers.insert(number, container);
        Ok(())
    }

    /// What is done after the answer: an end that was told before, and the count of earlier memory kills.
    pub(super) fn after_adoption(&mut self, id: &str) {
        let kills = self.oom_kills(id);
        let Some(container) = self.find(id) else { return };
        container.oom_kills_before = kills;
        let (number, pid) = (container.number, container.pid);
        if let Some(early) = self.early_ends.remove(id)
            && early.pid == pid
        {
            self.finish(number, early.status, early.at_ns);
        }
    }

    /// The program could not be run after all: as if it had never been adopted.
    pub(super) fn abandon(&mut self, id: &str) -> Answer {
        let Some(number) = self.numbers.get(id).copied() else { return Answer::Done };
        let Some(container) = self.containers.get_mut(&number) else { return Answer::Done };
        let Phase::Running { restarted, unwritten, .. } = container.phase else { return Answer::Done };
        let pid = container.pid;
        if unwritten.is_none() {
            // It took so long that the journal says `started`: then it must say `ended` too.
            let what = crate::wire::monitor::Happening::Ended { code: None, out_of_memory: false, restart_in_ms: None };
            self.record(number, crate::time::now_ns(), what);
        }
        self.abandoned.insert((id.to_owned(), pid));
        let Some(mut container) = self.remove(number) else { return Answer::Done };
        if restarted {
            // The answer to our own `start` says what happened.
            container.phase = Phase::Starting;
            container.restarts = container.restarts.saturating_sub(1);
            self.numbers.insert(container.id.clone(), number);
            self.containers.insert(number, container);
        }
        Answer::Done
    }

    /// Kills by the out-of-memory killer in the container's cgroup so far; 0 where nobody counts.
    pub(super) fn oom_kills(&self, id: &str) -> u64 {
        let path = format!("{}/{}/{id}", self.arguments.cgroup_parent, self.arguments.team);
        match Cgroup::open(&self.cgroups, &path).and_then(|group| group.map_or(Ok(0), |group| group.oom_kills())) {
            Ok(kills) => kills,
            Err(error) => {
                eprintln!("monitor: container {id}: memory kills cannot be counted: {error}");
                0
            }
        }
    }
}
