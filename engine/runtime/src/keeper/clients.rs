//! Connections to keeper: who they are, and what could not be sent to them yet.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::wire::keeper::{Answer, Role};
use crate::wire::socket::Connection;

/// Messages that wait for a slow client before it is cut off.
const WAITING: usize = 4096;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Counts up; never used twice.
    pub(super) id: u64,
    pub(super) connection: Connection,
    /// As of its `hello`.
    pub(super) role: Option<Role>,
    waiting: VecDeque<(Answer, Vec<OwnedFd>)>,
    pub(super) broken: bool,
}

impl Client {
    pub(super) fn new(id: u64, connection: Connection) -> io::Result<Self> {
        connection.set_nonblocking(true)?;
        Ok(Self { id, connection, role: None, waiting: VecDeque::new(), broken: false })
    }

    /// Whether something waits to be sent.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends now, or as soon as the client takes it.
    pub(super) fn send(&mut self, answer: Answer, descriptors: &[OwnedFd]) {
        if self.waiting.is_empty() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            match self.connection.send(&answer, &borrowed) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        match descriptors.iter().map(OwnedFd::try_clone).collect() {
            Ok(copies) if self.waiting.len() < WAITING => self.waiting.push_back((answer, copies)),
            _ => self.broken = true,
        }
    }

    /// Sends what waited, as far as the client takes it.
    pub(super) fn flush(&mut self) {
        while let Some((answer, descriptors)) = self.waiting.front() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            match self.connection.send(answer, &borrowed) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    /// Monitors come first: what they let go of must be gone before spawner puts something new under the same name.
    pub(super) fn rank(&self) -> u8 {
        match self.role {
            Some(Role::Monitor { .. }) => 0,
            _ => 1,
        }
    }
}
