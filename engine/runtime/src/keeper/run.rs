//! Start, loop, end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit, WaitOptions};

use super::Arguments;
use super::answer::refusal;
use super::children::{Children, End, Ended};
use super::clients::Client;
use super::guard::Guard;
use super::helpers::{Helper, Helpers, end_listener};
use super::store::Store;
use crate::cgroups::{Cgroup, Layout};
use crate::time::now_ns;
use crate::wire::RefusalKind;
use crate::wire::keeper::{Answer, Request, Watched};
use crate::wire::socket::{Connection, Listener};

/// How long `ensure-monitor` waits for a monitor that does not come up.
const MONITOR_PATIENCE: Duration = Duration::from_secs(10);

/// How long a new keeper waits for one that is ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How long containers may take to end when the host goes down. Whoever stops a host has sent SIGTERM to every process
/// by then, and kills what is left some seconds later than this (systemd: `TimeoutStopSec=` of our scope).
const GRACE: Duration = Duration::from_secs(10);
/// How long the ends of killed containers may take to be heard of.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// Why keeper could not start.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// Another keeper serves this state root.
    #[error("another keeper serves {}", .state_root.display())]
    Taken {
        /// The state root.
        state_root: PathBuf,
    },
    /// A file or socket of the state root.
    #[error("cannot use {}", .path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something that every process has.
    #[error("cannot set up keeper's own process: {what}")]
    Process {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// All that keeper knows.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) children: Children,
    pub(super) helpers: Helpers,
    pub(super) clients: Vec<Client>,
    /// Clients that asked for a team's monitor, by client id.
    pub(super) waiting_for_monitor: Vec<(u64, String)>,
    /// Teams whose monitor said hello in this round.
    pub(super) ready: Vec<String>,
    /// Ended processes of this round.
    pub(super) to_tell: Vec<Ended>,
    /// No more rounds.
    pub(super) ending: bool,
    /// Our parent, as long as it lives.
    pub(super) guard: Option<Guard>,
    leaving: Option<Leaving>,
    uid: u32,
    next_client: u64,
    /// Given up for a moment to refuse a connection when descriptors are used up.
    reserve: Option<File>,
    asked_since: Option<Instant>,
}

/// Runs keeper until it is told to end.
///
/// # Errors
/// [`KeeperError`] when it cannot start; once it runs it goes on.
pub fn run(mut arguments: Arguments) -> Result<(), KeeperError> {
    let signals = prepare_process()?;
    // All helpers stand where keeper stands; monitors are told the whole way.
    match Layout::find().and_then(|layout| Cgroup::parent_path(&layout, &arguments.cgroup_parent)) {
        Ok(path) => arguments.cgroup_parent = path,
        Err(error) => eprintln!("keeper: {error}"),
    }
    let state = &arguments.state_root;
    let _lock = take_state(state)?;
    for socket in ["spawner.sock", "net.sock"] {
        end_listener(&state.join(socket)).map_err(|source| at(&state.join(socket), source))?;
    }
    make_monitor_folder(&arguments)?;
    let program = std::env::current_exe().map_err(|source| KeeperError::Process { what: "own executable", source })?;
    let has_net = arguments.sampan.is_some();
    let guard = arguments.guard.map(Guard::join).transpose();
    let guard = guard.map_err(|source| KeeperError::Process { what: "connection to guard", source })?;
    let uid = arguments.uid;
    let cgroup_parent = arguments.cgroup_parent.clone();
    let socket = state.join("keeper.sock");
    let listener = listen(&socket, &arguments)?;
    let mut keeper = Keeper {
        store: Store::default(),
        children: Children::default(),
        helpers: Helpers::new(arguments, program),
        clients: Vec::new(),
        waiting_for_monitor: Vec::new(),
        ready: Vec::new(),
        to_tell: Vec::new(),
        ending: false,
        guard,
        leaving: None,
        uid,
        next_client: 0,
        reserve: File::open("/dev/null").ok(),
        asked_since: None,
    };
    if has_net {
        keeper.helpers.want(Helper::Net);
    }
    keeper.helpers.want(Helper::Spawner);
    while !keeper.ending {
        keeper.round(&signals, &listener);
    }
    for client in &mut keeper.clients {
        client.outbox.flush();
    }
    keeper.helpers.end_all();
    remove_cgroups(&cgroup_parent);
    if let Err(error) = std::fs::remove_file(&socket) {
        eprintln!("keeper: {}: {error}", socket.display());
    }
    Ok(())
}

impl Keeper {
    fn round(&mut self, signals: &SignalFd, listener: &Listener) {
        for connection in self.helpers.start_due() {
            self.welcome(connection);
        }
        let ready = self.wait(signals, listener);
        if ready.signal {
            self.take_signals(signals);
        }
        for what in &ready.foreign {
            let ended = self.children.foreign_ended(what);
            self.to_tell.extend(ended);
        }
        for helper in &ready.adopted {
            self.helpers.died(helper);
        }
        self.tell_waiting(None);
        for id in ready.clients {
            self.serve(id);
        }
        if ready.listener {
            self.accept(listener);
        }
        self.answer_waiting();
        self.look_after_leaving();
        self.clients.retain(|client| !client.outbox.is_broken());
    }

    /// One message of one client. It is taken out while it is served.
    fn serve(&mut self, id: u64) {
        let Some(place) = self.clients.iter().position(|client| client.id == id) else { return };
        let mut client = self.clients.swap_remove(place);
        client.outbox.flush();
        match client.outbox.connection.receive::<Request>() {
            Ok(Some((request, descriptors))) => self.answer(&mut client, request, descriptors),
            Ok(None) => client.outbox.give_up(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                io::ErrorKind::InvalidData => {
                    let text = format!("keeper did not understand a message, or has no descriptors left: {error}");
                    client.send(refusal(RefusalKind::Exhausted, text));
                }
                _ => client.outbox.give_up(),
            },
        }
        self.clients.push(client);
    }

    fn welcome(&mut self, connection: Connection) {
        self.next_client += 1;
        match Client::new(self.next_client, connection) {
            Ok(client) => self.clients.push(client),
            Err(error) => eprintln!("keeper: a connection cannot be used: {error}"),
        }
    }

    fn accept(&mut self, listener: &Listener) {
        match listener.accept() {
            Ok(connection) => match connection.peer() {
                Ok(peer) if peer.uid == 0 || peer.uid == self.uid => self.welcome(connection),
                Ok(peer) => eprintln!("keeper: refused a connection of uid {}", peer.uid),
                Err(error) => eprintln!("keeper: {error}"),
            },
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                eprintln!("keeper: no descriptors left, a connection is refused");
                self.reserve = None;
                drop(listener.accept());
                self.reserve = File::open("/dev/null").ok();
            }
            Err(error) => eprintln!("keeper: accept: {error}"),
        }
    }

    fn take_signals(&mut self, signals: &SignalFd) {
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.leave();
            }
        }
        self.reap();
    }

    /// The host goes down, or a person wants us gone: nothing new starts, and what ends now is still read, written down
    /// and told. Containers are not told to end by us: who told us, told them.
    fn leave(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Leaving { deadline: Instant::now() + GRACE, killed: false });
            self.helpers.start_nothing();
        }
    }

    fn look_after_leaving(&mut self) {
        let Some(leaving) = self.leaving else { return };
        if !self.children.is_running(None) {
            self.ending = true;
        } else if leaving.deadline <= Instant::now() {
            if leaving.killed {
                self.ending = true;
                return;
            }
            self.kill_containers();
            self.leaving = Some(Leaving { deadline: Instant::now() + KILL_PATIENCE, killed: true });
        }
    }

    fn kill_containers(&self) {
        for id in self.children.running_containers() {
            let Some([pidfd, ..]) = self.store.get(&format!("container/{id}/pidfd")) else { continue };
            eprintln!("keeper: container {id} did not end and is killed");
            match rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => eprintln!("keeper: container {id} cannot be killed: {error}"),
            }
        }
    }

    /// Reaps all ended children, and hears of those that guard reaps.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if let Some(helper) = self.helpers.reaped(pid) {
                eprintln!("keeper: {helper:?} (pid {pid}) ended with {status:?}");
                continue;
            }
            let ended = self.children.reaped(pid, End { status: status.as_raw(), at_ns: now_ns() });
            self.to_tell.extend(ended);
        }
        while let Some(guard) = &self.guard {
            match guard.receive() {
                Ok(Some((pid, end))) => self.to_tell.extend(self.children.reaped(pid, end)),
                Ok(None) => break,
                Err(error) => {
                    eprintln!("keeper: guard is gone, nobody follows when this keeper is killed: {error}");
                    self.guard = None;
                }
            }
        }
    }

    /// Answers those who asked for a monitor that is here now, or that does not come.
    fn answer_waiting(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        if self.waiting_for_monitor.is_empty() {
            self.asked_since = None;
            return;
        }
        let since = *self.asked_since.get_or_insert_with(Instant::now);
        let late = since.elapsed() > MONITOR_PATIENCE;
        for (id, team) in std::mem::take(&mut self.waiting_for_monitor) {
            let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else { continue };
            if ready.contains(&team) {
                client.send(Answer::Done);
            } else if late {
                client.send(refusal(RefusalKind::Internal, format!("the monitor of team {team} does not start")));
            } else {
                self.waiting_for_monitor.push((id, team));
            }
        }
        if late {
            self.asked_since = None;
        }
    }

    fn wait(&self, signals: &SignalFd, listener: &Listener) -> Ready {
        let foreign: Vec<(&Watched, BorrowedFd<'_>)> = self.children.foreign().collect();
        let adopted: Vec<(&Helper, &OwnedFd)> = self.helpers.adopted().collect();
        let mut clients: Vec<&Client> = self.clients.iter().collect();
        clients.sort_by_key(|client| client.rank());
        let mut polled = vec![
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
        ];
        polled.extend(self.guard.iter().map(|guard| PollFd::from_borrowed_fd(guard.as_fd(), PollFlags::IN)));
        polled.extend(foreign.iter().map(|(_, pidfd)| PollFd::from_borrowed_fd(*pidfd, PollFlags::IN)));
        polled.extend(adopted.iter().map(|(_, pidfd)| PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)));
        polled.extend(clients.iter().map(|client| {
            let wanted = if client.outbox.has_waiting() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            PollFd::from_borrowed_fd(client.outbox.connection.as_fd(), wanted)
        }));
        let timeout = self.timeout();
        if let Err(error) = rustix::event::poll(&mut polled, timeout.as_ref())
            && error != rustix::io::Errno::INTR
        {
            eprintln!("keeper: poll: {error}");
            std::thread::sleep(Duration::from_millis(100));
            return Ready::default();
        }
        let is_ready = |place: usize| !polled[place].revents().is_empty();
        let first_foreign = 2 + usize::from(self.guard.is_some());
        let first_adopted = first_foreign + foreign.len();
        let first_client = first_adopted + adopted.len();
        Ready {
            signal: is_ready(0) || (2..first_foreign).any(is_ready),
            listener: is_ready(1),
            foreign: pick(&foreign, |place| is_ready(first_foreign + place), |(what, _)| (*what).clone()),
            adopted: pick(&adopted, |place| is_ready(first_adopted + place), |(helper, _)| (*helper).clone()),
            clients: pick(&clients, |place| is_ready(first_client + place), |client| client.id),
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let late = self.asked_since.map(|since| since + MONITOR_PATIENCE);
        let leaving = self.leaving.map(|leaving| leaving.deadline);
        let next = self.helpers.next_start().into_iter().chain(late).chain(leaving).min()?;
        let wait = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Timespec::try_from(wait).ok()
    }
}

/// Since we were told to end.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    deadline: Instant,
    /// What did not end by then was killed.
    killed: bool,
}

/// What one wait found.
#[derive(Debug, Default)]
struct Ready {
    signal: bool,
    listener: bool,
    foreign: Vec<Watched>,
    adopted: Vec<Helper>,
    clients: Vec<u64>,
}

fn pick<T, R>(all: &[T], is_ready: impl Fn(usize) -> bool, make: impl Fn(&T) -> R) -> Vec<R> {
    all.iter().enumerate().filter(|(place, _)| is_ready(*place)).map(|(_, item)| make(item)).collect()
}

/// Removes the groups of the instance and its teams. Whoever is still in them was not watched by any keeper: a waiting
/// cradle, or the rest of an instance whose processes were all killed.
fn remove_cgroups(parent: &str) {
    let removed = Layout::find().and_then(|layout| Cgroup::open(&layout, parent)).and_then(|group| match group {
        Some(group) => group.kill_all().and_then(|()| group.remove()),
        None => Ok(()),
    });
    if let Err(error) = removed {
        eprintln!("keeper: {error}");
    }
}

/// A subreaper with enough descriptors, whose signals come as readings.
pub(crate) fn prepare_process() -> Result<SignalFd, KeeperError> {
    let failed = |what| move |source| KeeperError::Process { what, source };
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(|e| failed("subreaper")(e.into()))?;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised).map_err(|e| failed("descriptor limit")(e.into()))?;
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(signal);
    }
    mask.thread_block().map_err(|e| failed("signal mask")(e.into()))?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|e| failed("signal descriptor")(e.into()))
}

/// The lock that makes us the one keeper of this state root, for as long as we live.
fn take_state(state_root: &Path) -> Result<File, KeeperError> {
    let path = state_root.join("keeper.lock");
    let lock =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|source| at(&path, source))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            // Its socket is gone a moment before it is.
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(KeeperError::Taken { state_root: state_root.to_owned() });
            }
            Err(error) => return Err(at(&path, error.into())),
        }
    }
}

fn make_monitor_folder(arguments: &Arguments) -> Result<(), KeeperError> {
    let folder = arguments.state_root.join("monitor");
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(&folder, error)),
        _ => {}
    }
    chown(&folder, Some(arguments.uid), Some(arguments.gid)).map_err(|source| at(&folder, source))
}

fn listen(socket: &Path, arguments: &Arguments) -> Result<Listener, KeeperError> {
    let listener = Listener::bind(socket).map_err(|source| at(socket, source))?;
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(socket, own).map_err(|source| at(socket, source))?;
    chown(socket, Some(arguments.uid), Some(arguments.gid)).map_err(|source| at(socket, source))?;
    Ok(listener)
}

fn at(path: &Path, source: io::Error) -> KeeperError {
    KeeperError::State { path: path.to_owned(), source }
}
