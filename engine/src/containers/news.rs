//! Takes in what monitors tell and what journals hold: the one way a state changes by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sampan_runtime::journal;
use sampan_runtime::wire::monitor::{Answer, Entry, Happening};
use tokio::sync::mpsc;

use super::table::{Seen, Slot};
use super::{Container, State};
use crate::engine::Shared;
use crate::events::{Action, Event, Noun};
use crate::processes::Told;

/// Said when the exit status was lost with keeper.
const UNKNOWN: &str = "nobody could learn its exit status: the process that watched it was gone";

/// Takes everything in, as it comes.
pub(crate) async fn take_all(shared: Arc<Shared>, mut told: mpsc::UnboundedReceiver<Told>) {
    while let Some(told) = told.recv().await {
        match told {
            Told::News(Answer::News(entry)) => shared.take_news(entry),
            Told::News(_) => {}
            Told::Back { team } => shared.replay_team(&team),
            Told::Mark(done) => drop(done.send(())),
        }
    }
}

impl Shared {
    /// One piece of news. When some before it are missing, the journal has them.
    pub(super) fn take_news(self: &Arc<Self>, entry: Entry) {
        let Some(slot) = self.table.by_id(&entry.id) else { return };
        slot.reported.store(true, Ordering::Relaxed);
        let known = slot.now().run.journal_sequence;
        if entry.sequence > known + 1 {
            self.replay(&slot);
        }
        self.take(&slot, &entry);
    }

    /// Reads the journals of a team's containers.
    fn replay_team(self: &Arc<Self>, team: &str) {
        for slot in self.table.all() {
            if slot.now().owner.key == team {
                self.replay(&slot);
            }
        }
    }

    /// Takes in what the journal has beyond what is known.
    pub(super) fn replay(self: &Arc<Self>, slot: &Arc<Slot>) {
        let container = slot.now();
        match journal::read_after(&self.container_folder(&container.id), container.run.journal_sequence) {
            Ok(entries) => entries.iter().for_each(|entry| self.take(slot, entry)),
            Err(error) => tracing::error!(container.id = container.id, %error, "a journal cannot be read"),
        }
    }

    fn take(self: &Arc<Self>, slot: &Arc<Slot>, entry: &Entry) {
        let mut told = Vec::new();
        let (mut started, mut ended) = (false, false);
        let container = slot.change_seen(|seen, container| {
            // Inside of the change: two who replay the same entry must not both tell it.
            if entry.sequence <= container.run.journal_sequence {
                return;
            }
            container.run.journal_sequence = entry.sequence;
            let actions = apply(seen, container, entry);
            started = matches!(&entry.what, Happening::Started { .. });
            ended = matches!(&entry.what, Happening::Ended { .. } | Happening::RestartFailed { .. })
                && container.state == State::Exited;
            if ended {
                // Before anybody sees the end: a start that follows at once must let go of the old run first.
                slot.needs_release.store(true, Ordering::Release);
            }
            told = actions;
        });
        if let Happening::OutputLost = entry.what {
            tracing::warn!(container.id = entry.id, "output was lost while its monitor was away");
        }
        if told.is_empty() && !ended {
            return;
        }
        self.runs.write(&container);
        for (action, more) in told {
            if action == Action::Start {
                self.tell_joined(&container, entry.at_ns);
            }
            self.tell(&container, entry.at_ns, action, more);
            if action == Action::Die {
                self.tell_left(&container, entry.at_ns);
            }
        }
        if started {
            self.probe_from_now(slot);
        }
        if ended {
            self.finish_later(slot.clone());
        }
    }

    /// Tells an event of a container.
    pub(super) fn tell(
        &self,
        container: &Container,
        at_ns: i64,
        action: Action,
        more: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut attributes: BTreeMap<String, String> = container.resolved.labels.clone();
        attributes.insert("name".into(), container.name.clone());
        attributes.insert("image".into(), container.config.image.clone());
        attributes.extend(more);
        self.events.tell(Event {
            at_ns,
            team_id: container.owner.team_id,
            noun: Noun::Container,
            action,
            id: container.id.clone(),
            attributes,
        });
    }
}

/// An event to be: what, and attributes beside the usual ones.
type Telling = (Action, Vec<(String, String)>);

/// Changes a container as an entry says; gives the events.
fn apply(seen: &mut Seen, container: &mut Container, entry: &Entry) -> Vec<Telling> {
    match &entry.what {
        Happening::Started { pid, restarts } => {
            let run = &mut container.run;
            // A pause may have come before the news of the start.
            if !(container.state == State::Paused && run.pid == Some(*pid)) {
                container.state = State::Running;
            }
            run.pid = Some(*pid);
            run.restarts = *restarts;
            run.started_at_ns = Some(entry.at_ns);
            run.exit_code = None;
            run.out_of_memory = false;
            run.error.clear();
            seen.starts += 1;
            vec![(Action::Start, Vec::new())]
        }
        Happening::Ended { code, out_of_memory, restart_in_ms } => {
            let run = &mut container.run;
            let lived = run.started_at_ns.map_or(0, |start| (entry.at_ns - start).max(0) / 1_000_000_000);
            run.pid = None;
            run.unprobed();
            run.exit_code = *code;
            run.out_of_memory = *out_of_memory;
            run.finished_at_ns = Some(entry.at_ns);
            if code.is_none() {
                UNKNOWN.clone_into(&mut run.error);
            }
            container.state = if restart_in_ms.is_some() { State::Restarting } else { State::Exited };
            seen.exits += 1;
            seen.code = *code;
            let code = code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            let mut told = Vec::new();
            if *out_of_memory {
                told.push((Action::Oom, Vec::new()));
            }
            told.push((Action::Die, vec![("exitCode".into(), code), ("execDuration".into(), lived.to_string())]));
            told
        }
        Happening::RestartFailed { message, restart_in_ms } => {
            container.run.error.clone_from(message);
            container.run.pid = None;
            container.state = if restart_in_ms.is_some() { State::Restarting } else { State::Exited };
            tracing::warn!(container.id = container.id, message, "a restart failed");
            Vec::new()
        }
        Happening::OutputLost | Happening::StdinClosed => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sampan_runtime::wire::monitor::{Entry, Happening};

    use super::{Seen, apply};
    use crate::containers::State;
    use crate::containers::table::tests::container;
    use crate::events::Action;

    fn entry(at_ns: i64, what: Happening) -> Entry {
        Entry { id: "a".into(), at_ns, sequence: 1, what }
    }

    #[test]
    fn a_life_with_a_restart_is_counted_and_told() {
        let mut it = container("a", "web", 1);
        let mut seen = Seen { container: Arc::new(it.clone()), exits: 0, starts: 0, code: None, removed: false };
        let mut step = |at_ns, what| apply(&mut seen, &mut it, &entry(at_ns, what));

        let start = step(5_000_000_000, Happening::Started { pid: 7, restarts: 0 });
        assert_eq!(start, [(Action::Start, Vec::new())]);
        let end =
            step(8_000_000_000, Happening::Ended { code: Some(137), out_of_memory: true, restart_in_ms: Some(100) });
        assert_eq!(end[0].0, Action::Oom);
        assert_eq!(end[1], (Action::Die, vec![("exitCode".into(), "137".into()), ("execDuration".into(), "3".into())]));
        step(9_000_000_000, Happening::Started { pid: 8, restarts: 1 });
        step(9_500_000_000, Happening::Ended { code: None, out_of_memory: false, restart_in_ms: None });

        assert_eq!((it.state, it.run.restarts, it.run.exit_code), (State::Exited, 1, None));
        assert!(it.run.error.contains("exit status"));
        assert_eq!((seen.exits, seen.starts, seen.code), (2, 2, None));
    }

    #[test]
    fn late_news_of_a_start_does_not_undo_a_pause() {
        let mut it = container("a", "web", 1);
        let mut seen = Seen { container: Arc::new(it.clone()), exits: 0, starts: 0, code: None, removed: false };
        (it.state, it.run.pid) = (State::Paused, Some(7));
        apply(&mut seen, &mut it, &entry(5, Happening::Started { pid: 7, restarts: 0 }));
        assert_eq!((it.state, seen.starts), (State::Paused, 1));
        apply(&mut seen, &mut it, &entry(6, Happening::Started { pid: 8, restarts: 1 }));
        assert_eq!(it.state, State::Running);
    }
}
