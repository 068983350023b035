//! Tells events to everyone who listens, and remembers the last [`KEPT`].

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, StreamExt};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::Event;

/// Events remembered for `since` and `until`; older ones are forgotten. 4,096 of about 500 bytes are 2 MB.
pub const KEPT: usize = 4096;
/// Events a slow listener may be behind before it loses the oldest.
const BEHIND: usize = 1024;

/// Events, oldest first.
pub type EventStream = Pin<Box<dyn Stream<Item = Arc<Event>> + Send>>;

/// The events of one engine.
#[derive(Debug, Clone)]
pub struct Events {
    bus: Arc<Bus>,
}

#[derive(Debug)]
struct Bus {
    sender: broadcast::Sender<Arc<Event>>,
    kept: Mutex<VecDeque<Arc<Event>>>,
}

/// Which events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only this team's; `None`: all teams' (the administrator's view).
    pub team_id: Option<i64>,
    /// Remembered ones from here on, nanoseconds since 1970; `None`: only new ones.
    pub since_ns: Option<i64>,
    /// Ends the stream here; a time that is past already gives remembered ones only.
    pub until_ns: Option<i64>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self { bus: Arc::new(Bus { sender: broadcast::Sender::new(BEHIND), kept: Mutex::default() }) }
    }

    /// Tells one event.
    pub fn tell(&self, event: Event) {
        let event = Arc::new(event);
        let mut kept = self.bus.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Under the lock, so that nobody sees an event twice or not at all between the memory and the broadcast.
        // No listener is no error.
        let _ = self.bus.sender.send(event);
    }

    /// The last `most` remembered events of a team that changed something, newest first: not those of further processes
    /// (a health check makes three every few seconds), nor of clients that only looked.
    pub fn recent(&self, team_id: i64, most: usize) -> Vec<Arc<Event>> {
        let kept = self.bus.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |event: &&Arc<Event>| event.team_id == team_id && event.action.changes_something();
        kept.iter().rev().filter(wanted).take(most).cloned().collect()
    }

    /// Remembered events, then new ones as they come. A listener that is too slow loses the oldest, never blocks.
    pub fn stream(&self, query: EventQuery) -> EventStream {
        let (receiver, past) = {
            let kept = self.bus.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let past: Vec<_> = match query.since_ns {
                Some(since) => kept.iter().filter(|event| event.at_ns >= since).cloned().collect(),
                None => Vec::new(),
            };
            (self.bus.sender.subscribe(), past)
        };
        let wanted = move |event: &Arc<Event>| {
            query.team_id.is_none_or(|team| team == event.team_id)
                && query.until_ns.is_none_or(|until| event.at_ns <= until)
        };
        let new = BroadcastStream::new(receiver).filter_map(|event| async {
            match event {
                Ok(event) => Some(event),
                Err(BroadcastStreamRecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a listener to events is too slow and lost some");
                    None
                }
            }
        });
        // The remembered ones are all given, however long that takes; only the waiting for new ones ends at the time.
        let new = new.take_until(sleep_until(query.until_ns));
        Box::pin(futures_util::stream::iter(past).chain(new).filter(move |event| {
            let wanted = wanted(event);
            async move { wanted }
        }))
    }
}

async fn sleep_until(at_ns: Option<i64>) {
    let Some(at_ns) = at_ns else { return std::future::pending().await };
    let left = at_ns.saturating_sub(crate::clock::now_ns());
    tokio::time::sleep(std::time::Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::StreamExt;

    use super::{EventQuery, Events, KEPT};
    use crate::events::{Action, Event, Noun};

    fn event(at_ns: i64, team_id: i64) -> Event {
        Event {
            at_ns,
            team_id,
            noun: Noun::Container,
            action: Action::Start,
            id: String::new(),
            attributes: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_listener_gets_what_was_and_what_comes_of_its_team_only() {
        let events = Events::new();
        events.tell(event(1, 7));
        events.tell(event(2, 8));
        events.tell(event(3, 7));
        let mut stream = events.stream(EventQuery { team_id: Some(7), since_ns: Some(2), until_ns: None });
        events.tell(event(4, 8));
        events.tell(event(5, 7));

        assert_eq!(stream.next().await.map(|event| event.at_ns), Some(3));
        assert_eq!(stream.next().await.map(|event| event.at_ns), Some(5));
    }

    #[test]
    fn recent_ones_are_those_that_changed_something() {
        let events = Events::new();
        events.tell(event(1, 7));
        events.tell(event(2, 8));
        events.tell(Event { action: Action::ExecDie, ..event(3, 7) });
        events.tell(Event { action: Action::HealthStatus, ..event(4, 7) });
        assert_eq!(events.recent(7, 9).iter().map(|event| event.at_ns).collect::<Vec<_>>(), [4, 1]);
        assert_eq!(events.recent(7, 1).len(), 1);
    }

    #[tokio::test]
    async fn until_in_the_past_ends_the_stream() {
        let events = Events::new();
        events.tell(event(1, 7));
        events.tell(event(9, 7));
        let stream = events.stream(EventQuery { team_id: None, since_ns: Some(0), until_ns: Some(5) });

        assert_eq!(stream.map(|event| event.at_ns).collect::<Vec<_>>().await, [1]);
    }

    #[tokio::test]
    async fn a_slow_listener_gets_all_that_is_remembered_of_a_past_time() {
        let events = Events::new();
        (0..3).for_each(|at| events.tell(event(at, 7)));
        let mut stream = events.stream(EventQuery { team_id: None, since_ns: Some(0), until_ns: Some(5) });
        for at in 0..3 {
            assert_eq!(stream.next().await.map(|event| event.at_ns), Some(at));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let events = Events::new();
        for at in 0..=i64::try_from(KEPT).expect("small") {
            events.tell(event(at, 7));
        }
        let stream = events.stream(EventQuery { team_id: None, since_ns: Some(0), until_ns: Some(1) });

        assert_eq!(stream.map(|event| event.at_ns).collect::<Vec<_>>().await, [1]);
    }
}
