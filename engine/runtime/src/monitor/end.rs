//! A container ends: its output first, then the journal, then the news; and it may begin again.

use std::time::{Duration, Instant};

use super::container::Phase;
use super::policy::{Ending, exit_code, next_wait, restart_after};
use super::run::{EarlyEnd, Monitor};
use super::spawner::Outcome;
use crate::time::now_ns;
use crate::wire::keeper::{Answer as KeeperAnswer, STATUS_UNKNOWN, Watched};
use crate::wire::monitor::Happening;
use crate::wire::{Refusal, RefusalKind};

/// How long the end of a container that nobody adopted is remembered.
pub(super) const EARLY_END_KEPT: Duration = Duration::from_secs(5);
/// How long a status is waited for after a process was seen ended: keeper has it, or the one that guard starts.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
const STATUS_AGAIN: Duration = Duration::from_millis(5);
/// How often a start is tried again while spawner is away.
const SPAWNER_AGAIN: Duration = Duration::from_millis(200);

impl Monitor {
    /// News of keeper.
    pub(super) fn on_keeper(&mut self, answer: KeeperAnswer) {
        match answer {
            KeeperAnswer::Ended { what: Watched::Container { id }, pid, status, at_ns } => {
                self.on_end(id, EarlyEnd { pid, status, at_ns, since: Instant::now() });
            }
            KeeperAnswer::Refused(refusal) => eprintln!("monitor: keeper refused: {refusal}"),
            _ => {}
        }
    }

    fn on_end(&mut self, id: String, end: EarlyEnd) {
        match self.find(&id) {
            Some(container) if container.pid == end.pid => {
                if matches!(container.phase, Phase::Running { .. }) {
                    let number = container.number;
                    self.finish(number, end.status, end.at_ns);
                }
            }
            _ => {
                if self.abandoned.remove(&(id.clone(), end.pid)) {
                    self.keeper.confirm(&id, end.pid, &self.epoll);
                } else {
                    self.early_ends.insert(id, end);
                }
            }
        }
    }

    /// Ends that nobody asked for: keeper need not tell them again.
    pub(super) fn forget_early_ends(&mut self, now: Instant) {
        let old = |end: &EarlyEnd| now.saturating_duration_since(end.since) > EARLY_END_KEPT;
        let forgotten: Vec<(String, i32)> =
            self.early_ends.iter().filter(|(_, end)| old(end)).map(|(id, end)| (id.clone(), end.pid)).collect();
        for (id, pid) in forgotten {
            self.early_ends.remove(&id);
            self.keeper.confirm(&id, pid, &self.epoll);
        }
    }

    /// The pidfd says that it ended, and keeper is away.
    pub(super) fn on_pidfd(&mut self, number: u64) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        self.epoll.remove(&container.pidfd);
        if let Phase::Running { over_since, .. } = &mut container.phase {
            over_since.get_or_insert_with(Instant::now);
            self.on_timer(number, Instant::now());
        }
    }

    /// Looks whether something is due.
    pub(super) fn on_timer(&mut self, number: u64, now: Instant) {
        let Some(container) = self.containers.get(&number) else { return };
        match container.phase {
            Phase::Running { over_since: Some(since), .. } => self.look_for_status(number, now - since),
            Phase::Running { .. } => self.settle_start(number),
            // Not when the host goes down: the next `serve` starts by policy.
            Phase::Waiting { until } if until <= now && !self.told_to_end => self.start_again(number),
            Phase::Waiting { .. } | Phase::Starting => {}
        }
    }

    /// It is over, but keeper did not say how.
    fn look_for_status(&mut self, number: u64, waited: Duration) {
        let Some(container) = self.containers.get(&number) else { return };
        let known = crate::sys::pidfd::exit_status(&container.pidfd).ok().flatten();
        if known.is_some() || waited > STATUS_PATIENCE {
            self.finish(number, known.unwrap_or(STATUS_UNKNOWN), now_ns());
        } else {
            self.set_timer(number, STATUS_AGAIN);
        }
    }

    /// The main process ended.
    pub(super) fn finish(&mut self, number: u64, status: i32, at_ns: i64) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let Phase::Running { since, .. } = container.phase else { return };
        container.drain_output();
        container.close_streams(&self.epoll);
        self.epoll.remove(&container.pidfd);
        self.settle_start(number);
        let Some(container) = self.containers.get(&number) else { return };
        let (id, pid) = (container.id.clone(), container.pid);
        let out_of_memory = self.oom_kills(&id) > container.oom_kills_before;
        let Some(container) = self.containers.get_mut(&number) else { return };
        let code = (status != STATUS_UNKNOWN).then(|| exit_code(status));
        let ending = Ending {
            code,
            ran: since.elapsed(),
            restarts: container.restarts,
            stopping: container.stopping,
            last_wait: container.last_wait,
        };
        let wait = restart_after(container.policy, ending);
        container.last_code = code;
        container.last_wait = wait;
        if let Some(wait) = wait {
            container.phase = Phase::Waiting { until: Instant::now() + wait };
            self.set_timer(number, wait);
        } else {
            // Before the news: who hears them may start it again at once.
            self.keeper.confirm(&id, pid, &self.epoll);
        }
        self.record(number, at_ns, Happening::Ended { code, out_of_memory, restart_in_ms: wait.map(as_ms) });
        if wait.is_none() {
            self.remove(number);
        }
    }

    fn start_again(&mut self, number: u64) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        container.phase = Phase::Starting;
        let id = container.id.clone();
        if !self.spawner.start(&id, &self.epoll) {
            self.on_start(&id, Outcome::Away);
        }
    }

    /// What became of a start that we asked for.
    pub(super) fn on_start(&mut self, id: &str, outcome: Outcome) {
        let Some(container) = self.find(id) else { return };
        let number = container.number;
        match (outcome, container.phase) {
            (Outcome::Started, Phase::Running { .. }) => self.settle_start(number),
            (Outcome::Away, Phase::Starting) => {
                container.phase = Phase::Waiting { until: Instant::now() + SPAWNER_AGAIN };
                self.set_timer(number, SPAWNER_AGAIN);
            }
            (Outcome::Refused(refusal), Phase::Starting) => self.start_failed(number, &refusal),
            // It ended again already, or somebody else started it.
            _ => {}
        }
    }

    fn start_failed(&mut self, number: u64, refusal: &Refusal) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let hopeless = container.stopping
            || matches!(
                refusal.kind,
                RefusalKind::Invalid
                    | RefusalKind::NotFound
                    | RefusalKind::CommandNotFound
                    | RefusalKind::CommandNotRunnable
                    | RefusalKind::Unsupported
            );
        let wait = (!hopeless).then(|| next_wait(container.last_wait));
        container.last_wait = wait;
        let (id, pid) = (container.id.clone(), container.pid);
        if let Some(wait) = wait {
            container.phase = Phase::Waiting { until: Instant::now() + wait };
            self.set_timer(number, wait);
        } else {
            self.keeper.confirm(&id, pid, &self.epoll);
        }
        let message = refusal.message.clone();
        self.record(number, now_ns(), Happening::RestartFailed { message, restart_in_ms: wait.map(as_ms) });
        if wait.is_none() {
            self.remove(number);
        }
    }

    /// A person asked it to stop while it waits for a restart: it has ended for good.
    pub(super) fn cancel_restart(&mut self, number: u64) {
        let Some(container) = self.containers.get(&number) else { return };
        let code = container.last_code;
        let (id, pid) = (container.id.clone(), container.pid);
        self.keeper.confirm(&id, pid, &self.epoll);
        self.record(number, now_ns(), Happening::Ended { code, out_of_memory: false, restart_in_ms: None });
        self.remove(number);
    }
}

fn as_ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
