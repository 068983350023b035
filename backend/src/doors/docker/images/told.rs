//! Work that tells how far it is, line by line, as dockerd does: an error before the first line has a status, later
//! ones are a line. A client that goes away ends the work.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::doors::docker::error::DockerError;

/// Lines that wait for a slow client.
const LINES: usize = 1024;
/// Of them kept free for lines that matter more than how many bytes came.
const SPARE: usize = LINES / 2;

/// Takes lines without waiting.
#[derive(Debug, Clone)]
pub struct Lines(mpsc::Sender<Result<Value, DockerError>>);

impl Lines {
    /// A line that the client must get. One that does not keep up with these is let go, with its last line lost.
    pub fn tell(&self, line: Value) {
        let _ = self.0.try_send(Ok(line));
    }

    /// A line that may be missed.
    pub fn hint(&self, line: Value) {
        if self.0.capacity() > SPARE {
            self.tell(line);
        }
    }
}

/// Runs `work` and answers with what it tells.
///
/// # Errors
/// What `work` fails with before it told anything.
pub async fn told<Work>(begin: impl FnOnce(Lines) -> Work) -> Result<Response, DockerError>
where
    Work: Future<Output = Result<(), DockerError>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(LINES);
    let work = begin(Lines(sender.clone()));
    tokio::spawn(async move {
        tokio::select! {
            outcome = work => {
                if let Err(error) = outcome {
                    let _ = sender.send(Err(error)).await;
                }
            }
            () = sender.closed() => tracing::debug!("a client went away and its work with it"),
        }
    });
    let first = match receiver.recv().await {
        Some(Err(error)) => return Err(error),
        first => futures_util::stream::iter(first),
    };
    let line = |line: Result<Value, DockerError>| {
        let line = line.unwrap_or_else(|error| failed(&error.message));
        Ok::<_, std::convert::Infallible>(format!("{line}\r\n"))
    };
    let body = Body::from_stream(first.chain(ReceiverStream::new(receiver)).map(line));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn failed(message: &str) -> Value {
    json!({ "errorDetail": { "message": message }, "error": message })
}
