//! A connection whose other side may be slow: what it does not take now waits, within bounds.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;

use super::socket::Connection;

/// Messages that wait for a slow peer before it is given up.
const WAITING: usize = 4096;

/// A non-blocking connection and the messages that wait for it.
#[derive(Debug)]
pub struct Outbox<M> {
    /// The connection, to receive from.
    pub connection: Connection,
    waiting: VecDeque<(M, Vec<OwnedFd>)>,
    broken: bool,
}

impl<M: Serialize> Outbox<M> {
    /// Makes the connection non-blocking.
    ///
    /// # Errors
    /// As ioctl(2), FIONBIO.
    pub fn new(connection: Connection) -> io::Result<Self> {
        connection.set_nonblocking(true)?;
        Ok(Self { connection, waiting: VecDeque::new(), broken: false })
    }

    /// Whether something waits to be sent.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the peer is gone or far too slow.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Gives the peer up.
    pub fn give_up(&mut self) {
        self.broken = true;
    }

    /// Sends now, or as soon as the peer takes it; descriptors that have to wait are duplicated.
    pub fn send(&mut self, message: M, descriptors: &[BorrowedFd<'_>]) {
        if self.waiting.is_empty() && self.try_send(&message, descriptors) {
            return;
        }
        match descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect() {
            Ok(copies) if self.waiting.len() < WAITING => self.waiting.push_back((message, copies)),
            _ => self.broken = true,
        }
    }

    /// Sends what waited, as far as the peer takes it.
    pub fn flush(&mut self) {
        while let Some((message, descriptors)) = self.waiting.pop_front() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            if !self.try_send(&message, &borrowed) {
                self.waiting.push_front((message, descriptors));
                return;
            }
        }
    }

    /// `false`: not now.
    fn try_send(&mut self, message: &M, descriptors: &[BorrowedFd<'_>]) -> bool {
        match self.connection.send(message, descriptors) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.broken = true;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_and_keeps_its_order() -> anyhow::Result<()> {
        let (one, other) = Connection::pair()?;
        let mut outbox = Outbox::<u32>::new(one)?;
        for number in 0..2000 {
            outbox.send(number, &[]);
        }
        assert!(outbox.has_waiting());
        for expected in 0..2000 {
            assert_eq!(other.receive::<u32>()?.map(|(number, _)| number), Some(expected));
            outbox.flush();
        }
        assert!(!outbox.has_waiting() && !outbox.is_broken());
        Ok(())
    }
}
