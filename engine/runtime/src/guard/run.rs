//! Start keeper, wait, start the next.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, WaitOptions};

use crate::keeper::{KeeperError, prepare_process};
use crate::sys::launch::{DESCRIPTOR, launch};
use crate::time::now_ns;
use crate::wire::guard::OrphanEnded;
use crate::wire::socket::Connection;

/// A keeper that lived shorter than this died "at once".
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// First wait after an early death; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Keepers that say themselves that they cannot run, one after the other, before it is given up.
const REFUSALS: u32 = 10;
/// Ends kept for a keeper to come.
const UNTOLD: usize = 4096;

/// Why there is no keeper any more.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// As keeper's own.
    #[error(transparent)]
    Process(#[from] KeeperError),
    /// Its executable cannot be started.
    #[error("cannot start keeper")]
    Start {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended by itself with an error, which it has written to the log.
    #[error("keeper cannot run (status {status})")]
    Keeper {
        /// Raw wait status.
        status: i32,
    },
}

#[derive(Debug)]
struct Guard {
    program: PathBuf,
    /// All that followed the word `guard`: keeper's own words.
    words: Vec<OsString>,
    keeper: Option<Keeper>,
    /// Raised again at least once: an error at its start may pass.
    had_one: bool,
    refusals: u32,
    early_deaths: u32,
    next_start: Instant,
    untold: VecDeque<OrphanEnded>,
    /// Told to end: no further keeper.
    ending: bool,
}

#[derive(Debug)]
struct Keeper {
    pid: i32,
    connection: Connection,
    since: Instant,
}

/// Runs keeper with `words` until one ends in order.
///
/// # Errors
/// [`GuardError`].
pub fn run(words: impl Iterator<Item = OsString>) -> Result<(), GuardError> {
    let signals = prepare_process()?;
    let program = std::env::current_exe().map_err(|source| KeeperError::Process { what: "own executable", source })?;
    let mut guard = Guard {
        program,
        words: words.collect(),
        keeper: None,
        had_one: false,
        refusals: 0,
        early_deaths: 0,
        next_start: Instant::now(),
        untold: VecDeque::new(),
        ending: false,
    };
    loop {
        guard.start_if_due()?;
        guard.wait(&signals);
        guard.take_signals(&signals);
        if guard.reap()? {
            return Ok(());
        }
    }
}

impl Guard {
    fn start_if_due(&mut self) -> Result<(), GuardError> {
        if self.keeper.is_some() || self.next_start > Instant::now() {
            return Ok(());
        }
        let (ours, theirs) = Connection::pair().map_err(|source| GuardError::Start { source })?;
        let mut command = Command::new(&self.program);
        command.args(["keeper", "--guard-fd", &DESCRIPTOR.to_string()]).args(&self.words).stdin(Stdio::null());
        let pid = launch(command, theirs.into(), None).map_err(|source| GuardError::Start { source })?;
        for orphan in self.untold.drain(..) {
            // One that is gone already has left nothing to be told.
            let _ = ours.send(&orphan, &[]);
        }
        self.keeper = Some(Keeper { pid, connection: ours, since: Instant::now() });
        Ok(())
    }

    fn wait(&self, signals: &SignalFd) {
        let pause = self.keeper.is_none().then(|| self.next_start.saturating_duration_since(Instant::now()));
        let pause = pause.and_then(|pause| Timespec::try_from(pause + Duration::from_millis(1)).ok());
        let mut polled = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if let Err(error) = rustix::event::poll(&mut polled, pause.as_ref())
            && error != rustix::io::Errno::INTR
        {
            eprintln!("guard: poll: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A signal to end is keeper's to obey.
    fn take_signals(&mut self, signals: &SignalFd) {
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.ending = true;
                if let Some(keeper) = self.keeper.as_ref().and_then(|keeper| Pid::from_raw(keeper.pid))
                    && let Err(error) = rustix::process::kill_process(keeper, rustix::process::Signal::TERM)
                {
                    eprintln!("guard: keeper cannot be told to end: {error}");
                }
            }
        }
    }

    /// All children that ended; whether that is the end of us.
    fn reap(&mut self) -> Result<bool, GuardError> {
        while let Some(peeked) = peek() {
            if let Some(ended) = peeked
                && self.keeper.as_ref().is_none_or(|keeper| keeper.pid != ended.pid)
            {
                self.tell(ended);
            }
            let wanted = peeked.and_then(|ended| Pid::from_raw(ended.pid));
            let Ok(Some((pid, status))) = rustix::process::waitpid(wanted, WaitOptions::NOHANG) else { break };
            let (pid, status) = (pid.as_raw_nonzero().get(), status.as_raw());
            if let Some(keeper) = self.keeper.take_if(|keeper| keeper.pid == pid) {
                if self.keeper_ended(&keeper, status)? {
                    return Ok(true);
                }
            } else if peeked.is_none() {
                self.tell(OrphanEnded { pid, status, at_ns: now_ns() });
            }
        }
        Ok(self.ending && self.keeper.is_none())
    }

    fn tell(&mut self, orphan: OrphanEnded) {
        if let Some(keeper) = &self.keeper
            && keeper.connection.send(&orphan, &[]).is_ok()
        {
            return;
        }
        if self.untold.len() == UNTOLD {
            self.untold.pop_front();
        }
        self.untold.push_back(orphan);
    }

    /// Whether it ended because it was told to.
    fn keeper_ended(&mut self, keeper: &Keeper, status: i32) -> Result<bool, GuardError> {
        if status == 0 {
            return Ok(true);
        }
        let by_itself = status & 0x7f == 0;
        self.refusals = if by_itself { self.refusals + 1 } else { 0 };
        if by_itself && (!self.had_one || self.refusals >= REFUSALS) {
            return Err(GuardError::Keeper { status });
        }
        self.had_one = true;
        let early = keeper.since.elapsed() < SHORT_LIFE;
        self.early_deaths = if early { self.early_deaths + 1 } else { 0 };
        self.next_start = Instant::now() + wait_after(self.early_deaths);
        eprintln!("guard: keeper (pid {}) was killed (status {status}), another one follows", keeper.pid);
        Ok(false)
    }
}

/// The next child that ended, not reaped yet: `None` when there is none, `Some(None)` when only reaping can tell (a
/// real-time signal killed it).
fn peek() -> Option<Option<OrphanEnded>> {
    let at_ns = now_ns();
    match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
        Ok(WaitStatus::Exited(pid, code)) => {
            Some(Some(OrphanEnded { pid: pid.as_raw(), status: (code & 0xff) << 8, at_ns }))
        }
        Ok(WaitStatus::Signaled(pid, signal, core)) => {
            let status = signal as i32 | if core { 0x80 } else { 0 };
            Some(Some(OrphanEnded { pid: pid.as_raw(), status, at_ns }))
        }
        Err(nix::errno::Errno::EINVAL) => Some(None),
        _ => None,
    }
}

fn wait_after(early_deaths: u32) -> Duration {
    match early_deaths {
        0 | 1 => Duration::ZERO,
        more => FIRST_WAIT.saturating_mul(1 << (more - 2).min(16)).min(LONGEST_WAIT),
    }
}
