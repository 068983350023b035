//! `docker cp`, both ways.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use sampan_runtime::wire::archive::{Found, Told, Work};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::work::{FileStream, Working, send, stream};
use crate::clock::now_ns;
use crate::containers::{Container, ContainerError, Containers, State};
use crate::events::Action;
use crate::layers::{Compression, compression, decoder};
use crate::owner::Owner;

/// Bytes by which a compressed archive is known.
const MAGIC: usize = 6;
/// Bytes handed on at once.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the thread that decompresses.
const QUEUE: usize = 4;

impl Containers {
    /// What lies at a path: a link itself, unless the path ends with a slash.
    pub async fn look(&self, owner: &Owner, reference: &str, path: &str) -> Result<Found, ContainerError> {
        let container = self.with_files(owner, reference)?;
        let (mut working, _) = Working::begin(&self.shared, &container, Work::Look { path: path.to_owned() }).await?;
        let found = found(&mut working).await?;
        working.finish().await?;
        Ok(found)
    }

    /// The same, and all of it as a tar whose entries begin with the path's last part.
    pub async fn read_files(
        &self,
        owner: &Owner,
        reference: &str,
        path: &str,
    ) -> Result<(Found, FileStream), ContainerError> {
        let container = self.with_files(owner, reference)?;
        let work = Work::Read { path: path.to_owned() };
        let (mut working, pipe) = Working::begin(&self.shared, &container, work).await?;
        let found = found(&mut working).await?;
        let pipe = pipe.ok_or_else(|| ContainerError::Stream(io::ErrorKind::NotConnected.into()))?;
        self.shared.tell(&container, now_ns(), Action::ArchivePath, []);
        Ok((found, stream(pipe, working, || ())))
    }

    /// Takes a tar (plain, gzip or zstd) in at a folder. `keep_kinds`: a folder stays one and what is none becomes none;
    /// `as_user`: all of it becomes the container's user's. What was written before an error stays.
    pub async fn write_files(
        &self,
        owner: &Owner,
        reference: &str,
        path: &str,
        (keep_kinds, as_user): (bool, bool),
        archive: impl AsyncRead + Send + Unpin,
    ) -> Result<(), ContainerError> {
        let container = self.with_files(owner, reference)?;
        let user = Some(container.resolved.user.clone()).filter(|user| as_user && !user.is_empty());
        let work = Work::Write { path: path.to_owned(), keep_kinds, owner: user };
        let (mut working, pipe) = Working::begin(&self.shared, &container, work).await?;
        let pipe = pipe.ok_or_else(|| ContainerError::Stream(io::ErrorKind::NotConnected.into()))?;
        tokio::select! {
            // It has read the end of the tar, or refuses; what follows is nobody's.
            done = working.finish() => done?,
            sent = pass(archive, pipe) => {
                sent?;
                working.finish().await?;
            }
        }
        self.shared.tell(&container, now_ns(), Action::ExtractToDir, []);
        Ok(())
    }

    /// The container, unless its files are about to go.
    pub(in crate::containers) fn with_files(
        &self,
        owner: &Owner,
        reference: &str,
    ) -> Result<std::sync::Arc<Container>, ContainerError> {
        let container = self.get(owner, reference)?;
        match container.state {
            State::Removing => Err(ContainerError::WrongState {
                name: container.name.clone(),
                state: "being removed",
                wanted: "its files are going",
            }),
            _ => Ok(container),
        }
    }
}

async fn found(working: &mut Working) -> Result<Found, ContainerError> {
    match working.told().await? {
        Told::Found(found) => Ok(found),
        Told::Refused(refusal) => Err(working.refused(refusal)),
        Told::Done => Err(ContainerError::Stream(io::ErrorKind::InvalidData.into())),
    }
}

/// Passes an archive on, decompressed.
async fn pass(mut archive: impl AsyncRead + Send + Unpin, pipe: AsyncFd<OwnedFd>) -> Result<(), ContainerError> {
    let mut start = Vec::with_capacity(MAGIC);
    (&mut archive).take(MAGIC as u64).read_to_end(&mut start).await.map_err(ContainerError::Stream)?;
    let unsupported = |error: crate::layers::LayerError| ContainerError::Unsupported { message: error.to_string() };
    let compression = compression(&start).map_err(unsupported)?;
    let whole = AsyncReadExt::chain(io::Cursor::new(start), archive);
    match compression {
        Compression::None => send(whole, pipe).await.map_err(ContainerError::Stream),
        packed => unpack(whole, packed, pipe).await,
    }
}

/// Decompresses on the blocking pool: a stream that is slow to come holds one of its threads.
async fn unpack(
    mut archive: impl AsyncRead + Unpin,
    packed: Compression,
    pipe: AsyncFd<OwnedFd>,
) -> Result<(), ContainerError> {
    let (pieces, arrived) = mpsc::channel::<Bytes>(QUEUE);
    let mut pipe = std::fs::File::from(pipe.into_inner());
    rustix::io::ioctl_fionbio(&pipe, false).map_err(|error| ContainerError::Stream(error.into()))?;
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut decoder = decoder(packed, Arrived { pieces: arrived, piece: Bytes::new() })?;
        let mut buffer = vec![0; PIECE];
        loop {
            let read = decoder.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            match pipe.write_all(&buffer[..read]) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
        }
    });
    loop {
        let mut piece = bytes::BytesMut::with_capacity(PIECE);
        if archive.read_buf(&mut piece).await.map_err(ContainerError::Stream)? == 0 {
            break;
        }
        if pieces.send(piece.freeze()).await.is_err() {
            break;
        }
    }
    drop(pieces);
    let unpacked: io::Result<()> = unpacking.await.map_err(|error| ContainerError::Stream(io::Error::other(error)))?;
    unpacked
        .map_err(|error| ContainerError::Invalid { message: format!("the archive cannot be decompressed: {error}") })
}

/// Pieces of a queue as one stream.
struct Arrived {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Arrived {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
