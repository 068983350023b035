//! A monitor that follows one that was killed: its containers from keeper, the rest from their folders.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::container::{Container, Phase, STOPPING_FILE, Streams};
use super::run::Monitor;
use crate::journal::Journal;
use crate::log::{LOG_FOLDER, Writer};
use crate::sandbox::{SANDBOX_FILE, Sandbox};
use crate::time::now_ns;
use crate::wire::VERSION;
use crate::wire::keeper::{Answer, CONTAINERS, Child, Request, Role};
use crate::wire::monitor::Happening;
use crate::wire::socket::Connection;

/// A container as keeper has it.
#[derive(Debug)]
pub(super) struct Found {
    child: Child,
    folder: OwnedFd,
    pidfd: OwnedFd,
    streams: Vec<OwnedFd>,
}

/// Says hello to keeper, and asks for all that is ours. The second part is the news that came in between.
pub(super) fn ask(keeper: &Connection, team: &str) -> io::Result<(Vec<Found>, Vec<Answer>)> {
    let mut asked = Asked { keeper, news: Vec::new() };
    asked.ask(&Request::Hello { version: VERSION, role: Role::Monitor { team: team.to_owned() } })?;
    let mut children: Vec<Child> = Vec::new();
    loop {
        let after = children.last().map(|child| child.id.clone()).unwrap_or_default();
        let request = Request::Containers { team: team.to_owned(), after };
        let (Answer::Containers { containers }, _) = asked.ask(&request)? else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "keeper answers out of turn"));
        };
        let is_last = containers.len() < CONTAINERS;
        children.extend(containers);
        if is_last {
            break;
        }
    }
    let mut found = Vec::new();
    for child in children {
        let mut get = |what| asked.ask(&Request::Get { name: format!("container/{}/{what}", child.id) });
        let (_, folder) = get("folder")?;
        let (_, pidfd) = get("pidfd")?;
        let (_, streams) = get("stdio")?;
        match (folder.into_iter().next(), pidfd.into_iter().next()) {
            (Some(folder), Some(pidfd)) => found.push(Found { child, folder, pidfd, streams }),
            _ => eprintln!("monitor: keeper has no descriptors of container {}", child.id),
        }
    }
    Ok((found, asked.news))
}

struct Asked<'keeper> {
    keeper: &'keeper Connection,
    news: Vec<Answer>,
}

impl Asked<'_> {
    fn ask(&mut self, request: &Request) -> io::Result<(Answer, Vec<OwnedFd>)> {
        self.keeper.send(request, &[])?;
        loop {
            match self.keeper.receive::<Answer>()? {
                Some((news @ Answer::Ended { .. }, _)) => self.news.push(news),
                Some(answer) => return Ok(answer),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl Monitor {
    /// Takes back what an earlier monitor had.
    pub(super) fn restore(&mut self, found: Vec<Found>) {
        for found in found {
            let id = found.child.id.clone();
            if let Err(error) = self.restore_one(found) {
                eprintln!("monitor: container {id} cannot be taken back: {error}");
            }
        }
    }

    fn restore_one(&mut self, found: Found) -> io::Result<()> {
        let Found { child: Child { id, pid }, folder, pidfd, streams } = found;
        let sandbox = read_sandbox(&folder)?;
        let journal = Journal::open(&folder, &id)?;
        let is_this_run = journal.last_start().is_some_and(|(last, _)| last == pid);
        let restarts = journal.last_start().filter(|_| is_this_run).map_or(0, |(_, restarts)| restarts);
        let ended = journal.last().filter(|_| is_this_run).and_then(|last| match last.what {
            Happening::Ended { code, restart_in_ms, .. } => Some((last.at_ns, code, restart_in_ms)),
            Happening::RestartFailed { restart_in_ms, .. } => Some((last.at_ns, None, restart_in_ms)),
            _ => None,
        });
        let unwritten = (!is_this_run).then(now_ns);
        let wait = ended.and_then(|(_, _, wait)| wait).map(Duration::from_millis);
        let phase = match ended {
            None => Phase::Running { since: began(&journal, pid), unwritten, over_since: None, restarted: false },
            Some((at_ns, _, Some(wait_ms))) => Phase::Waiting { until: when(at_ns, wait_ms) },
            Some(_) => {
                self.keeper.confirm(&id, pid, &self.epoll);
                return Ok(());
            }
        };
        let streams = match phase {
            Phase::Running { .. } => Streams::from_descriptors(sandbox.stdio, streams)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "keeper has not all of its streams"))?,
            _ => Streams::None,
        };
        let stopping = rustix::fs::accessat(&folder, STOPPING_FILE, rustix::fs::Access::EXISTS, AtFlags::empty());
        let number = self.new_number();
        let container = Container {
            number,
            id,
            folder,
            pid,
            pidfd,
            streams,
            policy: sandbox.restart,
            log_limits: sandbox.log,
            log: None,
            lost_bytes: 0,
            journal,
            phase,
            restarts,
            last_wait: wait,
            stopping: stopping.is_ok(),
            oom_kills_before: 0,
            last_code: ended.and_then(|(_, code, _)| code),
        };
        self.insert(container)?;
        self.settle_start(number);
        if let Phase::Waiting { until } = phase {
            self.set_timer(number, until.saturating_duration_since(Instant::now()));
        }
        self.mend_log(number);
        Ok(())
    }

    /// Finishes what the killed writer began, and says so if something may be missing.
    fn mend_log(&mut self, number: u64) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if rustix::fs::accessat(&container.folder, LOG_FOLDER, rustix::fs::Access::EXISTS, AtFlags::empty()).is_err() {
            return;
        }
        match Writer::open(&container.folder, container.log_limits) {
            Ok(log) => {
                let lost = log.was_reading();
                container.log = Some(log);
                if lost {
                    self.record(number, now_ns(), Happening::OutputLost);
                }
            }
            Err(error) => eprintln!("monitor: the log of container {} cannot be opened: {error}", container.id),
        }
    }
}

fn read_sandbox(folder: &impl AsFd) -> io::Result<Sandbox> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file: File = rustix::fs::openat(folder, SANDBOX_FILE, flags, Mode::empty())?.into();
    Ok(serde_json::from_str(&io::read_to_string(file)?)?)
}

/// When a run that the journal tells of began; now, if it does not.
fn began(journal: &Journal, pid: i32) -> Instant {
    let at_ns = journal.last().and_then(|last| match last.what {
        Happening::Started { pid: started, .. } if started == pid => Some(last.at_ns),
        _ => None,
    });
    let ran = at_ns.map_or(0, |at_ns| u64::try_from(now_ns().saturating_sub(at_ns)).unwrap_or(0));
    Instant::now().checked_sub(Duration::from_nanos(ran)).unwrap_or_else(Instant::now)
}

/// When a wait of `wait_ms` that began at `at_ns` is over.
fn when(at_ns: i64, wait_ms: u64) -> Instant {
    let waited = Duration::from_nanos(u64::try_from(now_ns().saturating_sub(at_ns)).unwrap_or(0));
    Instant::now() + Duration::from_millis(wait_ms).saturating_sub(waited)
}
