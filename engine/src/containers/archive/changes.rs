//! `docker diff`.

use std::io;
use std::pin::Pin;

use futures_util::{Stream, stream};
use sampan_runtime::wire::archive::{Change, Work};
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;

use super::work::{Working, stream as bytes};
use crate::containers::{ContainerError, Containers};
use crate::owner::Owner;

/// Differences from an image, one by one: a folder before what is in it.
pub type ChangeStream = Pin<Box<dyn Stream<Item = io::Result<Change>> + Send>>;

impl Containers {
    /// What it has made of its image's files.
    pub async fn changes(&self, owner: &Owner, reference: &str) -> Result<ChangeStream, ContainerError> {
        let container = self.with_files(owner, reference)?;
        let (mut working, pipe) = Working::begin(&self.shared, &container, Work::Changes).await?;
        let pipe = pipe.ok_or_else(|| ContainerError::Stream(io::ErrorKind::NotConnected.into()))?;
        working.ready(&pipe).await?;
        let lines = StreamReader::new(bytes(pipe, working, || ())).lines();
        Ok(Box::pin(stream::try_unfold(lines, |mut lines| async move {
            match lines.next_line().await? {
                Some(line) => Ok(Some((serde_json::from_str(&line)?, lines))),
                None => Ok(None),
            }
        })))
    }
}
