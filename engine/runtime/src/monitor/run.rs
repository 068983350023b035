//! The loop, and who is told what.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::container::{Container, Phase};
use super::epoll::{Epoll, Token, Watch};
use super::keeper::KeeperLink;
use super::setup::{MonitorError, Opened, lock_in, set_up};
use super::spawner::SpawnerLink;
use super::{Arguments, restore};
use crate::cgroups::Layout;
use crate::wire::monitor::{Answer, Entry, Happening, Request};
use crate::wire::outbox::Outbox;
use crate::wire::socket::Listener;

/// How long the journal's `started` may wait for news that the program could not be run after all.
pub(super) const START_SETTLES: Duration = Duration::from_millis(200);

/// All that a monitor knows.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) arguments: Arguments,
    pub(super) cgroups: Arc<Layout>,
    pub(super) epoll: Epoll,
    pub(super) keeper: KeeperLink,
    keeper_was_up: bool,
    pub(super) spawner: SpawnerLink,
    pub(super) clients: HashMap<u64, Client>,
    pub(super) containers: HashMap<u64, Container>,
    pub(super) numbers: HashMap<String, u64>,
    /// When to look at which container again. A container's own phase says whether anything is due.
    timers: BTreeSet<(Instant, u64)>,
    /// Ends told before the container was adopted, by id.
    pub(super) early_ends: HashMap<String, EarlyEnd>,
    /// Runs that were abandoned, whose ends are of no interest.
    pub(super) abandoned: HashSet<(String, i32)>,
    next_number: u64,
    /// Told to end: as soon as no container runs, so that all output is read and every end is written down.
    pub(super) told_to_end: bool,
}

/// An end that came before its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct EarlyEnd {
    pub(super) pid: i32,
    pub(super) status: i32,
    pub(super) at_ns: i64,
    pub(super) since: Instant,
}

/// One connection to us.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) outbox: Outbox<Answer>,
    pub(super) greeted: bool,
    pub(super) subscribed: bool,
}

/// Runs a monitor until keeper ends it.
///
/// # Errors
/// [`MonitorError`] when it cannot start; once it runs it goes on.
pub fn run(arguments: Arguments) -> Result<(), MonitorError> {
    let opened = set_up(&arguments)?;
    let failed = |what| move |source: io::Error| MonitorError::Process { what, source };
    let epoll = Epoll::new().map_err(failed("epoll"))?;
    let signals = signals().map_err(failed("signals"))?;
    epoll.add(&signals, Token::Signals, Watch::Level).map_err(failed("signals"))?;
    epoll.add(&opened.listener, Token::Listener, Watch::Level).map_err(failed("listener"))?;
    let Opened { listener, keeper, cgroups } = opened;
    lock_in()?;
    let (found, missed) = restore::ask(&keeper, &arguments.team).map_err(|source| MonitorError::Keeper { source })?;
    let keeper =
        KeeperLink::new(arguments.team.clone(), keeper, &epoll).map_err(|source| MonitorError::Keeper { source })?;
    let mut monitor = Monitor {
        arguments,
        cgroups,
        epoll,
        keeper,
        keeper_was_up: true,
        spawner: SpawnerLink::default(),
        clients: HashMap::new(),
        containers: HashMap::new(),
        numbers: HashMap::new(),
        timers: BTreeSet::new(),
        early_ends: HashMap::new(),
        abandoned: HashSet::new(),
        next_number: 0,
        told_to_end: false,
    };
    monitor.restore(found);
    for news in missed {
        monitor.on_keeper(news);
    }
    while !monitor.is_done() {
        monitor.round(&signals, &listener);
    }
    Ok(())
}

fn signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

impl Monitor {
    fn round(&mut self, signals: &SignalFd, listener: &Listener) {
        let tokens = self.epoll.wait(self.timeout()).unwrap_or_else(|error| {
            eprintln!("monitor: epoll: {error}");
            std::thread::sleep(Duration::from_millis(100));
            Vec::new()
        });
        for token in tokens {
            match token {
                Token::Listener => self.accept(listener),
                Token::Signals => {
                    while let Ok(Some(_)) = signals.read_signal() {
                        self.told_to_end = true;
                    }
                }
                Token::Keeper => {
                    while let Some(news) = self.keeper.receive(&self.epoll) {
                        self.on_keeper(news);
                    }
                }
                Token::Spawner => {
                    for (id, outcome) in self.spawner.receive(&self.epoll) {
                        self.on_start(&id, outcome);
                    }
                }
                Token::Client(number) => self.on_client(number),
                Token::Stdout(number) => self.on_output(number, false),
                Token::Stderr(number) => self.on_output(number, true),
                Token::Pidfd(number) => self.on_pidfd(number),
            }
        }
        self.fire_timers();
        self.look_after_keeper();
        self.drop_broken_clients();
    }

    fn is_done(&self) -> bool {
        self.told_to_end && !self.containers.values().any(|container| matches!(container.phase, Phase::Running { .. }))
    }

    fn timeout(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let early = self.early_ends.values().map(|early| early.since + super::end::EARLY_END_KEPT).min();
        let next = [timer, self.keeper.retry_at(), early].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_micros(100))
    }

    /// Has `number` looked at again after `wait`.
    pub(super) fn set_timer(&mut self, number: u64, wait: Duration) {
        self.timers.insert((Instant::now() + wait, number));
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some((at, number)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            self.on_timer(number, now);
        }
        self.forget_early_ends(now);
    }

    /// While there is no keeper, ends are seen by pidfd.
    fn look_after_keeper(&mut self) {
        self.keeper.reconnect(self.containers.values(), &self.epoll);
        let is_up = self.keeper.is_up();
        if is_up == self.keeper_was_up {
            return;
        }
        self.keeper_was_up = is_up;
        for container in self.containers.values() {
            if !matches!(container.phase, Phase::Running { .. }) {
                continue;
            }
            if is_up {
                self.epoll.remove(&container.pidfd);
            } else if let Err(error) = self.epoll.add(&container.pidfd, Token::Pidfd(container.number), Watch::Level) {
                eprintln!("monitor: container {}: its end cannot be waited for: {error}", container.id);
            }
        }
    }

    /// A number for a new container.
    pub(super) fn new_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The container, by id.
    pub(super) fn find(&mut self, id: &str) -> Option<&mut Container> {
        self.containers.get_mut(self.numbers.get(id)?)
    }

    /// Takes a container out. Its streams must have been closed or must live on in keeper.
    pub(super) fn remove(&mut self, number: u64) -> Option<Container> {
        let mut container = self.containers.remove(&number)?;
        self.numbers.remove(&container.id);
        container.close_streams(&self.epoll);
        self.epoll.remove(&container.pidfd);
        Some(container)
    }

    /// Writes to the container's journal, then tells who listens.
    pub(super) fn record(&mut self, number: u64, at_ns: i64, what: Happening) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let (entry, written) = container.journal.append(&container.folder, at_ns, what);
        if let Err(error) = written {
            eprintln!("monitor: container {}: its journal cannot be written: {error}", container.id);
        }
        self.tell(entry);
    }

    fn tell(&mut self, entry: Entry) {
        for (number, client) in &mut self.clients {
            if client.subscribed {
                client.outbox.send(Answer::News(entry.clone()), &[]);
                rearm(&self.epoll, *number, client);
            }
        }
    }

    /// Writes `started`, if that still waits.
    pub(super) fn settle_start(&mut self, number: u64) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if let Some(at_ns) = container.unwritten_start() {
            let what = Happening::Started { pid: container.pid, restarts: container.restarts };
            self.record(number, at_ns, what);
        }
    }

    fn on_output(&mut self, number: u64, is_error: bool) {
        self.settle_start(number);
        if let Some(container) = self.containers.get_mut(&number) {
            container.read_output(&self.epoll, is_error);
        }
    }

    fn accept(&mut self, listener: &Listener) {
        let accepted = listener.accept().and_then(|connection| Ok((connection.peer()?, connection)));
        match accepted {
            Ok((peer, connection)) if peer.uid == 0 || peer.uid == self.arguments.uid => {
                let number = self.new_number();
                let added = self
                    .epoll
                    .add(&connection, Token::Client(number), Watch::Level)
                    .and_then(|()| Outbox::new(connection));
                match added {
                    Ok(outbox) => {
                        let client = Client { outbox, greeted: false, subscribed: false };
                        self.clients.insert(number, client);
                    }
                    Err(error) => eprintln!("monitor: a connection cannot be used: {error}"),
                }
            }
            Ok((peer, _)) => eprintln!("monitor: refused a connection of uid {}", peer.uid),
            Err(error) => {
                eprintln!("monitor: accept: {error}");
                if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                    // The connection stays in the queue: not again at once.
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }

    fn on_client(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.outbox.flush();
        match client.outbox.connection.receive::<Request>() {
            Ok(Some((request, descriptors))) => self.answer(number, request, descriptors),
            Ok(None) => client.outbox.give_up(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                io::ErrorKind::InvalidData => {
                    let text = format!("the monitor did not understand a message, or has no descriptors left: {error}");
                    client.outbox.send(super::answer::refusal(crate::wire::RefusalKind::Exhausted, text), &[]);
                }
                _ => client.outbox.give_up(),
            },
        }
        if let Some(client) = self.clients.get_mut(&number) {
            rearm(&self.epoll, number, client);
        }
    }

    fn drop_broken_clients(&mut self) {
        self.clients.retain(|_, client| {
            if client.outbox.is_broken() {
                self.epoll.remove(&client.outbox.connection);
            }
            !client.outbox.is_broken()
        });
    }
}

/// Waits for room at the other side only while something waits for it.
fn rearm(epoll: &Epoll, number: u64, client: &mut Client) {
    let watch = if client.outbox.has_waiting() { Watch::Write } else { Watch::Level };
    if let Err(error) = epoll.modify(&client.outbox.connection, Token::Client(number), watch) {
        eprintln!("monitor: a connection cannot be watched: {error}");
        client.outbox.give_up();
    }
}
