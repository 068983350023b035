//! What a container wrote.

use std::sync::Arc;

use futures_util::StreamExt;
use sampan_runtime::log::Reading;

use super::table::{ReadGuard, Slot};
use super::{Container, ContainerError, Containers, Output, OutputStream, StandardStream, State};
use crate::engine::Shared;
pub(super) use crate::logs::From;
use crate::logs::{self, Ended, Piece, Query, Stream};
use crate::owner::Owner;

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// From here on, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// Up to here.
    pub until_ns: Option<i64>,
    /// The last so many lines only.
    pub tail: Option<u64>,
    /// Goes on until the container ends.
    pub follow: bool,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { stdout: true, stderr: true, since_ns: None, until_ns: None, tail: None, follow: false }
    }
}

impl Containers {
    /// What it wrote. Following ends with the container; at once for one that does not run.
    pub async fn logs(&self, owner: &Owner, reference: &str, query: LogQuery) -> Result<OutputStream, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        check_kept(&slot.now())?;
        let ended = query.follow.then(|| until_ended(&slot, false));
        self.shared.output(&slot, query, query.tail.map_or(From::Start, From::Tail), ended)
    }
}

/// Docker's words for a log driver that keeps nothing.
pub(super) fn check_kept(container: &Container) -> Result<(), ContainerError> {
    if !container.is_log_transient() {
        return Ok(());
    }
    Err(ContainerError::Unsupported { message: "configured logging driver does not support reading".into() })
}

impl Shared {
    /// A container's output; its files stay as long as the stream is held.
    pub(super) fn output(
        &self,
        slot: &Arc<Slot>,
        query: LogQuery,
        from: From,
        ended: Option<Ended>,
    ) -> Result<OutputStream, ContainerError> {
        let container = slot.now();
        let folder = self.container_folder(&container.id);
        let failed = |source| ContainerError::File { path: folder.clone(), source };
        // Before its end is looked for: from here on all is kept.
        let reading = container.is_log_transient().then(|| Reading::begin(&folder)).transpose().map_err(failed)?;
        // The guard goes last: who waits for it finds that nobody reads.
        let guard = (reading, slot.read_guard());
        let query = Query {
            stdout: query.stdout,
            stderr: query.stderr,
            from,
            since_ns: query.since_ns,
            until_ns: query.until_ns,
        };
        let pieces = logs::read(&folder, query, ended).map_err(failed)?;
        Ok(Box::pin(pieces.map(move |piece| held(&guard, piece))))
    }
}

fn held(_guard: &(Option<Reading>, ReadGuard), piece: std::io::Result<Piece>) -> Result<Output, ContainerError> {
    let piece = piece.map_err(ContainerError::Stream)?;
    let stream = if piece.stream == Stream::Stderr { StandardStream::Stderr } else { StandardStream::Stdout };
    Ok(Output { stream, at_ns: piece.at_ns, bytes: piece.bytes })
}

/// Resolves when the container does not run and will not by itself; all it wrote is in the log then. With `next`, one
/// that does not run is waited for: its next start, then its end.
pub(super) fn until_ended(slot: &Arc<Slot>, next: bool) -> Ended {
    let mut seen = slot.watch();
    let before = seen.borrow_and_update().clone();
    let runs = |state: State| state.is_alive() || state == State::Restarting;
    let waits = next && !runs(before.container.state);
    Box::pin(async move {
        // The sender may go with the container: that is an end too.
        let _ = seen
            .wait_for(|now| {
                let started = !waits || now.starts != before.starts || now.exits != before.exits;
                now.removed || started && !runs(now.container.state)
            })
            .await;
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::until_ended;
    use crate::containers::State;
    use crate::containers::table::Slot;
    use crate::containers::table::tests::container;

    #[tokio::test]
    async fn a_client_that_came_before_the_start_stays_to_the_end() {
        let slot = Arc::new(Slot::new(container("a", "web", 1)));
        until_ended(&slot, false).await;
        let mut ended = until_ended(&slot, true);
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut ended).await.is_err());
        slot.change_seen(|seen, container| {
            container.state = State::Running;
            seen.starts += 1;
        });
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut ended).await.is_err());
        slot.change_seen(|seen, container| {
            container.state = State::Exited;
            seen.exits += 1;
        });
        ended.await;
    }
}
