//! Who ended, with which status, and who must be told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::time::now_ns;
use crate::wire::keeper::{Child, STATUS_UNKNOWN, Watched};

/// Statuses of processes that nobody watched (yet): a container's program may be over before spawner can say `watch`.
const UNCLAIMED: usize = 4096;
/// Ends of execs kept for a `serve` that is away.
const EXECS_KEPT: usize = 1024;

/// A process that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Raw wait status, or [`STATUS_UNKNOWN`].
    pub(super) status: i32,
    /// Nanoseconds since 1970.
    pub(super) at_ns: i64,
}

/// One watched process.
#[derive(Debug)]
struct Record {
    pid: i32,
    team: String,
    /// Only for a process that is not our child (born under a keeper that died): its pidfd is polled instead.
    foreign: Option<OwnedFd>,
    end: Option<End>,
}

/// What has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) team: String,
    pub(super) what: Watched,
    pub(super) pid: i32,
    pub(super) end: End,
}

/// All watched processes.
#[derive(Debug, Default)]
pub(super) struct Children {
    watched: HashMap<Watched, Record>,
    by_pid: HashMap<i32, Watched>,
    unclaimed: HashMap<i32, End>,
    unclaimed_order: VecDeque<i32>,
    execs_ended: VecDeque<Ended>,
}

impl Children {
    /// Watches `pid`; when it is over already, says so at once. All ended children must have been reaped just before.
    /// `of_guard`: guard is its parent now and tells of its end.
    pub(super) fn watch(
        &mut self,
        what: Watched,
        pid: i32,
        team: String,
        pidfd: OwnedFd,
        of_guard: bool,
    ) -> Option<Ended> {
        let over = is_over(pidfd.as_fd());
        let earlier = self.unclaimed.remove(&pid);
        let ours = over && earlier.is_some() || of_guard || is_our_child(pid);
        let end = match (over, earlier) {
            // An older process had the same number, or it still runs.
            (false, _) => None,
            (true, Some(end)) => Some(end),
            // Ended and reaped by somebody else, unless we shall reap it ourselves in a moment.
            (true, None) => (!ours).then(|| End { status: foreign_status(pid, &pidfd), at_ns: now_ns() }),
        };
        if let Some(old) = self.watched.remove(&what) {
            self.by_pid.remove(&old.pid);
        }
        self.by_pid.insert(pid, what.clone());
        let foreign = (!ours && end.is_none()).then_some(pidfd);
        self.watched.insert(what.clone(), Record { pid, team, foreign, end: None });
        end.and_then(|end| self.end(&what, end))
    }

    /// A child was reaped, by us or by guard.
    pub(super) fn reaped(&mut self, pid: i32, end: End) -> Option<Ended> {
        if let Some(what) = self.by_pid.get(&pid).cloned()
            && self.watched.get(&what).is_some_and(|record| record.end.is_none() && record.foreign.is_none())
        {
            return self.end(&what, end);
        }
        if self.unclaimed.insert(pid, end).is_none() {
            self.unclaimed_order.push_back(pid);
        }
        if self.unclaimed_order.len() > UNCLAIMED
            && let Some(oldest) = self.unclaimed_order.pop_front()
        {
            self.unclaimed.remove(&oldest);
        }
        None
    }

    /// Processes that are not our children, to be polled, with their pidfds.
    pub(super) fn foreign(&self) -> impl Iterator<Item = (&Watched, BorrowedFd<'_>)> {
        self.watched.iter().filter_map(|(what, record)| Some((what, record.foreign.as_ref()?.as_fd())))
    }

    /// The pidfd of such a process became readable.
    pub(super) fn foreign_ended(&mut self, what: &Watched) -> Option<Ended> {
        let record = self.watched.get_mut(what)?;
        let (pid, pidfd) = (record.pid, record.foreign.take()?);
        self.end(what, End { status: foreign_status(pid, &pidfd), at_ns: now_ns() })
    }

    /// Whether a process is watched and not over.
    pub(super) fn is_running(&self, team: Option<&str>) -> bool {
        self.watched.values().any(|record| record.end.is_none() && team.is_none_or(|team| record.team == team))
    }

    /// Ids of containers that are not over.
    pub(super) fn running_containers(&self) -> impl Iterator<Item = &str> {
        self.watched.iter().filter(|(_, record)| record.end.is_none()).filter_map(|(what, _)| match what {
            Watched::Container { id } => Some(id.as_str()),
            Watched::Exec { .. } => None,
        })
    }

    /// Whether the team has a container that runs, or whose end its monitor has not dealt with.
    pub(super) fn has_containers(&self, team: &str) -> bool {
        self.watched.iter().any(|(what, record)| record.team == team && matches!(what, Watched::Container { .. }))
    }

    /// Containers of a team, sorted by id, after `after`, at most `limit`.
    pub(super) fn containers(&self, team: &str, after: &str, limit: usize) -> Vec<Child> {
        let mut found: BTreeMap<&str, &Record> = BTreeMap::new();
        for (what, record) in &self.watched {
            if let Watched::Container { id } = what
                && record.team == team
                && id.as_str() > after
            {
                found.insert(id, record);
            }
        }
        found.into_iter().take(limit).map(|(id, record)| Child { id: id.to_owned(), pid: record.pid }).collect()
    }

    /// Ends that a team's new monitor has to hear again.
    pub(super) fn unconfirmed(&self, team: &str) -> Vec<Ended> {
        self.watched
            .iter()
            .filter(|(what, record)| record.team == team && matches!(what, Watched::Container { .. }))
            .filter_map(|(what, record)| {
                Some(Ended { team: team.to_owned(), what: what.clone(), pid: record.pid, end: record.end? })
            })
            .collect()
    }

    /// The team's monitor has dealt with the end of this run; `false` when this is not the last run, or not over.
    pub(super) fn confirm(&mut self, id: &str, pid: i32) -> bool {
        let what = Watched::Container { id: id.to_owned() };
        let confirmed = self.watched.get(&what).is_some_and(|record| record.end.is_some() && record.pid == pid);
        if confirmed {
            self.watched.remove(&what);
        }
        confirmed
    }

    /// Keeps the end of an exec for a `serve` that is away.
    pub(super) fn keep_exec(&mut self, ended: Ended) {
        if self.execs_ended.len() == EXECS_KEPT {
            self.execs_ended.pop_front();
        }
        self.execs_ended.push_back(ended);
    }

    /// Ends of execs since `serve` went away.
    pub(super) fn take_execs(&mut self) -> Vec<Ended> {
        self.execs_ended.drain(..).collect()
    }

    fn end(&mut self, what: &Watched, end: End) -> Option<Ended> {
        let record = self.watched.get_mut(what)?;
        record.end = Some(end);
        self.by_pid.remove(&record.pid);
        let ended = Ended { team: record.team.clone(), what: what.clone(), pid: record.pid, end };
        if matches!(what, Watched::Exec { .. }) {
            self.watched.remove(what);
        }
        Some(ended)
    }
}

/// Whether the process behind a pidfd has ended (reaped or not).
pub(crate) fn is_over(pidfd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

fn is_our_child(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(pid), options).is_ok()
}

/// The status of a process that somebody else reaps, a moment after its end: while it is a zombie, its entry in /proc
/// has it; once it was reaped, a kernel from 6.15 on still knows.
fn foreign_status(pid: i32, pidfd: &OwnedFd) -> i32 {
    for _ in 0..20 {
        if let Some(status) = zombie_status(pid, pidfd.as_fd()) {
            return status;
        }
        match crate::sys::pidfd::exit_status(pidfd) {
            Ok(Some(status)) => return status,
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    STATUS_UNKNOWN
}

/// The last field of /proc/PID/stat, `exit_code` (proc_pid_stat(5)); to be read by root. Checked after the reading: as long
/// as nobody has reaped the process, its number is nobody else's.
fn zombie_status(pid: i32, pidfd: BorrowedFd<'_>) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    let status = fields.trim_end().rsplit(' ').next()?.parse().ok()?;
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let is_same = about.lines().any(|line| line.strip_prefix("Pid:").is_some_and(|it| it.trim() == pid.to_string()));
    (fields.starts_with('Z') && is_same).then_some(status)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    fn child() -> (Child, OwnedFd, i32) {
        let child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().expect("cat starts");
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a pidfd");
        (child, pidfd, pid.as_raw_nonzero().get())
    }

    fn container(id: &str) -> Watched {
        Watched::Container { id: id.to_owned() }
    }

    #[test]
    fn an_end_before_the_watch_is_told_at_the_watch() {
        let (mut child, pidfd, pid) = child();
        drop(child.stdin.take());
        child.wait().expect("it ends");
        let mut children = Children::default();
        let end = End { status: 0x300, at_ns: 5 };
        assert_eq!(children.reaped(pid, end), None);
        let told = children.watch(container("a"), pid, "t".to_owned(), pidfd, false).expect("told at once");
        assert_eq!(told.end, end);
        assert_eq!(children.unconfirmed("t").len(), 1);
        assert!(!children.confirm("a", pid + 1));
        assert!(children.confirm("a", pid));
        assert!(!children.has_containers("t"));
    }

    #[test]
    fn a_status_of_an_older_process_with_the_same_number_is_not_taken() {
        let (mut child, pidfd, pid) = child();
        let mut children = Children::default();
        children.reaped(pid, End { status: 9, at_ns: 1 });
        assert_eq!(children.watch(container("a"), pid, "t".to_owned(), pidfd, false), None);
        assert!(children.is_running(Some("t")));
        let told = children.reaped(pid, End { status: 0, at_ns: 2 }).expect("its own end");
        assert_eq!(told.end.status, 0);
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }

    #[test]
    fn an_orphan_of_guard_is_not_polled_and_has_the_status_that_guard_tells() {
        let mut children = Children::default();
        // Nobody's child that lives on: process 1.
        let init = pidfd_open(Pid::INIT, PidfdFlags::empty()).expect("a pidfd");
        assert_eq!(children.watch(container("a"), 1, "t".to_owned(), init, true), None);
        assert_eq!(children.foreign().count(), 0);
        let told = children.reaped(1, End { status: 0x700, at_ns: 3 }).expect("told");
        assert_eq!(told.end.status, 0x700);
    }

    #[test]
    fn the_status_of_a_zombie_is_read_and_another_process_is_not_taken_for_it() {
        let (mut child, pidfd, pid) = child();
        assert_eq!(zombie_status(pid, pidfd.as_fd()), None, "it runs");
        child.kill().expect("killed");
        while !is_over(pidfd.as_fd()) {
            std::thread::yield_now();
        }
        assert_eq!(foreign_status(pid, &pidfd), 9);
        assert_eq!(zombie_status(1, pidfd.as_fd()), None, "another's number");
        child.wait().expect("reaped");
        assert_eq!(zombie_status(pid, pidfd.as_fd()), None, "reaped");
    }
}
