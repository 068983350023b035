//! Words with a team's monitor.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use sampan_runtime::sandbox::RestartPolicy;
use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::monitor::{Answer, Request};

use super::client::{Client, ProcessError, Sorted, Words};

/// The protocol.
pub(crate) struct MonitorWords;

impl Words for MonitorWords {
    type Request = Request;
    type Answer = Answer;
    const PROCESS: &'static str = "monitor";

    fn sort(answer: Answer) -> Sorted<Answer> {
        match answer {
            Answer::Refused(refusal) => Sorted::Refused(refusal),
            news @ Answer::News(_) => Sorted::News(news),
            answer => Sorted::Answer(answer),
        }
    }
}

/// Asks one team's monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    client: Client<MonitorWords>,
}

impl Monitor {
    /// Subscribes on every connection; news go to `news`.
    pub(crate) fn new(state_root: &Path, team_key: &str, news: Arc<dyn Fn(Answer) + Send + Sync>) -> Self {
        let socket = state_root.join("monitor").join(format!("{team_key}.sock"));
        let hello = vec![Request::Hello { version: VERSION }, Request::Subscribe];
        Self { client: Client::new(socket, hello, Some(news)) }
    }

    async fn done(&self, request: Request) -> Result<(), ProcessError> {
        match self.client.ask(&request).await? {
            Answer::Done => Ok(()),
            _ => Err(ProcessError::OutOfTurn { process: MonitorWords::PROCESS }),
        }
    }

    /// A person asked it to stop: no restart until the next start.
    pub(crate) async fn stopping(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::Stopping { id: id.into() }).await
    }

    /// A new policy.
    pub(crate) async fn set_policy(&self, id: &str, restart: RestartPolicy) -> Result<(), ProcessError> {
        self.done(Request::SetPolicy { id: id.into(), restart }).await
    }

    /// Stdin's write end or the terminal's master.
    pub(crate) async fn stdin(&self, id: &str) -> Result<OwnedFd, ProcessError> {
        let (_, mut descriptors) = self.client.call(&Request::Stdin { id: id.into() }, &[]).await?;
        descriptors.pop().ok_or(ProcessError::OutOfTurn { process: MonitorWords::PROCESS })
    }

    /// Closes stdin for good.
    pub(crate) async fn close_stdin(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::CloseStdin { id: id.into() }).await
    }

    /// Sets the terminal's size.
    pub(crate) async fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<(), ProcessError> {
        self.done(Request::Resize { id: id.into(), rows, columns }).await
    }

    /// The container is gone.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), ProcessError> {
        self.done(Request::Forget { id: id.into() }).await
    }

    /// For `map_err` after [`Monitor::connect`].
    pub(crate) fn unreachable(&self, source: io::Error) -> ProcessError {
        self.client.unreachable(source)
    }

    /// Connects if there is no connection.
    pub(crate) async fn connect(&self) -> io::Result<bool> {
        self.client.connect().await
    }

    /// Waits until the present connection ends.
    pub(crate) async fn ended(&self) {
        self.client.ended().await;
    }
}
