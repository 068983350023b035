//! Tickets for websockets: a browser cannot send a header with one, and a cookie alone must not be enough.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::caller::{Caller, Door};
use super::secret::{Secret, hash};

/// A ticket is good for so long.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// Tickets that may be out at a time.
const OUT: usize = 4096;

/// Tickets that are out. Each is good once.
#[derive(Debug, Default)]
pub struct Tickets {
    out: Mutex<HashMap<[u8; 32], (Caller, Instant)>>,
}

impl Tickets {
    /// A ticket for `caller`; `None`: too many are out.
    pub fn issue(&self, caller: &Caller) -> Option<Secret> {
        self.issue_at(caller, Instant::now())
    }

    /// Whose ticket it is. It is used up.
    pub fn take(&self, ticket: &str) -> Option<Caller> {
        self.take_at(ticket, Instant::now())
    }

    fn issue_at(&self, caller: &Caller, now: Instant) -> Option<Secret> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, (_, until)| *until > now);
        if out.len() >= OUT {
            return None;
        }
        let ticket = Secret::new("");
        out.insert(hash(ticket.expose()), (caller.clone().at(Door::Rest), now + GOOD_FOR));
        Some(ticket)
    }

    fn take_at(&self, ticket: &str, now: Instant) -> Option<Caller> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (caller, until) = out.remove(&hash(ticket))?;
        (until > now).then_some(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_thirty_seconds() {
        let (tickets, caller, now) = (Tickets::default(), Caller::command_line(), Instant::now());
        let ticket = tickets.issue_at(&caller, now).unwrap();
        assert!(tickets.take_at("other", now).is_none());
        assert!(tickets.take_at(ticket.expose(), now).is_some());
        assert!(tickets.take_at(ticket.expose(), now).is_none());

        let late = tickets.issue_at(&caller, now).unwrap();
        assert!(tickets.take_at(late.expose(), now + GOOD_FOR).is_none());
    }

    #[test]
    fn no_more_than_a_bounded_number_are_out() {
        let (tickets, caller, now) = (Tickets::default(), Caller::command_line(), Instant::now());
        for _ in 0..OUT {
            assert!(tickets.issue_at(&caller, now).is_some());
        }
        assert!(tickets.issue_at(&caller, now).is_none());
        assert!(tickets.issue_at(&caller, now + GOOD_FOR).is_some());
    }
}
