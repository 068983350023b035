//! One instance as every door sees it.

use sampan_engine::Engine;

use crate::config::Config;
use crate::policy::Policy;

/// Settings, engine, accounts and the small things doors share. Held in an `Arc`; made once by `serve`.
#[derive(Debug)]
pub struct App {
    /// Checked settings.
    pub config: Config,
    /// The engine. Doors do not call it: services do.
    pub engine: Engine,
}

impl App {
    /// Who may do what: the only way to a [`crate::policy::Granted`].
    pub fn policy(&self) -> Policy<'_> {
        Policy::new(self)
    }
}
