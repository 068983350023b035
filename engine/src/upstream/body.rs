//! What is sent with a request: it can be sent again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_LENGTH;
use reqwest::RequestBuilder;

/// Bytes of a file that are read at once.
const PIECE: u64 = 256 << 10;

/// What is sent.
#[derive(Debug, Clone, Default)]
pub(super) enum Body {
    #[default]
    None,
    Bytes(Bytes),
    /// A part of a file. `told`: counts what was handed on.
    File {
        file: Arc<File>,
        from: u64,
        length: u64,
        told: Arc<AtomicU64>,
    },
}

impl Body {
    /// Adds it; `moved` counts its bytes as they are taken.
    pub fn put_into(&self, request: RequestBuilder, moved: &Arc<AtomicU64>) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Bytes(bytes) => request.body(bytes.clone()),
            Self::File { file, from, length, told } => {
                told.store(*from, Ordering::Relaxed);
                let state = (file.clone(), *from, from + length, moved.clone(), told.clone());
                let pieces = stream::try_unfold(state, |(file, at, end, moved, told)| async move {
                    if at == end {
                        return Ok(None);
                    }
                    let reading = file.clone();
                    let piece = tokio::task::spawn_blocking(move || read(&reading, at, end)).await;
                    let piece = piece.map_err(std::io::Error::other)??;
                    let next = at + piece.len() as u64;
                    moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    told.store(next, Ordering::Relaxed);
                    Ok::<_, std::io::Error>(Some((piece, (file, next, end, moved, told))))
                });
                request.header(CONTENT_LENGTH, *length).body(reqwest::Body::wrap_stream(pieces))
            }
        }
    }
}

fn read(file: &File, at: u64, end: u64) -> std::io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from((end - at).min(PIECE)).unwrap_or_default()];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}
