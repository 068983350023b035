//! Pumps between a client and descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, Interest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{ContainerError, Output, OutputStream, StandardStream, StdinWriter};
use crate::clock::now_ns;
use crate::processes::watched;

/// Bytes read at once.
const CHUNK: usize = 32 << 10;
/// Bytes of a client's input that wait for the process.
const INPUT: usize = 64 << 10;
/// Chunks that wait for a client; more of them would be memory that a slow client holds.
const WAITING: usize = 8;

/// The near ends of an exec's streams.
#[derive(Debug)]
pub(super) struct Ends {
    /// Everything, for a terminal.
    pub terminal: Option<Arc<OwnedFd>>,
    stdin: Option<OwnedFd>,
    outputs: Vec<(StandardStream, OwnedFd)>,
}

impl Ends {
    /// Sorts what spawner gave: the terminal's master, or [stdin's write end,] stdout's and stderr's read ends.
    pub(super) fn sort(descriptors: Vec<OwnedFd>, tty: bool, stdin: bool) -> Result<Self, ContainerError> {
        let missing = || broken(io::Error::new(io::ErrorKind::InvalidData, "spawner gave too few descriptors"));
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(missing);
        if tty {
            return Ok(Self { terminal: Some(Arc::new(next()?)), stdin: None, outputs: Vec::new() });
        }
        let stdin = if stdin { Some(next()?) } else { None };
        let outputs = vec![(StandardStream::Stdout, next()?), (StandardStream::Stderr, next()?)];
        Ok(Self { terminal: None, stdin, outputs })
    }
}

/// A descriptor that several hold.
#[derive(Debug, Clone)]
struct Held(Arc<OwnedFd>);

impl AsRawFd for Held {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn broken(source: io::Error) -> ContainerError {
    ContainerError::Stream(source)
}

/// Starts the pumps. The output ends when the descriptors have and `ended` came.
pub(super) fn pump(
    ends: Ends,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<(Option<StdinWriter>, OutputStream), ContainerError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut stdin = None;
    if let Some(terminal) = ends.terminal {
        let (near, far) = tokio::io::duplex(INPUT);
        tokio::spawn(write_in(far, open(terminal.clone())?));
        tokio::spawn(read_out(StandardStream::Stdout, open(terminal)?, sender.clone()));
        stdin = Some(near);
    }
    if let Some(descriptor) = ends.stdin {
        let (near, far) = tokio::io::duplex(INPUT);
        tokio::spawn(write_in(far, open(Arc::new(descriptor))?));
        stdin = Some(near);
    }
    for (stream, descriptor) in ends.outputs {
        tokio::spawn(read_out(stream, open(Arc::new(descriptor))?, sender.clone()));
    }
    drop(sender);
    let end = stream::once(ended).filter_map(|()| async { None });
    Ok((stdin, Box::pin(ReceiverStream::new(receiver).map(Ok).chain(end))))
}

/// Makes a duplicate that the runtime watches, so that reader and writer of one terminal do not share readiness.
fn open(descriptor: Arc<OwnedFd>) -> Result<AsyncFd<Held>, ContainerError> {
    let own = descriptor.as_fd().try_clone_to_owned().map_err(broken)?;
    rustix::io::ioctl_fionbio(&own, true).map_err(|error| broken(error.into()))?;
    watched(Held(Arc::new(own))).map_err(broken)
}

/// Writes a client's input to a descriptor until either ends; closes the descriptor then.
pub(super) async fn write_to(client: impl tokio::io::AsyncRead + Unpin, descriptor: OwnedFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    let descriptor = watched(Held(Arc::new(descriptor)))?;
    copy_in(client, &descriptor).await
}

async fn write_in(client: impl tokio::io::AsyncRead + Unpin, descriptor: AsyncFd<Held>) {
    // The process closed its input, or ended: what the client still sends goes nowhere.
    let _ = copy_in(client, &descriptor).await;
}

async fn copy_in(mut client: impl tokio::io::AsyncRead + Unpin, descriptor: &AsyncFd<Held>) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        buffer.clear();
        if client.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut written = 0;
        while written < buffer.len() {
            written += descriptor
                .async_io(Interest::WRITABLE, |held| Ok(rustix::io::write(&held.0, &buffer[written..])?))
                .await?;
        }
    }
}

/// Reads until the end; goes on reading when nobody takes it, so that the process does not hang.
async fn read_out(stream: StandardStream, descriptor: AsyncFd<Held>, sender: mpsc::Sender<Output>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read =
            descriptor.async_io(Interest::READABLE, |held| Ok(rustix::io::read(&held.0, &mut buffer[..])?)).await;
        let length = match read {
            // A terminal whose other side is closed says EIO.
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        // The client is gone: it is thrown away.
        let _ = sender.send(Output { stream, at_ns: now_ns(), bytes }).await;
    }
}

/// Reads everything and throws it away.
pub(super) async fn drain(mut output: OutputStream) {
    while output.next().await.is_some() {}
}

/// Sets a terminal's size.
pub(super) fn resize(terminal: &OwnedFd, rows: u16, columns: u16) -> Result<(), ContainerError> {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).map_err(|error| broken(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn input_goes_through_and_the_half_close_too() -> anyhow::Result<()> {
        let (stdin_read, stdin_write) = std::io::pipe()?;
        let (stdout_read, stdout_write) = std::io::pipe()?;
        let (stderr_read, stderr_write) = std::io::pipe()?;
        let child =
            std::process::Command::new("cat").stdin(stdin_read).stdout(stdout_write).stderr(stderr_write).spawn();
        let mut child = child?;
        let descriptors = vec![stdin_write.into(), stdout_read.into(), stderr_read.into()];
        let ends = Ends::sort(descriptors, false, true)?;
        let (stdin, output) = pump(ends, async {})?;
        let mut stdin = stdin.expect("a standard input");

        let sent = vec![b'x'; 1 << 20];
        let copy = sent.clone();
        tokio::spawn(async move {
            stdin.write_all(&copy).await.expect("written");
            stdin.shutdown().await.expect("closed");
        });
        let got: Vec<u8> = output.map(|piece| piece.expect("a piece").bytes.to_vec()).concat().await;

        assert_eq!(got.len(), sent.len());
        child.wait()?;
        Ok(())
    }
}
