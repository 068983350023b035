//! Connections to keeper: who they are.

use std::io;

use crate::wire::keeper::{Answer, Role};
use crate::wire::outbox::Outbox;
use crate::wire::socket::Connection;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Counts up; never used twice.
    pub(super) id: u64,
    pub(super) outbox: Outbox<Answer>,
    /// As of its `hello`.
    pub(super) role: Option<Role>,
}

impl Client {
    pub(super) fn new(id: u64, connection: Connection) -> io::Result<Self> {
        Ok(Self { id, outbox: Outbox::new(connection)?, role: None })
    }

    /// Sends an answer without descriptors.
    pub(super) fn send(&mut self, answer: Answer) {
        self.outbox.send(answer, &[]);
    }

    /// Monitors come first: what they let go of must be gone before spawner puts something new under the same name.
    pub(super) fn rank(&self) -> u8 {
        match self.role {
            Some(Role::Monitor { .. }) => 0,
            _ => 1,
        }
    }
}
