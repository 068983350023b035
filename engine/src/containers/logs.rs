//! What a container wrote.

use std::sync::Arc;

use super::table::Slot;
use super::{ContainerError, Containers, OutputStream};
use crate::engine::Shared;
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

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// What the query says, else the first line that is kept.
    Start,
    /// What is not written yet.
    Now,
}

impl Containers {
    /// What it wrote.
    pub async fn logs(&self, owner: &Owner, reference: &str, query: LogQuery) -> Result<OutputStream, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        self.shared.output(&slot, query, From::Start)
    }
}

impl Shared {
    /// A container's output; its files stay as long as the stream is held.
    pub(super) fn output(&self, slot: &Arc<Slot>, query: LogQuery, from: From) -> Result<OutputStream, ContainerError> {
        let _ = (slot, query, from);
        Err(ContainerError::Unsupported { message: "logs are not offered yet".into() })
    }
}
