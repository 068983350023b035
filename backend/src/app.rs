//! One instance as every door sees it.

use sampan_engine::Engine;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::accounts::{Accounts, AccountsError, AuditWriter, Done};
use crate::auth::{Passwords, SealingKey, Throttle, Tickets};
use crate::config::Config;
use crate::operations::Operations;
use crate::policy::{Action, Granted, Noun, Policy};

/// Settings, engine, accounts and the small things doors share. Held in an `Arc`; made once by `serve`.
#[derive(Debug)]
pub struct App {
    /// Checked settings.
    pub config: Config,
    /// The engine. Doors do not call it: services do.
    pub engine: Engine,
    /// Users, teams, tokens, sessions, audit.
    pub accounts: Accounts,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Seals what the database must not show.
    pub sealing: SealingKey,
    /// Bounds tries at passwords and codes.
    pub throttle: Throttle,
    /// Tickets for websockets.
    pub tickets: Tickets,
    /// Work that goes on behind the answer.
    pub operations: Operations,
    /// Where such work runs: the doors' own threads end with their listeners.
    pub runtime: Handle,
    audit: AuditWriter,
}

impl App {
    /// Puts an instance together: makes the team `default` and the sealing key when they are not there yet. The data
    /// root must be the caller's own. The task that is given back writes the audit trail; await it after the last
    /// clone of the app is dropped.
    ///
    /// # Errors
    /// [`AccountsError`]; [`AccountsError::NoIdRange`] when no range of host ids was recorded yet.
    pub async fn open(
        config: Config,
        engine: Engine,
        accounts: Accounts,
    ) -> Result<(Self, JoinHandle<()>), AccountsError> {
        accounts.default_team().await?;
        accounts.sweep_sessions(config.session_idle).await?;
        if let Err(error) = accounts.publish_all_folders().await {
            // A full disk, most likely: starts that need a grant are refused, all else goes on.
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "granted host folders cannot be bound until the next start");
        }
        let sealing = SealingKey::open(&config.data_root)?;
        let passwords = Passwords::new()?;
        let (audit, writer) = AuditWriter::start(accounts.clone());
        let (throttle, tickets) = (Throttle::default(), Tickets::default());
        let (operations, runtime) = (Operations::default(), Handle::current());
        let app = Self { config, engine, accounts, passwords, sealing, throttle, tickets, operations, runtime, audit };
        Ok((app, writer))
    }

    /// Who may do what: the only way to a [`crate::policy::Granted`].
    pub fn policy(&self) -> Policy<'_> {
        Policy::new(self)
    }

    /// Before something is removed, which writes a little first: gives back ballast when the disk is full.
    pub(crate) fn make_room(&self) {
        crate::ballast::make_room(&self.config.data_root);
    }

    /// Takes an audit entry that cannot be written before the answer, and writes it when it can be.
    pub(crate) fn note_later(&self, done: Done<'_>) {
        self.audit.note(done);
    }

    /// Notes in the audit trail, behind the answer, that the caller did what was granted, to `target`.
    pub(crate) fn note<A: Action, N: Noun>(&self, granted: &Granted<A, N>, target: &str, details: serde_json::Value) {
        let caller = granted.caller();
        let team_id = caller.team().map(|team| team.owner.team_id);
        self.audit.note(Done { caller, act: granted.act(), target, team_id, details });
    }
}
