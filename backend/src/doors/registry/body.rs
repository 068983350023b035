//! Bytes of a file on their way to a client: read ahead by one piece, on a thread only while it reads, so that a client
//! that takes its time holds no thread and little memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::task::JoinHandle;

/// Bytes read at once.
const PIECE: u64 = 256 << 10;

/// A part of a file.
pub struct Part {
    file: Arc<File>,
    size: u64,
    /// Where the next read begins.
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Part {
    /// From byte `first` to before byte `end`.
    pub fn new(file: File, first: u64, end: u64) -> Self {
        Self { file: Arc::new(file), size: end - first, next: first, end, reading: None }
    }

    fn read_ahead(&mut self) {
        let length = PIECE.min(self.end - self.next);
        if length == 0 {
            return;
        }
        let (file, at) = (self.file.clone(), self.next);
        self.next += length;
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut piece, at)?;
            Ok(Bytes::from(piece))
        }));
    }
}

impl MessageBody for Part {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.reading.is_none() {
            self.read_ahead();
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let piece = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        self.read_ahead();
        Poll::Ready(Some(piece.map_err(io::Error::other).and_then(|piece| piece)))
    }
}

/// No bytes at all, but the length that a GET would have: the answer to a HEAD.
pub struct Length(pub u64);

impl MessageBody for Length {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
