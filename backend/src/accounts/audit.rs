//! The audit trail: who did what to what, through which door.
//!
//! Acts on accounts are written before the answer; acts on containers, images and volumes after it, in groups, by
//! [`AuditWriter`], so that they never stand on a start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::store::NewAuditRow;
use super::{Accounts, AccountsError};
use crate::auth::Caller;
use crate::clock::now_ns;
use crate::policy::{Act, NounKind};

/// Entries that may wait for the writer, as on a full disk; more are counted, and the trail says how many it lacks.
const WAITING: usize = 8192;
/// How long the first entry of a group waits for others.
const GATHER: Duration = Duration::from_millis(50);
/// Entries written at once.
const GROUP: usize = 256;
/// What could not be written is tried again after so long, and so often once the server ends.
const AGAIN: Duration = Duration::from_secs(1);
const LAST_TRIES: u32 = 3;

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
    lost: Arc<Lost>,
}

/// How many entries found no place, by team.
#[derive(Debug, Default)]
struct Lost(Mutex<BTreeMap<Option<i64>, u64>>);

impl Lost {
    fn count(&self, team_id: Option<i64>) {
        *self.lock().entry(team_id).or_default() += 1;
    }

    /// As entries of their own; they are told once.
    fn take(&self) -> Vec<NewAuditRow> {
        let lost = std::mem::take(&mut *self.lock());
        let entry = |(team_id, count): (Option<i64>, u64)| NewAuditRow {
            at: now_ns(),
            team_id,
            user_id: None,
            actor: "sampan serve".to_owned(),
            door: "server",
            action: "lose",
            noun: NounKind::Audit.as_str(),
            target: count.to_string(),
            details: serde_json::json!({ "lost": count }).to_string(),
        };
        lost.into_iter().map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<i64>, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditWriter {
    /// Starts the task that writes; it ends, after the last entry, when the last clone of the writer is gone.
    pub fn start(accounts: Accounts) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let lost = Arc::new(Lost::default());
        (Self { sender, lost: lost.clone() }, tokio::spawn(write(accounts, receiver, lost)))
    }

    /// Takes one entry.
    pub fn note(&self, done: Done<'_>) {
        let row = done.row();
        let team_id = row.team_id;
        if let Err(error) = self.sender.try_send(row) {
            self.lost.count(team_id);
            tracing::error!(%error, "an audit entry was lost: the writer is behind, as on a full disk, or gone");
        }
    }
}

async fn write(accounts: Accounts, mut receiver: mpsc::Receiver<NewAuditRow>, lost: Arc<Lost>) {
    let mut rows = Vec::with_capacity(GROUP);
    while receiver.recv_many(&mut rows, GROUP).await > 0 {
        // What comes together is written together, and not while the act that it tells of is still being written.
        tokio::time::sleep(GATHER).await;
        while rows.len() < GROUP
            && let Ok(row) = receiver.try_recv()
        {
            rows.push(row);
        }
        rows.extend(lost.take());
        if !write_group(&accounts, &rows, &receiver).await {
            tracing::error!(
                lost = rows.len() + receiver.len(),
                "the server ends, and the disk has no room for the audit trail"
            );
            return;
        }
        rows.clear();
    }
    let told = lost.take();
    if !told.is_empty() && !write_group(&accounts, &told, &receiver).await {
        tracing::error!("the audit trail does not say how many entries it lacks");
    }
}

/// Writes until it succeeds; false: the server ends and it never did. What comes meanwhile waits behind it.
async fn write_group(accounts: &Accounts, rows: &[NewAuditRow], receiver: &mpsc::Receiver<NewAuditRow>) -> bool {
    let (mut told, mut last_tries) = (false, 0);
    loop {
        let Err(error) = accounts.insert_audit_soon(rows).await else { return true };
        if !std::mem::replace(&mut told, true) {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "audit entries cannot be written and wait");
        }
        last_tries += u32::from(receiver.is_closed());
        if last_tries > LAST_TRIES {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::IdRange;
    use crate::auth::Caller;
    use crate::policy::Verb;

    /// How many pages the database may have: as a disk with no more room, for the one connection that writes behind the
    /// answers.
    async fn bound(accounts: &Accounts, pages: i64) {
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")))
            .execute(&accounts.write_soon)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn entries_of_a_full_disk_are_written_when_there_is_room_and_lost_ones_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(folder.path()).await.unwrap();
        accounts.record_id_ranges(&[IdRange { first: 1_879_048_192, teams: 2 }]).await.unwrap();
        let team = accounts.create_team("blue").await.unwrap().id;
        // The least that it takes as it is.
        bound(&accounts, 1).await;
        let (writer, task) = AuditWriter::start(accounts.clone());
        let caller = Caller::command_line();
        let act = Act(Verb::Start, NounKind::Container);
        let note = |number: usize| {
            let (target, details) = (number.to_string(), serde_json::json!({ "padding": "x".repeat(500) }));
            writer.note(Done { caller: &caller, act, target: &target, team_id: Some(team), details });
        };
        for number in 0..GROUP {
            note(number);
        }
        // The first group is in the writer's hands.
        tokio::time::sleep(GATHER * 4).await;
        assert_eq!(accounts.audit(Some(team), None, 1000).await.unwrap().entries.len(), 0, "it has no room");
        for number in GROUP..GROUP + WAITING + 7 {
            note(number);
        }
        bound(&accounts, 1 << 20).await;
        drop(writer);
        task.await.unwrap();
        let (mut told, mut before) = (Vec::new(), None);
        loop {
            let page = accounts.audit(Some(team), before, 1000).await.unwrap();
            told.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let (lost, starts): (Vec<_>, Vec<_>) = told.into_iter().partition(|entry| entry.action == "lose");
        let numbers: Vec<usize> = starts.iter().rev().map(|entry| entry.target.parse().unwrap()).collect();
        assert_eq!(numbers, (0..GROUP + WAITING).collect::<Vec<_>>(), "each once, in its order");
        assert_eq!(lost.iter().map(|entry| entry.target.as_str()).collect::<Vec<_>>(), ["7"]);
    }
}
