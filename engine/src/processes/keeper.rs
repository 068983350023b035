//! Words with keeper.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::keeper::{Answer, Request, Role, Watched};
use tokio::sync::mpsc;

use super::client::{Client, ProcessError, Sorted, Words};
use crate::owner::Owner;

/// The protocol.
pub(crate) struct KeeperWords;

impl Words for KeeperWords {
    type Request = Request;
    type Answer = Answer;
    const PROCESS: &'static str = "keeper";

    fn sort(answer: Answer) -> Sorted<Answer> {
        match answer {
            Answer::Refused(refusal) => Sorted::Refused(refusal),
            news @ Answer::Ended { .. } => Sorted::News(news),
            answer => Sorted::Answer(answer),
        }
    }
}

/// Asks keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    client: Client<KeeperWords>,
}

impl Keeper {
    /// News (ended execs) go to `news`.
    pub(crate) fn new(state_root: &Path, news: mpsc::UnboundedSender<Answer>) -> Self {
        let hello = Request::Hello { version: VERSION, role: Role::Serve };
        // Nobody listens any more only while the engine ends.
        let listener = std::sync::Arc::new(move |answer| drop(news.send(answer)));
        Self { client: Client::new(state_root.join("keeper.sock"), vec![hello], Some(listener)) }
    }

    /// Starts the team's monitor if it does not run.
    pub(crate) async fn ensure_monitor(&self, owner: &Owner) -> Result<(), ProcessError> {
        self.done(Request::EnsureMonitor { team: owner.team() }, &[]).await
    }

    /// Keeps a descriptor under `name` for whoever comes after us.
    pub(crate) async fn put(&self, name: &str, descriptor: OwnedFd) -> Result<(), ProcessError> {
        self.done(Request::Put { name: name.into() }, &[descriptor]).await
    }

    /// Has an exec watched by a keeper that follows the one under which it was born.
    pub(crate) async fn watch(&self, pid: i32, team: &str, what: Watched, pidfd: OwnedFd) -> Result<(), ProcessError> {
        self.done(Request::Watch { pid, team: team.into(), what }, &[pidfd]).await
    }

    async fn done(&self, request: Request, descriptors: &[OwnedFd]) -> Result<(), ProcessError> {
        match self.client.call(&request, descriptors).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(ProcessError::OutOfTurn { process: KeeperWords::PROCESS }),
        }
    }

    /// Ends all helpers and keeper itself.
    pub(crate) async fn shut_down(&self) -> Result<(), ProcessError> {
        match self.client.ask(&Request::Shutdown).await {
            // Keeper may be gone before its answer is read.
            Ok(_) | Err(ProcessError::Ended { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Connects if there is no connection: until then no news of execs come.
    pub(crate) async fn connect(&self) -> io::Result<bool> {
        self.client.connect().await
    }

    /// Waits until the present connection ends.
    pub(crate) async fn ended(&self) {
        self.client.ended().await;
    }
}
