//! The socket, its clients, and what happens by itself. One thread that waits in poll(2).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit};
use sampan_runtime::wire::net::{Answer, Request};
use sampan_runtime::wire::socket::{Connection, Listener};
use sampan_runtime::wire::{Refusal, RefusalKind};

use super::arguments::Arguments;
use super::keeper::Keeper;
use super::networks::Networks;
use crate::networks::NetworkError;
use crate::networks::netlink::{Attributes, Socket, attribute_text};

/// The multicast group of nftables changes (NFNLGRP_NFTABLES, 7) in a mask.
const RULE_NEWS: u32 = 1 << 6;
/// nftables messages about elements and generations, which never concern a foreign chain.
const ELEMENT_NEWS: [u16; 3] = [0x0a0c, 0x0a0e, 0x0a0f];
/// Firewalls are loaded in bursts.
const SETTLING: Duration = Duration::from_millis(100);
/// An earlier `net` ends within this time once it is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often another keeper is looked for.
const KEEPER_AGAIN: Duration = Duration::from_millis(200);
/// Clients at one time: serve, spawner, and a hand.
const MOST_CLIENTS: usize = 64;

/// Runs the role until the process is ended by a signal; any signal will do.
///
/// `arguments` are those after `net`: `--state-root DIR --instance ID --uid UID [--http ADDR,…] [--pools SUBNET,…]
/// [--keeper-fd N]`.
///
/// # Errors
/// When the arguments are wrong, another `net` of this state root does not end, or the kernel refuses the table.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), NetworkError> {
    let arguments = Arguments::parse(arguments)?;
    // Executed by descriptor, it would be called by that number.
    rustix::thread::set_name(c"sampan").map_err(|error| NetworkError::system("name the process")(error.into()))?;
    raise_descriptor_limit();
    Server::start(arguments)?.serve(None)
}

/// A server that listens.
#[derive(Debug)]
pub(super) struct Server {
    networks: Networks,
    listener: Listener,
    /// News of changed rules.
    news: Socket,
    clients: Vec<Client>,
    uid: u32,
    /// Keeper was killed, and it is to be looked for another one.
    look_for_keeper: Option<Instant>,
    /// When foreign chains are looked at again.
    look_at_chains: Option<Instant>,
    /// The lock that makes us the one `net` of this state root, for as long as we live.
    _lock: File,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    greeted: bool,
}

impl Server {
    /// Adopts what is there and listens.
    pub(super) fn start(arguments: Arguments) -> Result<Self, NetworkError> {
        let lock = take_lock(&arguments.state_root)?;
        let uid = arguments.uid;
        let news = Socket::netfilter(RULE_NEWS).map_err(NetworkError::system("listen to changes of nftables"))?;
        let path = arguments.state_root.join("net.sock");
        let networks = Networks::adopt(arguments)?;
        let listener = Listener::bind(&path).map_err(NetworkError::system(format!("listen on {}", path.display())))?;
        Ok(Self {
            networks,
            listener,
            news,
            clients: Vec::new(),
            uid,
            look_for_keeper: None,
            look_at_chains: None,
            _lock: lock,
        })
    }

    /// Serves until `stop` can be read.
    pub(super) fn serve(mut self, stop: Option<BorrowedFd<'_>>) -> Result<(), NetworkError> {
        loop {
            let ready = self.wait(stop).map_err(NetworkError::system("wait for requests"))?;
            if ready.stop {
                return Ok(());
            }
            if ready.keeper_ended {
                // The reservations live on here; a new keeper starts a new `net`.
                self.networks.keeper = None;
                self.look_for_keeper = Some(Instant::now());
            }
            if self.is_succeeded() {
                return Ok(());
            }
            if ready.news {
                self.hear_news();
            }
            for place in ready.clients.into_iter().rev() {
                if !self.serve_client(place) {
                    self.clients.swap_remove(place);
                }
            }
            if ready.listener {
                self.accept();
            }
            self.look_after();
        }
    }

    /// Whether another keeper answers. It has told the `net` that listened before to end, and starts one that waits for
    /// our lock: one that did not listen yet then would be the wrong one for ever. To reach the socket is not enough: a
    /// killed keeper's is open for a moment longer than its connection.
    fn is_succeeded(&mut self) -> bool {
        let Some(at) = self.look_for_keeper.filter(|at| *at <= Instant::now()) else { return false };
        self.look_for_keeper = Some(at + KEEPER_AGAIN);
        matches!(Keeper::join(None, &self.networks.arguments.state_root), Ok(Some(_)))
    }

    fn wait(&self, stop: Option<BorrowedFd<'_>>) -> io::Result<Ready> {
        let mut polled = vec![
            PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.news.as_fd(), PollFlags::IN),
        ];
        polled.extend(
            self.clients.iter().map(|client| PollFd::from_borrowed_fd(client.connection.as_fd(), PollFlags::IN)),
        );
        // Only its end matters; answers are read where they are asked for.
        polled.extend(
            self.networks.keeper.iter().map(|keeper| PollFd::from_borrowed_fd(keeper.as_fd(), PollFlags::empty())),
        );
        polled.extend(stop.iter().map(|stop| PollFd::from_borrowed_fd(*stop, PollFlags::IN)));
        let next = self
            .look_at_chains
            .into_iter()
            .chain(self.look_for_keeper)
            .fold(self.networks.next_deadline(), Instant::min);
        let wait = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let timeout = rustix::event::Timespec::try_from(wait).ok();
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |place: usize| polled.get(place).is_some_and(|polled| !polled.revents().is_empty());
        let after_clients = 2 + self.clients.len();
        let keepers = usize::from(self.networks.keeper.is_some());
        Ok(Ready {
            listener: is_ready(0),
            news: is_ready(1),
            clients: (0..self.clients.len()).filter(|place| is_ready(2 + place)).collect(),
            keeper_ended: keepers == 1 && is_ready(after_clients),
            stop: stop.is_some() && is_ready(after_clients + keepers),
        })
    }

    fn accept(&mut self) {
        let accepted = self.listener.accept().and_then(|connection| {
            let peer = connection.peer()?;
            connection.set_nonblocking(true)?;
            Ok((peer, connection))
        });
        match accepted {
            Ok((peer, _)) if peer.uid != 0 && peer.uid != self.uid => {
                eprintln!("net: refused a connection of uid {}", peer.uid);
            }
            Ok(_) if self.clients.len() >= MOST_CLIENTS => eprintln!("net: refused one connection too many"),
            Ok((_, connection)) => self.clients.push(Client { connection, greeted: false }),
            Err(error) => eprintln!("net: accept: {error}"),
        }
    }

    /// Answers what a client sent; `false` when it is done with.
    fn serve_client(&mut self, place: usize) -> bool {
        let Some(client) = self.clients.get_mut(place) else { return false };
        match client.connection.receive::<Request>() {
            Ok(Some((request, descriptors))) => {
                let is_hello = matches!(request, Request::Hello { .. });
                let answer = if client.greeted || is_hello {
                    client.greeted = true;
                    self.networks.answer(request, descriptors)
                } else {
                    refusal("the first message must be a hello")
                };
                let sent = self.clients[place].connection.send(&answer, &[]);
                sent.inspect_err(|error| eprintln!("net: an answer was not taken: {error}")).is_ok()
            }
            Ok(None) => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => {
                let answer = refusal(&format!("not understood: {error}"));
                let _ = client.connection.send(&answer, &[]);
                false
            }
        }
    }

    /// Notes whether rules of others changed.
    fn hear_news(&mut self) {
        let ours = self.networks.table();
        let mut foreign = false;
        let heard = self.news.drain(|kind, payload| {
            let table = Attributes::after(payload, 4).find(1).map(attribute_text);
            foreign |= !ELEMENT_NEWS.contains(&kind) && table.as_deref() != Some(&ours);
        });
        if foreign || heard.is_err() {
            self.look_at_chains.get_or_insert(Instant::now() + SETTLING);
        }
    }

    fn look_after(&mut self) {
        let now = Instant::now();
        if self.look_at_chains.is_some_and(|at| at <= now) {
            self.look_at_chains = None;
            if let Err(error) = self.networks.open_foreign_chains() {
                eprintln!("net: {}", Refusal::from(error));
            }
        }
        if self.networks.next_deadline() <= now
            && let Err(error) = self.networks.look_after()
        {
            eprintln!("net: {}", Refusal::from(error));
        }
    }
}

/// What one wait found.
#[derive(Debug, Default)]
struct Ready {
    listener: bool,
    news: bool,
    clients: Vec<usize>,
    keeper_ended: bool,
    stop: bool,
}

fn refusal(message: &str) -> Answer {
    Answer::Refused(Refusal { kind: RefusalKind::Invalid, message: message.to_owned() })
}

/// Waits for an earlier `net`, which keeper has told to end.
fn take_lock(state_root: &Path) -> Result<File, NetworkError> {
    let path = state_root.join("net.lock");
    let failed = || NetworkError::system(format!("lock {}", path.display()));
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(failed()(error.into())),
        }
    }
}

/// Every published port is a descriptor.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        eprintln!("net: the limit of descriptors stays at {:?}: {error}", limit.current);
    }
}
