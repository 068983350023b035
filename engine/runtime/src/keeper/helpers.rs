//! The programs that keeper starts and starts again: spawner, net, one monitor per team.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::CapabilitySet;

use super::Arguments;
use crate::sys::launch::{DESCRIPTOR, Identity, launch};
use crate::wire::socket::Connection;

/// A helper that ran shorter than this died "at once".
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// First wait after an early death; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a helper may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// One of the programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Helper {
    Spawner,
    Net,
    Monitor(String),
}

#[derive(Debug)]
struct State {
    /// `None` while it waits to be started again.
    pid: Option<i32>,
    /// Of a helper that an earlier keeper started: not our child, so its end is seen by pidfd.
    adopted: Option<OwnedFd>,
    since: Instant,
    early_deaths: u32,
    next_start: Instant,
}

/// All helpers.
#[derive(Debug)]
pub(super) struct Helpers {
    arguments: Arguments,
    program: PathBuf,
    states: BTreeMap<Helper, State>,
    ending: bool,
}

impl Helpers {
    /// None runs yet. `program` is our own executable.
    pub(super) fn new(arguments: Arguments, program: PathBuf) -> Self {
        Self { arguments, program, states: BTreeMap::new(), ending: false }
    }

    /// Wants `helper` to run from now on.
    pub(super) fn want(&mut self, helper: Helper) {
        let now = Instant::now();
        let state = State { pid: None, adopted: None, since: now, early_deaths: 0, next_start: now };
        self.states.entry(helper).or_insert(state);
    }

    /// Takes over a monitor that an earlier keeper started.
    pub(super) fn adopt_monitor(&mut self, key: &str, pid: i32) -> io::Result<()> {
        let number = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = rustix::process::pidfd_open(number, PidfdFlags::empty())?;
        let now = Instant::now();
        let state = State { pid: Some(pid), adopted: Some(pidfd), since: now, early_deaths: 0, next_start: now };
        self.states.insert(Helper::Monitor(key.to_owned()), state);
        Ok(())
    }

    /// Whether the helper has a process.
    pub(super) fn runs(&self, helper: &Helper) -> bool {
        self.states.get(helper).is_some_and(|state| state.pid.is_some())
    }

    /// Adopted helpers, to be polled.
    pub(super) fn adopted(&self) -> impl Iterator<Item = (&Helper, &OwnedFd)> {
        self.states.iter().filter_map(|(helper, state)| Some((helper, state.adopted.as_ref()?)))
    }

    /// Starts all that are due; answers their connections, to be served like any other.
    pub(super) fn start_due(&mut self) -> Vec<Connection> {
        if self.ending {
            return Vec::new();
        }
        let now = Instant::now();
        let due: Vec<Helper> = self
            .states
            .iter()
            .filter(|(_, state)| state.pid.is_none() && state.next_start <= now)
            .map(|(helper, _)| helper.clone())
            .collect();
        due.into_iter().filter_map(|helper| self.start(&helper)).collect()
    }

    /// When the next start is due.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.states.values().filter(|state| state.pid.is_none() && !self.ending).map(|state| state.next_start).min()
    }

    /// A child ended; whether it was a helper.
    pub(super) fn reaped(&mut self, pid: i32) -> Option<Helper> {
        let helper = self.states.iter().find(|(_, state)| state.pid == Some(pid)).map(|(helper, _)| helper.clone())?;
        self.died(&helper);
        Some(helper)
    }

    /// A helper has no process any more; it is started again, later when it lived but a moment.
    pub(super) fn died(&mut self, helper: &Helper) {
        let Some(state) = self.states.get_mut(helper) else { return };
        state.pid = None;
        state.adopted = None;
        let early = state.since.elapsed() < SHORT_LIFE;
        state.early_deaths = if early { state.early_deaths + 1 } else { 0 };
        state.next_start = Instant::now() + wait_after(state.early_deaths);
    }

    /// Ends one helper and no longer wants it.
    pub(super) fn end(&mut self, helper: &Helper) {
        if let Some(state) = self.states.remove(helper)
            && let Some(pid) = state.pid
        {
            end_process(pid);
        }
    }

    /// Ends spawner, and from now on starts no helper again.
    pub(super) fn start_nothing(&mut self) {
        self.ending = true;
        self.end(&Helper::Spawner);
    }

    /// Ends all: nothing new can start first, then nothing is written, then nothing is reachable.
    pub(super) fn end_all(&mut self) {
        self.ending = true;
        let monitors = self.states.keys().filter(|helper| matches!(helper, Helper::Monitor(_))).cloned();
        let order: Vec<Helper> =
            std::iter::once(Helper::Spawner).chain(monitors).chain(std::iter::once(Helper::Net)).collect();
        for helper in order {
            self.end(&helper);
        }
    }

    fn start(&mut self, helper: &Helper) -> Option<Connection> {
        if let Helper::Monitor(key) = helper
            && self.find_monitor(key)
        {
            return None;
        }
        let started = self.launch(helper);
        let state = self.states.get_mut(helper)?;
        state.since = Instant::now();
        match started {
            Ok((pid, connection)) => {
                state.pid = Some(pid);
                Some(connection)
            }
            Err(error) => {
                eprintln!("keeper: cannot start {helper:?}: {error}");
                state.early_deaths += 1;
                state.next_start = Instant::now() + wait_after(state.early_deaths);
                None
            }
        }
    }

    /// Whether a monitor that an earlier keeper started still listens; it finds us by itself.
    fn find_monitor(&mut self, key: &str) -> bool {
        let socket = self.arguments.state_root.join("monitor").join(format!("{key}.sock"));
        let Ok(peer) = Connection::connect(&socket).and_then(|connection| connection.peer()) else { return false };
        self.adopt_monitor(key, peer.pid).is_ok()
    }

    fn launch(&self, helper: &Helper) -> io::Result<(i32, Connection)> {
        let (ours, theirs) = Connection::pair()?;
        let mut _program = None;
        let (mut command, identity) = match helper {
            Helper::Spawner => (self.spawner(), None),
            Helper::Net => {
                let (command, identity, program) = self.net()?;
                _program = Some(program);
                (command, Some(identity))
            }
            Helper::Monitor(key) => (self.monitor(key), None),
        };
        command.stdin(Stdio::null());
        let pid = launch(command, theirs.into(), identity)?;
        Ok((pid, ours))
    }

    fn roots(&self, command: &mut Command) {
        command.arg("--data-root").arg(&self.arguments.data_root);
        command.arg("--state-root").arg(&self.arguments.state_root);
        command.args(["--instance", &self.arguments.instance, "--keeper-fd", &DESCRIPTOR.to_string()]);
    }

    fn owner(&self, command: &mut Command) {
        command.args(["--cgroup-parent", &self.arguments.cgroup_parent]);
        command.args(["--uid", &self.arguments.uid.to_string(), "--gid", &self.arguments.gid.to_string()]);
    }

    fn spawner(&self) -> Command {
        let mut command = Command::new(self.arguments.spawner.as_ref().unwrap_or(&self.program));
        command.arg("spawner");
        self.roots(&mut command);
        self.owner(&mut command);
        command
    }

    fn monitor(&self, key: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("monitor");
        self.roots(&mut command);
        self.owner(&mut command);
        command.args(["--team", key]);
        command
    }

    /// net runs as the instance's user, and neither the program nor the state root need lie where that user can go: the
    /// one is executed by its descriptor, which must stay open until then, the other is where net stands.
    fn net(&self) -> io::Result<(Command, Identity, OwnedFd)> {
        let sampan: &Path = self.arguments.sampan.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let program = rustix::fs::open(sampan, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        // Away from the number under which the connection is placed.
        let program = rustix::io::fcntl_dupfd_cloexec(&program, DESCRIPTOR + 1)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg0(sampan).arg("net").current_dir(&self.arguments.state_root).args(["--state-root", "."]);
        command.args(["--instance", &self.arguments.instance, "--keeper-fd", &DESCRIPTOR.to_string()]);
        command.args(["--uid", &self.arguments.uid.to_string()]);
        command.args(self.arguments.net.iter().map(OsString::as_os_str));
        let identity = Identity {
            uid: rustix::process::Uid::from_raw(self.arguments.uid),
            gid: rustix::process::Gid::from_raw(self.arguments.gid),
            capabilities: CapabilitySet::NET_ADMIN | CapabilitySet::NET_BIND_SERVICE,
        };
        Ok((command, identity, program))
    }
}

/// Ends a process that an earlier keeper started and that listens at `socket`, if there is one.
pub(super) fn end_listener(socket: &Path) -> io::Result<()> {
    match Connection::connect(socket) {
        Ok(connection) => {
            let peer = connection.peer()?;
            if peer.pid != rustix::process::getpid().as_raw_nonzero().get() {
                end_process(peer.pid);
            }
            Ok(())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(()),
        Err(error) => Err(error),
    }
}

/// SIGTERM, a little patience, SIGKILL. A child of ours is reaped later, by the loop.
fn end_process(pid: i32) {
    let Some(number) = Pid::from_raw(pid) else { return };
    let Ok(pidfd) = rustix::process::pidfd_open(number, PidfdFlags::empty()) else { return };
    if rustix::process::pidfd_send_signal(&pidfd, Signal::TERM).is_err() {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if super::children::is_over(rustix::fd::AsFd::as_fd(&pidfd)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    eprintln!("keeper: process {pid} did not end in {PATIENCE:?} and is killed");
    if let Err(error) = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        eprintln!("keeper: process {pid} cannot be killed: {error}");
    }
}

fn wait_after(early_deaths: u32) -> Duration {
    match early_deaths {
        0 | 1 => Duration::ZERO,
        more => FIRST_WAIT.saturating_mul(1 << (more - 2).min(16)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_nothing_and_later_ones_wait_longer() {
        let waits: Vec<u128> = [0, 1, 2, 3, 7, 8, 60].map(|deaths| wait_after(deaths).as_millis()).to_vec();
        assert_eq!(waits, [0, 0, 100, 200, 3200, 5000, 5000]);
    }
}
