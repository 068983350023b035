//! What all tabs of a container show above them.

use sampan_engine::containers::{Container, State};

use super::super::words::{Look, duration, now_ns};
use crate::texts::Texts;

/// Name, state, one line of facts, and which tab is open.
#[derive(Debug, Clone)]
pub struct Head {
    /// Whole id.
    pub id: String,
    /// First 12 digits.
    pub short_id: String,
    /// Its name.
    pub name: String,
    /// Reference of its image as typed.
    pub image: String,
    /// Class of the state's shape.
    pub tone: &'static str,
    /// Class of the badge.
    pub badge: &'static str,
    /// The state's word.
    pub word: String,
    /// Since when, or why.
    pub since: String,
    /// Its main process is alive.
    pub running: bool,
    /// It is frozen.
    pub paused: bool,
    /// `overview`, `logs`, …
    pub tab: &'static str,
}

impl Head {
    /// The head of `container` above the tab `tab`.
    pub fn of(container: &Container, t: Texts, tab: &'static str) -> Self {
        let now = now_ns();
        let look = Look::of(container, t, now);
        let since = match (container.state, container.run.started_at_ns) {
            (state, Some(at)) if state.is_alive() => format!("{} {}", t.get("uptime"), duration(t, now - at)),
            _ => look.reason.clone(),
        };
        let badge = match look.tone {
            "running" => "ok",
            "restarting" => "warn",
            "failed" | "unhealthy" => "bad",
            _ => "",
        };
        Self {
            id: container.id.clone(),
            short_id: container.id.chars().take(12).collect(),
            name: container.name.clone(),
            image: container.config.image.clone(),
            tone: look.tone,
            badge,
            word: look.word,
            since,
            running: container.state.is_alive() || container.state == State::Restarting,
            paused: container.state == State::Paused,
            tab,
        }
    }
}
