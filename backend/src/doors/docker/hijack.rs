//! A connection that becomes a raw stream in both directions: `attach` and `exec start`.
//!
//! With `Upgrade: tcp` the answer is 101 and the connection is the stream. Without it the answer is 200, output is its
//! body and input the request's, as in HTTP. Spec: Docker Engine API, `ContainerAttach`, "Hijacking".

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sampan_engine::containers::{Attached, StdinWriter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::detach::DetachKeys;
use super::frames::Framing;
use super::version::Version;

/// Largest piece of input read at once.
const INPUT_BYTES: usize = 16 << 10;
/// How long a client may go on sending after the output ended, before the connection is closed over it.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// The way a client's connection can be taken over.
pub enum Connection {
    /// It asked for an upgrade.
    Upgrade(OnUpgrade),
    /// It did not: the request's body is all the input there is.
    Body(BodyDataStream),
}

impl Connection {
    /// Takes it out of a request. A body that is JSON must have been read before.
    pub fn of(mut request: Request) -> Self {
        if request.headers().contains_key(header::UPGRADE) {
            return Self::Upgrade(hyper::upgrade::on(&mut request));
        }
        Self::Body(request.into_body().into_data_stream())
    }
}

/// How a stream behaves.
pub struct Session {
    /// The container's ends.
    pub attached: Attached,
    /// Looked for in what is typed at a terminal.
    pub keys: DetachKeys,
    /// The end of the client's input also ends its output.
    pub ends_with_input: bool,
}

impl Session {
    /// Answers and lets the streams flow.
    pub fn run(self, connection: Connection, version: Version) -> Response {
        let framing = Framing::of(self.attached.tty);
        match connection {
            Connection::Upgrade(upgrade) => {
                tokio::spawn(async move {
                    match upgrade.await {
                        Ok(upgraded) => self.flow(TokioIo::new(upgraded), framing).await,
                        Err(error) => tracing::debug!(%error, "a client left before its stream began"),
                    }
                });
                switching(framing.content_type(version)).into_response()
            }
            Connection::Body(input) => {
                if let Some(stdin) = self.attached.stdin {
                    tokio::spawn(feed(input, stdin));
                }
                let output = self
                    .attached
                    .output
                    .map(move |piece| piece.map(|piece| framing.frame(piece.stream, b"", &piece.bytes)));
                let kind = [(header::CONTENT_TYPE, "application/vnd.docker.raw-stream")];
                (kind, Body::from_stream(output)).into_response()
            }
        }
    }

    /// Copies in both directions until the output ends, the client detaches, or either side is gone.
    async fn flow<S: AsyncRead + AsyncWrite + Send>(self, io: S, framing: Framing) {
        let (mut from_client, mut to_client) = tokio::io::split(io);
        let Self { attached: Attached { stdin, mut output, tty }, keys, ends_with_input } = self;
        let writing = async {
            while let Some(piece) = output.next().await {
                let Ok(piece) = piece else { break };
                if to_client.write_all(&framing.frame(piece.stream, b"", &piece.bytes)).await.is_err() {
                    break;
                }
            }
            // The half-close tells the client; a full one while it still sends would be a reset.
            let _ = to_client.shutdown().await;
        };
        let reading = async {
            let end = read_input(&mut from_client, stdin, tty.then_some(keys)).await;
            if end == InputEnd::Ended && !ends_with_input {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = writing => {}
            () = reading => return,
        }
        let _ = tokio::time::timeout(LINGER, drain(&mut from_client)).await;
    }
}

/// How a client's input came to its end.
#[derive(Debug, PartialEq, Eq)]
enum InputEnd {
    /// The client closed it, or the container reads no more.
    Ended,
    /// The detach keys were typed.
    Detached,
}

/// Gives input to the container; the end of it is passed on as the half-close.
async fn read_input<R: AsyncRead + Unpin>(
    from_client: &mut R,
    mut stdin: Option<StdinWriter>,
    mut keys: Option<DetachKeys>,
) -> InputEnd {
    let mut buffer = vec![0_u8; INPUT_BYTES];
    loop {
        let count = match from_client.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let input = &buffer[..count];
        let Some(writer) = stdin.as_mut() else { continue };
        let (forward, detach) = match keys.as_mut() {
            None => (Bytes::copy_from_slice(input), false),
            Some(keys) => {
                let typed = keys.feed(input);
                (Bytes::from(typed.forward), typed.detach)
            }
        };
        if writer.write_all(&forward).await.is_err() {
            // The container reads no more; what comes is thrown away, its output goes on.
            stdin = None;
        }
        if detach {
            return InputEnd::Detached;
        }
    }
    if let Some(mut writer) = stdin {
        if let Some(keys) = keys {
            let _ = writer.write_all(keys.rest()).await;
        }
        let _ = writer.shutdown().await;
    }
    InputEnd::Ended
}

/// Reads until the client closes.
async fn drain<R: AsyncRead + Unpin>(from_client: &mut R) {
    let mut buffer = vec![0_u8; INPUT_BYTES];
    while matches!(from_client.read(&mut buffer).await, Ok(count) if count > 0) {}
}

/// Input that comes as a request's body.
async fn feed(mut input: BodyDataStream, mut stdin: StdinWriter) {
    while let Some(Ok(piece)) = input.next().await {
        if stdin.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = stdin.shutdown().await;
}

fn switching(content_type: &'static str) -> impl IntoResponse {
    (
        StatusCode::SWITCHING_PROTOCOLS,
        [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "tcp"), (header::CONTENT_TYPE, content_type)],
    )
}

/// A stream of one sentence: why an exec did not begin, when the client reads its stream and not the status.
pub fn sentence(connection: Connection, sentence: String) -> Response {
    match connection {
        Connection::Body(_) => Body::from(sentence).into_response(),
        Connection::Upgrade(upgrade) => {
            tokio::spawn(async move {
                let Ok(upgraded) = upgrade.await else { return };
                let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(upgraded));
                let _ = to_client.write_all(sentence.as_bytes()).await;
                let _ = to_client.shutdown().await;
                let _ = tokio::time::timeout(LINGER, drain(&mut from_client)).await;
            });
            switching("application/vnd.docker.raw-stream").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_engine::containers::{Output, StandardStream};

    /// A session with a container that gives back what it reads.
    fn session(tty: bool, ends_with_input: bool) -> Session {
        let (stdin, container) = tokio::io::duplex(1024);
        let echoed = tokio_util::io::ReaderStream::new(container)
            .map(|read| Ok(Output { stream: StandardStream::Stdout, at_ns: 0, bytes: read.expect("read") }));
        let attached = Attached { stdin: Some(stdin), output: echoed.boxed(), tty };
        Session { attached, keys: DetachKeys::parse("").expect("default keys"), ends_with_input }
    }

    async fn talk(tty: bool, ends_with_input: bool, typed: &[u8], close: bool) -> Vec<u8> {
        let session = session(tty, ends_with_input);
        let (mut client, server) = tokio::io::duplex(1024);
        let flow = tokio::spawn(session.flow(server, Framing::of(tty)));
        client.write_all(typed).await.expect("typed");
        if close {
            client.shutdown().await.expect("half-close");
        }
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.expect("heard");
        drop(client);
        flow.await.expect("flow");
        heard
    }

    #[tokio::test]
    async fn the_half_close_reaches_the_container_and_its_last_words_the_client() {
        assert_eq!(talk(false, false, b"hi\n", true).await, b"\x01\0\0\0\0\0\0\x03hi\n");
    }

    #[tokio::test]
    async fn the_detach_keys_end_the_stream_of_a_terminal() {
        let heard = talk(true, true, b"\x10\x11", false).await;
        assert_eq!(heard, b"");
    }

    #[tokio::test]
    async fn without_a_terminal_the_detach_keys_are_bytes_like_others() {
        assert_eq!(talk(false, false, b"\x10\x11", true).await, b"\x01\0\0\0\0\0\0\x02\x10\x11");
    }
}
