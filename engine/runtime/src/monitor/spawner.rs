//! Asks spawner to start a container again, without the daemon.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::epoll::{Epoll, Token, Watch};
use crate::wire::outbox::Outbox;
use crate::wire::socket::Connection;
use crate::wire::spawner::{Answer, Request};
use crate::wire::{Refusal, VERSION};

/// The connection, made when it is needed.
#[derive(Debug, Default)]
pub(super) struct SpawnerLink {
    outbox: Option<Outbox<Request>>,
    /// Whose start is asked for, in order.
    pending: VecDeque<String>,
}

/// What became of a start.
#[derive(Debug)]
pub(super) enum Outcome {
    Started,
    Refused(Refusal),
    /// Spawner is away: nothing is known.
    Away,
}

impl SpawnerLink {
    /// Asks for a start; `false` when spawner is away.
    pub(super) fn start(&mut self, id: &str, epoll: &Epoll) -> bool {
        if self.outbox.is_none() {
            self.outbox = connect(epoll).ok();
        }
        let Some(outbox) = &mut self.outbox else { return false };
        outbox.send(Request::Start { id: id.to_owned(), next: Vec::new() }, &[]);
        self.pending.push_back(id.to_owned());
        self.rearm(epoll);
        true
    }

    /// What is known now about starts that were asked for.
    pub(super) fn receive(&mut self, epoll: &Epoll) -> Vec<(String, Outcome)> {
        let mut known = Vec::new();
        while let Some(outbox) = &mut self.outbox {
            outbox.flush();
            match outbox.connection.receive::<Answer>() {
                Ok(Some((Answer::Welcome { .. }, _))) => {}
                Ok(Some((Answer::Refused(refusal), _))) => {
                    known.extend(self.pending.pop_front().map(|id| (id, Outcome::Refused(refusal))));
                }
                Ok(Some(_)) => known.extend(self.pending.pop_front().map(|id| (id, Outcome::Started))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rearm(epoll);
                    break;
                }
                Ok(None) | Err(_) => {
                    epoll.remove(&outbox.connection);
                    self.outbox = None;
                    known.extend(self.pending.drain(..).map(|id| (id, Outcome::Away)));
                }
            }
        }
        known
    }

    fn rearm(&self, epoll: &Epoll) {
        let Some(outbox) = &self.outbox else { return };
        let watch = if outbox.has_waiting() { Watch::Write } else { Watch::Level };
        if let Err(error) = epoll.modify(&outbox.connection, Token::Spawner, watch) {
            eprintln!("monitor: the connection to spawner cannot be watched: {error}");
        }
    }
}

fn connect(epoll: &Epoll) -> io::Result<Outbox<Request>> {
    let connection = Connection::connect(Path::new("spawner.sock"))?;
    epoll.add(&connection, Token::Spawner, Watch::Level)?;
    let mut outbox = Outbox::new(connection)?;
    outbox.send(Request::Hello { version: VERSION }, &[]);
    Ok(outbox)
}
