//! A child at work: what it says, and the pipe between it and us.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use sampan_runtime::wire::Refusal;
use sampan_runtime::wire::archive::{Told, Work};
use sampan_runtime::wire::socket::Connection;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, Interest};

use crate::containers::{Container, ContainerError};
use crate::engine::Shared;
use crate::kind::Kind;
use crate::processes::{ProcessError, watched};

/// Bytes read at once.
const PIECE: usize = 128 << 10;
/// Size that is asked for of a pipe.
const PIPE: usize = 256 << 10;

/// A tar, piece by piece; an error at its end when it is not whole.
pub type FileStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A child at work. It ends when this is dropped.
#[derive(Debug)]
pub(in crate::containers) struct Working {
    control: AsyncFd<Connection>,
    heard: Option<Told>,
    container: String,
    path: String,
}

/// Which way the bytes flow.
enum Flow {
    ToUs,
    ToChild,
}

impl Working {
    /// Has spawner send a child; gives our end of the pipe where there is one.
    pub async fn begin(
        shared: &Shared,
        container: &Container,
        work: Work,
    ) -> Result<(Self, Option<AsyncFd<OwnedFd>>), ContainerError> {
        let path = match &work {
            Work::Look { path } | Work::Read { path } | Work::Write { path, .. } => path.clone(),
            _ => String::new(),
        };
        let (ours, theirs) = Connection::pair().map_err(ContainerError::Stream)?;
        let mut given = vec![theirs.into()];
        let flow = if matches!(work, Work::Write { .. }) { Flow::ToChild } else { Flow::ToUs };
        let mut pipe = None;
        if work.has_stream() {
            let (near, far) = new_pipe(&flow).map_err(ContainerError::Stream)?;
            given.push(far);
            pipe = Some(watched(near).map_err(ContainerError::Stream)?);
        }
        shared.spawner.files(&container.id, work, &given).await?;
        ours.set_nonblocking(true).map_err(ContainerError::Stream)?;
        let control = watched(ours).map_err(ContainerError::Stream)?;
        Ok((Self { control, heard: None, container: container.name.clone(), path }, pipe))
    }

    /// What the child says next, or has said already.
    pub async fn told(&mut self) -> Result<Told, ContainerError> {
        match self.heard.take() {
            Some(told) => Ok(told),
            None => self.hear().await,
        }
    }

    /// Waits until there is something to read or the child has said something; refuses when that is a refusal.
    pub async fn ready(&mut self, pipe: &AsyncFd<OwnedFd>) -> Result<(), ContainerError> {
        tokio::select! {
            readable = pipe.readable() => readable.map(drop).map_err(ContainerError::Stream),
            told = self.told() => match told? {
                Told::Refused(refusal) => Err(self.refused(refusal)),
                told => {
                    self.heard = Some(told);
                    Ok(())
                }
            },
        }
    }

    /// Waits for the end; fails unless all was done.
    pub async fn finish(&mut self) -> Result<(), ContainerError> {
        match self.told().await? {
            Told::Done => Ok(()),
            Told::Refused(refusal) => Err(self.refused(refusal)),
            Told::Found(_) => Err(broken_off("spoke out of turn")),
        }
    }

    /// The error of a refusal, in the container's words where there is nothing at a path.
    pub fn refused(&self, refusal: Refusal) -> ContainerError {
        match Kind::from(refusal.kind) {
            Kind::NotFound if refusal.message == self.path => {
                ContainerError::NoSuchFile { path: refusal.message, container: self.container.clone() }
            }
            _ => ProcessError::from(refusal).into(),
        }
    }

    async fn hear(&self) -> Result<Told, ContainerError> {
        let received = self.control.async_io(Interest::READABLE, Connection::receive::<Told>).await;
        match received {
            Ok(Some((told, _))) => Ok(told),
            Ok(None) => Err(broken_off("was ended")),
            Err(source) => Err(ContainerError::Stream(source)),
        }
    }
}

fn broken_off(how: &str) -> ContainerError {
    ContainerError::Refused {
        message: format!("the process that works on the container's files {how}: try again"),
        kind: Kind::Internal,
    }
}

fn new_pipe(flow: &Flow) -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let (near, far): (OwnedFd, OwnedFd) = match flow {
        Flow::ToUs => (reader.into(), writer.into()),
        Flow::ToChild => (writer.into(), reader.into()),
    };
    // A smaller one, where the user's pages are used up, is only slower (pipe(7), "pipe-user-pages-soft").
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(&near, PIPE) {
        tracing::debug!(%error, "a pipe keeps its size");
    }
    rustix::io::ioctl_fionbio(&near, true)?;
    Ok((near, far))
}

/// What the child sends, with its last word at the end. `after` is called when all of it came.
pub(in crate::containers) fn stream(
    pipe: AsyncFd<OwnedFd>,
    working: Working,
    after: impl FnOnce() + Send + 'static,
) -> FileStream {
    let state = (pipe, working, Some(after));
    Box::pin(stream::try_unfold(state, |(pipe, mut working, mut after)| async move {
        let mut piece = BytesMut::zeroed(PIECE);
        let read = pipe.async_io(Interest::READABLE, |pipe| Ok(rustix::io::read(pipe, &mut piece[..])?)).await?;
        if read > 0 {
            piece.truncate(read);
            return Ok(Some((piece.freeze(), (pipe, working, after))));
        }
        working.finish().await.map_err(|error| io::Error::other(crate::sentence(&error)))?;
        if let Some(after) = after.take() {
            after();
        }
        Ok(None)
    }))
}

/// Sends all of `archive` to the child; no error when it takes no more, since it says why.
pub(super) async fn send(mut archive: impl AsyncRead + Unpin, pipe: AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut piece = BytesMut::with_capacity(PIECE);
    loop {
        piece.clear();
        if archive.read_buf(&mut piece).await? == 0 {
            return Ok(());
        }
        let mut written = 0;
        while written < piece.len() {
            let sent = pipe.async_io(Interest::WRITABLE, |pipe| Ok(rustix::io::write(pipe, &piece[written..])?)).await;
            match sent {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                sent => written += sent?,
            }
        }
    }
}
