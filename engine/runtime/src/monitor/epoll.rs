//! The set of descriptors that the loop waits for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// Events taken in one go.
const EVENTS: usize = 64;

/// Whose event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Signals,
    Keeper,
    Spawner,
    /// A client by its number.
    Client(u64),
    /// Standard output (or the terminal) of a container by its number.
    Stdout(u64),
    Stderr(u64),
    Pidfd(u64),
}

impl Token {
    fn encode(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::Signals => 1 << 3,
            Self::Keeper => 2 << 3,
            Self::Spawner => 3 << 3,
            Self::Client(number) => number << 3 | 1,
            Self::Stdout(number) => number << 3 | 2,
            Self::Stderr(number) => number << 3 | 3,
            Self::Pidfd(number) => number << 3 | 4,
        }
    }

    fn decode(value: u64) -> Self {
        let number = value >> 3;
        match (value & 7, number) {
            (1, _) => Self::Client(number),
            (2, _) => Self::Stdout(number),
            (3, _) => Self::Stderr(number),
            (4, _) => Self::Pidfd(number),
            (_, 1) => Self::Signals,
            (_, 2) => Self::Keeper,
            (_, 3) => Self::Spawner,
            _ => Self::Listener,
        }
    }
}

/// How a descriptor is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// Told as long as there is something to read.
    Level,
    /// Told only when something happens: for streams that nobody has open now, but somebody may open again.
    Edge,
    /// To read, and as soon as it can be written to.
    Write,
}

impl Watch {
    fn flags(self) -> EventFlags {
        match self {
            Self::Level => EventFlags::IN,
            Self::Edge => EventFlags::IN | EventFlags::ET,
            Self::Write => EventFlags::IN | EventFlags::OUT,
        }
    }
}

/// An epoll set. What is removed must be said: keeper holds duplicates, so closing ours alone does not take it out.
#[derive(Debug)]
pub(super) struct Epoll {
    set: OwnedFd,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { set: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(super) fn add(&self, descriptor: impl AsFd, token: Token, watch: Watch) -> io::Result<()> {
        Ok(epoll::add(&self.set, descriptor, EventData::new_u64(token.encode()), watch.flags())?)
    }

    pub(super) fn modify(&self, descriptor: impl AsFd, token: Token, watch: Watch) -> io::Result<()> {
        Ok(epoll::modify(&self.set, descriptor, EventData::new_u64(token.encode()), watch.flags())?)
    }

    /// Takes a descriptor out; one that is not in is no error.
    pub(super) fn remove(&self, descriptor: impl AsFd) {
        match epoll::delete(&self.set, descriptor) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => eprintln!("monitor: a descriptor cannot be let go of: {error}"),
        }
    }

    /// Waits for events.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Token>> {
        let mut events = Vec::<Event>::with_capacity(EVENTS);
        let timeout = timeout.map(rustix::event::Timespec::try_from).and_then(Result::ok);
        match epoll::wait(&self.set, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) => Ok(events.iter().map(|event| Token::decode(event.data.u64())).collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        for token in [
            Token::Listener,
            Token::Signals,
            Token::Keeper,
            Token::Spawner,
            Token::Client(7),
            Token::Stdout(0),
            Token::Stderr(1 << 40),
            Token::Pidfd(3),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
