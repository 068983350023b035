//! Pieces of work that go on behind the answer: a pull survives that the page which asked for it is left.
//!
//! In memory only: a server that ends gives them up, and nothing half made stays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sampan_engine::images::{LayerStep, PullEvent, PushEvent, PushStep};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ns;

/// Most that one team has under way.
pub const UNDER_WAY: usize = 16;
/// Most that are remembered when they ended, of all teams.
const REMEMBERED: usize = 500;
/// Most things that a piece of work notes.
const NOTES: usize = 100;

/// All of an instance.
#[derive(Debug, Default)]
pub struct Operations {
    all: Mutex<BTreeMap<u64, Arc<Operation>>>,
    next: Mutex<u64>,
    changes: watch::Sender<()>,
}

/// One piece of work.
#[derive(Debug)]
pub struct Operation {
    /// Counts up.
    pub id: u64,
    /// Whose.
    pub team_id: i64,
    /// `pull` or `push`.
    pub kind: &'static str,
    /// What image, as Docker shows it.
    pub reference: String,
    /// Nanoseconds since 1970.
    pub begun_at: i64,
    now: Mutex<Progress>,
    cancel: CancellationToken,
    changes: watch::Sender<()>,
}

/// How far a piece of work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// Its layers, by the first twelve digits of their digests, in their order.
    pub layers: Vec<(String, Layer)>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What it came to: a digest for each image.
    pub digests: Vec<String>,
    /// Nanoseconds since 1970.
    pub ended_at: Option<i64>,
}

/// Where a piece of work stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// It was given up.
    Cancelled,
    /// Why it failed.
    Failed(String),
}

impl State {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }
}

/// How far a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `waiting`, `exists`, `moving`, `done`.
    pub state: &'static str,
    /// Bytes that moved.
    pub current: u64,
    /// Of so many; 0: not known.
    pub total: u64,
}

impl Operation {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.lock().clone()
    }

    /// Gives it up.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits until it is to be given up.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layer(&self, id: String, state: &'static str, moved: Option<(u64, u64)>) {
        let mut now = self.lock();
        let place = now.layers.iter().position(|(known, _)| *known == id);
        let place = place.unwrap_or_else(|| {
            now.layers.push((id, Layer { state, current: 0, total: 0 }));
            now.layers.len() - 1
        });
        let layer = &mut now.layers[place].1;
        layer.state = state;
        if let Some((current, total)) = moved {
            (layer.current, layer.total) = (current, total);
        }
        drop(now);
        self.changes.send_replace(());
    }

    fn note(&self, text: String) {
        let mut now = self.lock();
        if now.notes.len() < NOTES {
            now.notes.push(text);
        }
        drop(now);
        self.changes.send_replace(());
    }

    /// A pull got further.
    pub fn pulling(&self, event: PullEvent) {
        let PullEvent::Layer { digest, step } = event else {
            if let PullEvent::Note(text) = event {
                self.note(text);
            }
            return;
        };
        match step {
            LayerStep::Found => self.layer(digest.short(), "waiting", None),
            LayerStep::Exists => self.layer(digest.short(), "exists", None),
            LayerStep::Downloading { current, total } => self.layer(digest.short(), "moving", Some((current, total))),
            LayerStep::Verifying | LayerStep::Downloaded => self.layer(digest.short(), "moving", None),
            LayerStep::Complete => self.layer(digest.short(), "done", None),
        }
    }

    /// A push got further.
    pub fn pushing(&self, event: PushEvent) {
        let PushEvent::Layer { diff_id, step } = event else { return };
        match step {
            PushStep::Preparing => self.layer(diff_id.short(), "waiting", None),
            PushStep::Exists | PushStep::Mounted { .. } => self.layer(diff_id.short(), "exists", None),
            PushStep::Pushing { current, total } => self.layer(diff_id.short(), "moving", Some((current, total))),
            PushStep::Pushed => self.layer(diff_id.short(), "done", None),
        }
    }

    /// It came to this.
    pub fn end(&self, state: State, digests: Vec<String>) {
        let mut now = self.lock();
        now.state = state;
        now.digests = digests;
        now.ended_at = Some(now_ns());
        drop(now);
        self.changes.send_replace(());
    }
}

impl Operations {
    /// Gives all of them up: the server ends.
    pub fn cancel_all(&self) {
        self.lock().values().for_each(|operation| operation.cancel.cancel());
    }

    /// Begins one; `None`: the team has too many under way.
    pub fn begin(&self, team_id: i64, kind: &'static str, reference: String) -> Option<Arc<Operation>> {
        let mut all = self.lock();
        let running = |operation: &&Arc<Operation>| operation.lock().state == State::Running;
        if all.values().filter(|operation| operation.team_id == team_id).filter(running).count() >= UNDER_WAY {
            return None;
        }
        while all.len() >= REMEMBERED {
            let Some(oldest) = all.values().find(|operation| !running(operation)).map(|operation| operation.id) else {
                break;
            };
            all.remove(&oldest);
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        let now = Progress {
            state: State::Running,
            layers: Vec::new(),
            notes: Vec::new(),
            digests: Vec::new(),
            ended_at: None,
        };
        let operation = Arc::new(Operation {
            id: *next,
            team_id,
            kind,
            reference,
            begun_at: now_ns(),
            now: Mutex::new(now),
            cancel: CancellationToken::new(),
            changes: self.changes.clone(),
        });
        all.insert(operation.id, operation.clone());
        self.changes.send_replace(());
        Some(operation)
    }

    /// A team's, newest first.
    pub fn of(&self, team_id: i64) -> Vec<Arc<Operation>> {
        self.lock().values().rev().filter(|operation| operation.team_id == team_id).cloned().collect()
    }

    /// One of a team's.
    pub fn find(&self, team_id: i64, id: u64) -> Option<Arc<Operation>> {
        self.lock().get(&id).filter(|operation| operation.team_id == team_id).cloned()
    }

    /// Forgets one.
    pub fn forget(&self, id: u64) {
        self.lock().remove(&id);
        self.changes.send_replace(());
    }

    /// Told whenever any of them changes, whosever it is.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Operation>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
