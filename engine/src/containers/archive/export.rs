//! `docker export`.

use std::io;

use sampan_runtime::wire::archive::Work;

use super::work::{FileStream, Working, stream};
use crate::clock::now_ns;
use crate::containers::{ContainerError, Containers};
use crate::events::Action;
use crate::owner::Owner;

impl Containers {
    /// All of its root as a tar, without what is mounted in it.
    pub async fn export(&self, owner: &Owner, reference: &str) -> Result<FileStream, ContainerError> {
        let container = self.with_files(owner, reference)?;
        let (mut working, pipe) = Working::begin(&self.shared, &container, Work::Export).await?;
        let pipe = pipe.ok_or_else(|| ContainerError::Stream(io::ErrorKind::NotConnected.into()))?;
        working.ready(&pipe).await?;
        let shared = self.shared.clone();
        let tell = move || shared.tell(&container, now_ns(), Action::Export, []);
        Ok(stream(pipe, working, tell))
    }
}
