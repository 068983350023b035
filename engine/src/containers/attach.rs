//! A client on the standard streams of a container.

use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::logs::{From, check_kept, until_ended};
use super::table::Slot;
use super::{ContainerError, Containers, LogQuery, State, streams};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;

/// Bytes of a client's input that wait for the container.
const INPUT: usize = 64 << 10;

/// Bytes to standard input. `shutdown` (or dropping it) is the half-close: the container sees the end of its input if
/// it was made so (`stdin_once`), an exec always.
pub type StdinWriter = tokio::io::DuplexStream;

/// Output as it comes; ends when the container or exec has ended and all was given.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<Output, ContainerError>> + Send>>;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it came from; a terminal's is all `Stdout`.
    pub stream: StandardStream,
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// The bytes, not cut at lines.
    pub bytes: Bytes,
}

/// Which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StandardStream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a client wants of a container's streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// To write.
    pub stdin: bool,
    /// To read standard output.
    pub stdout: bool,
    /// To read standard error.
    pub stderr: bool,
    /// First what was written before.
    pub logs: bool,
    /// Then what comes; without it the output ends at what is there now.
    pub stream: bool,
}

/// A client's ends.
pub struct Attached {
    /// When it was asked for and the container has one.
    pub stdin: Option<StdinWriter>,
    /// What the container writes. Of one that does not run: from its next start on.
    pub output: OutputStream,
    /// Whether it is a terminal (raw on Docker's wire, without frames).
    pub tty: bool,
}

impl Containers {
    /// Joins its streams; may be asked before it is started, and then misses nothing.
    pub async fn attach(
        &self,
        owner: &Owner,
        reference: &str,
        request: AttachRequest,
    ) -> Result<Attached, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let container = slot.now();
        match container.state {
            State::Paused if request.stream => {
                return Err(ContainerError::WrongState {
                    name: container.name.clone(),
                    state: "paused",
                    wanted: "unpause the container before attach",
                });
            }
            State::Removing | State::Dead => return Err(ContainerError::NotFound { reference: reference.into() }),
            _ => {}
        }
        if request.logs {
            check_kept(&container)?;
        }
        let query = LogQuery {
            stdout: request.stdout,
            // A terminal has one output.
            stderr: request.stderr && !container.config.tty,
            follow: request.stream,
            ..LogQuery::default()
        };
        let from = if request.logs { From::Start } else { From::Now };
        let ended = request.stream.then(|| until_ended(&slot, true));
        let output = self.shared.output(&slot, query, from, ended)?;
        let stdin = (request.stdin && request.stream && container.config.open_stdin).then(|| {
            let (near, far) = tokio::io::duplex(INPUT);
            tokio::spawn(feed(self.shared.clone(), slot.clone(), far));
            near
        });
        self.shared.tell(&container, now_ns(), Action::Attach, []);
        Ok(Attached { stdin, output, tty: container.config.tty })
    }
}

/// Brings a client's input to the container, from its start on, until either ends.
async fn feed(shared: Arc<Shared>, slot: Arc<Slot>, client: tokio::io::DuplexStream) {
    let mut seen = slot.watch();
    let before = seen.borrow_and_update().clone();
    if !before.container.state.is_alive() {
        // The slot lives as long as this task.
        let _ = seen.wait_for(|now| now.removed || now.starts != before.starts || now.container.state.is_alive()).await;
    }
    let container = slot.now();
    let exits = seen.borrow_and_update().exits;
    let descriptor = match shared.stdin_of(&slot).await {
        Ok(descriptor) => descriptor,
        Err(error) => {
            tracing::debug!(container.id = container.id, %error, "a client's input finds no standard input");
            return;
        }
    };
    let ended = seen.wait_for(|now| now.removed || now.exits != exits);
    tokio::select! {
        _ = ended => return,
        written = streams::write_to(client, descriptor) => {
            // A closed standard input is the container's own choice.
            if written.is_err() {
                return;
            }
        }
    }
    if container.config.stdin_once
        && !container.config.tty
        && let Err(error) = shared.close_stdin(&slot).await
    {
        tracing::debug!(container.id = container.id, %error, "standard input could not be closed");
    }
}

impl Shared {
    async fn stdin_of(&self, slot: &Slot) -> Result<OwnedFd, ContainerError> {
        let container = slot.now();
        Ok(self.monitors.of(&container.owner).await?.stdin(&container.id).await?)
    }

    async fn close_stdin(&self, slot: &Slot) -> Result<(), ContainerError> {
        let container = slot.now();
        Ok(self.monitors.of(&container.owner).await?.close_stdin(&container.id).await?)
    }
}
