//! The audit trail: who did what to what, through which door.
//!
//! Acts on accounts are written before the answer; acts on containers, images and volumes after it, in groups, by
//! [`AuditWriter`], so that they never stand on a start.

use std::time::Duration;

use tokio::sync::mpsc;

use super::store::NewAuditRow;
use super::{Accounts, AccountsError};
use crate::auth::Caller;
use crate::clock::now_ns;
use crate::policy::Act;

/// Entries that may wait for the writer; more are refused a place and the loss is logged.
const WAITING: usize = 8192;
/// How long the first entry of a group waits for others.
const GATHER: Duration = Duration::from_millis(50);
/// Entries written at once.
const GROUP: usize = 256;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counts up.
    pub id: i64,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// Through which door.
    pub door: String,
    /// What.
    pub action: String,
    /// To what kind of thing.
    pub noun: String,
    /// To which: a name or id.
    pub target: String,
    /// JSON object.
    pub details: String,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Give it as `before` for the next page; `None`: there is no more.
    pub next: Option<i64>,
}

/// Something that was done.
#[derive(Debug, Clone)]
pub struct Done<'a> {
    /// Who did it.
    pub caller: &'a Caller,
    /// What.
    pub act: Act,
    /// To which: a name or id.
    pub target: &'a str,
    /// The team whose thing it is; `None`: the instance's.
    pub team_id: Option<i64>,
    /// Never a secret, a token, an environment value.
    pub details: serde_json::Value,
}

impl Done<'_> {
    fn row(self) -> NewAuditRow {
        let details = if self.details.is_null() { "{}".to_owned() } else { self.details.to_string() };
        NewAuditRow {
            at: now_ns(),
            team_id: self.team_id,
            user_id: self.caller.user_id(),
            actor: self.caller.actor(),
            door: self.caller.door().as_str(),
            action: self.act.0.as_str(),
            noun: self.act.1.as_str(),
            target: self.target.to_owned(),
            details,
        }
    }
}

impl Accounts {
    /// Writes one entry before it returns.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn record(&self, done: Done<'_>) -> Result<(), AccountsError> {
        Ok(self.insert_audit(&[done.row()]).await?)
    }

    /// Entries of a team (`None`: of the instance), newest first, below `before`.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn audit(
        &self,
        team_id: Option<i64>,
        before: Option<i64>,
        most: u32,
    ) -> Result<AuditPage, AccountsError> {
        let wanted = i64::from(most) + 1;
        let mut entries = self.select_audit(team_id, before.unwrap_or(i64::MAX), wanted).await?;
        let more = entries.len() > most as usize;
        entries.truncate(most as usize);
        let next = entries.last().filter(|_| more).map(|entry| entry.id);
        Ok(AuditPage { entries, next })
    }
}

/// Takes entries without waiting and writes them behind the answers.
#[derive(Debug, Clone)]
pub struct AuditWriter {
    sender: mpsc::Sender<NewAuditRow>,
}

impl AuditWriter {
    /// Starts the task that writes; it ends, after the last entry, when the last clone of the writer is gone.
    pub fn start(accounts: Accounts) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender }, tokio::spawn(write(accounts, receiver)))
    }

    /// Takes one entry.
    pub fn note(&self, done: Done<'_>) {
        let row = done.row();
        if let Err(error) = self.sender.try_send(row) {
            tracing::error!(%error, "an audit entry was lost: the writer is behind or gone");
        }
    }
}

async fn write(accounts: Accounts, mut receiver: mpsc::Receiver<NewAuditRow>) {
    let mut rows = Vec::with_capacity(GROUP);
    while receiver.recv_many(&mut rows, GROUP).await > 0 {
        // What comes together is written together, and not while the act that it tells of is still being written.
        tokio::time::sleep(GATHER).await;
        while rows.len() < GROUP
            && let Ok(row) = receiver.try_recv()
        {
            rows.push(row);
        }
        if let Err(error) = accounts.insert_audit_soon(&rows).await {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), lost = rows.len(), "audit entries could not be written");
        }
        rows.clear();
    }
}
