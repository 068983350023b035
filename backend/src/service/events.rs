//! What happens in a team.

use std::sync::Arc;

use sampan_engine::events::{Event, EventQuery, EventStream};

use crate::app::App;
use crate::policy::action::Watch;
use crate::policy::{Events, Granted};

/// The team's events from `since_ns` on (`None`: from now on) until `until_ns`.
pub fn watch(app: &App, target: &Granted<Watch, Events>, since_ns: Option<i64>, until_ns: Option<i64>) -> EventStream {
    app.engine.events().stream(EventQuery { team_id: Some(target.owner().team_id), since_ns, until_ns })
}

/// The team's last `most` events, newest first.
pub fn recent(app: &App, target: &Granted<Watch, Events>, most: usize) -> Vec<Arc<Event>> {
    app.engine.events().recent(target.owner().team_id, most)
}
