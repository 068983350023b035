//! The connection to keeper: lost with it, found again when there is a new one.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::container::{Container, Phase};
use super::epoll::{Epoll, Token, Watch};
use crate::wire::VERSION;
use crate::wire::keeper::{Answer, Request, Role, Watched};
use crate::wire::outbox::Outbox;
use crate::wire::socket::Connection;

/// How often a new keeper is looked for.
const RETRY: Duration = Duration::from_millis(200);

/// The link.
#[derive(Debug)]
pub(super) struct KeeperLink {
    team: String,
    outbox: Option<Outbox<Request>>,
    retry_at: Instant,
}

impl KeeperLink {
    /// Over a connection on which the hello was answered.
    pub(super) fn new(team: String, connection: Connection, epoll: &Epoll) -> io::Result<Self> {
        epoll.add(&connection, Token::Keeper, Watch::Level)?;
        Ok(Self { team, outbox: Some(Outbox::new(connection)?), retry_at: Instant::now() })
    }

    /// Whether there is a keeper.
    pub(super) fn is_up(&self) -> bool {
        self.outbox.is_some()
    }

    /// When to look for a new one.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.outbox.is_none().then_some(self.retry_at)
    }

    /// The next message, `None` when there is none now.
    pub(super) fn receive(&mut self, epoll: &Epoll) -> Option<Answer> {
        let outbox = self.outbox.as_mut()?;
        outbox.flush();
        match outbox.connection.receive::<Answer>() {
            Ok(Some((answer, _))) => return Some(answer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.rearm(epoll);
                return None;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                eprintln!("monitor: a message of keeper was not understood: {error}");
                return None;
            }
            Ok(None) | Err(_) => {}
        }
        self.lose(epoll);
        None
    }

    /// Keeps the container's descriptors at keeper.
    pub(super) fn put(&mut self, container: &Container, epoll: &Epoll) {
        let name = |what| format!("container/{}/{what}", container.id);
        self.send(Request::Put { name: name("folder") }, &[container.folder.as_fd()], epoll);
        self.send(Request::Put { name: name("pidfd") }, &[container.pidfd.as_fd()], epoll);
        self.put_streams(container, epoll);
    }

    /// Keeps its streams, as they are now.
    pub(super) fn put_streams(&mut self, container: &Container, epoll: &Epoll) {
        let name = format!("container/{}/stdio", container.id);
        self.send(Request::Put { name }, &container.streams.kept(), epoll);
    }

    /// The end of this run was dealt with.
    pub(super) fn confirm(&mut self, id: &str, pid: i32, epoll: &Epoll) {
        self.send(Request::Confirm { id: id.to_owned(), pid }, &[], epoll);
    }

    /// Looks for a new keeper; with one, everything is put back. `true`: there is one now.
    pub(super) fn reconnect<'all>(&mut self, containers: impl Iterator<Item = &'all Container>, epoll: &Epoll) -> bool {
        if self.outbox.is_some() || self.retry_at > Instant::now() {
            return false;
        }
        self.retry_at = Instant::now() + RETRY;
        let Ok(connection) = Connection::connect(Path::new("keeper.sock")) else { return false };
        let added = epoll.add(&connection, Token::Keeper, Watch::Level);
        let Some(outbox) = added.and_then(|()| Outbox::new(connection)).ok() else { return false };
        self.outbox = Some(outbox);
        self.send(Request::Hello { version: VERSION, role: Role::Monitor { team: self.team.clone() } }, &[], epoll);
        for container in containers {
            self.put(container, epoll);
            if matches!(container.phase, Phase::Running { .. }) {
                let what = Watched::Container { id: container.id.clone() };
                let watch = Request::Watch { pid: container.pid, team: self.team.clone(), what };
                self.send(watch, &[container.pidfd.as_fd()], epoll);
            }
        }
        self.outbox.is_some()
    }

    fn send(&mut self, request: Request, descriptors: &[std::os::fd::BorrowedFd<'_>], epoll: &Epoll) {
        let Some(outbox) = &mut self.outbox else { return };
        outbox.send(request, descriptors);
        if outbox.is_broken() {
            self.lose(epoll);
        } else {
            self.rearm(epoll);
        }
    }

    fn rearm(&mut self, epoll: &Epoll) {
        let Some(outbox) = &self.outbox else { return };
        let watch = if outbox.has_waiting() { Watch::Write } else { Watch::Level };
        if let Err(error) = epoll.modify(&outbox.connection, Token::Keeper, watch) {
            eprintln!("monitor: the connection to keeper cannot be watched: {error}");
        }
    }

    fn lose(&mut self, epoll: &Epoll) {
        if let Some(outbox) = self.outbox.take() {
            eprintln!("monitor: keeper is gone");
            epoll.remove(&outbox.connection);
            self.retry_at = Instant::now();
        }
    }
}
