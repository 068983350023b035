//! A connection that becomes a raw stream in both directions: `attach` and `exec start`.
//!
//! The handler hands a [`RawStream`] to its connection, which takes the socket back from hyper, writes the head of the
//! answer and lets the bytes flow. With `Upgrade: tcp` the head is a 101, without it (the older style) a 200; the stream
//! is the same. Spec: Docker Engine API, `ContainerAttach`, "Hijacking".

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header;
use sampan_engine::containers::{Attached, StandardStream, StdinWriter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::detach::DetachKeys;
use super::error::DockerError;
use super::frames::Framing;
use super::version::Version;

/// Largest piece of input read at once.
const INPUT_BYTES: usize = 16 << 10;
/// How long a client may go on sending after the output ended, before the connection is closed over it.
const LINGER: Duration = Duration::from_secs(2);
/// How often it is looked whether a silent client is still there.
const PRESENCE: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(5) };

/// A connection's ear for handlers that want the socket.
pub type Takers = mpsc::Sender<(String, RawStream)>;

/// A request whose connection can be taken over.
pub struct Hijack {
    takers: Takers,
    upgrade: bool,
    version: Version,
}

impl<S: Send + Sync> FromRequestParts<S> for Hijack {
    type Rejection = DockerError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, DockerError> {
        let takers = parts.extensions.get::<Takers>().cloned();
        let takers = takers.ok_or_else(|| DockerError::internal("this connection cannot become a stream"))?;
        let upgrade = parts.headers.contains_key(header::UPGRADE);
        Ok(Self { takers, upgrade, version: Version::from_request_parts(parts, state).await? })
    }
}

impl Hijack {
    /// Hands the stream over. Never answers, unless the connection is gone: the stream is the answer.
    pub async fn answer(self, stream: RawStream) -> Response {
        let framing = match &stream {
            RawStream::Session(session) => Framing::of(session.attached.tty),
            RawStream::Sentence { tty, .. } => Framing::of(*tty),
        };
        let head = if self.upgrade {
            let kind = framing.content_type(self.version);
            format!("HTTP/1.1 101 UPGRADED\r\nContent-Type: {kind}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        } else {
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n".to_owned()
        };
        if self.takers.send((head, stream)).await.is_err() {
            tracing::debug!("a client left before its stream began");
        }
        std::future::pending().await
    }
}

/// What flows over a connection that was taken over.
pub enum RawStream {
    /// The streams of a container or an exec.
    Session(Session),
    /// One sentence in the place of output: why an exec did not begin, when the client reads its stream and not the
    /// status.
    Sentence {
        /// The text.
        sentence: String,
        /// Whether the client expects a terminal's bytes.
        tty: bool,
    },
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

impl RawStream {
    /// Writes the head, then lets the bytes flow until either side is done. `early`: input that came with the request.
    pub async fn flow(self, mut socket: UnixStream, head: String, early: Bytes) {
        if socket.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        match self {
            Self::Session(session) => session.flow(socket, early).await,
            Self::Sentence { sentence, tty } => {
                let (mut from_client, mut to_client) = socket.split();
                let frame = Framing::of(tty).frame(StandardStream::Stdout, b"", sentence.as_bytes());
                let _ = to_client.write_all(&frame).await;
                let _ = to_client.shutdown().await;
                let _ = tokio::time::timeout(LINGER, drain(&mut from_client)).await;
            }
        }
    }
}

impl Session {
    /// Copies in both directions until the output ends, the client detaches, or either side is gone.
    async fn flow(self, mut socket: UnixStream, early: Bytes) {
        let Self { attached: Attached { stdin, mut output, tty }, keys, ends_with_input } = self;
        let framing = Framing::of(tty);
        let (from_client, mut to_client) = socket.split();
        let mut from_client = std::io::Cursor::new(early).chain(from_client);
        let writing = async {
            loop {
                tokio::select! {
                    piece = output.next() => {
                        let Some(Ok(piece)) = piece else { break };
                        let frame = framing.frame(piece.stream, b"", &piece.bytes);
                        if to_client.write_all(&frame).await.is_err() {
                            break;
                        }
                    }
                    () = tokio::time::sleep(PRESENCE) => {
                        // A half-close is no absence; only a client that is gone makes the socket unwritable for good.
                        let ready = to_client.ready(Interest::WRITABLE).await;
                        if ready.is_ok_and(|ready| ready.is_write_closed()) {
                            break;
                        }
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_engine::containers::Output;

    /// A session with a container that gives back what it reads.
    fn session(tty: bool) -> Session {
        let (stdin, container) = tokio::io::duplex(1024);
        let echoed = tokio_util::io::ReaderStream::new(container)
            .map(|read| Ok(Output { stream: StandardStream::Stdout, at_ns: 0, bytes: read.expect("read") }));
        let attached = Attached { stdin: Some(stdin), output: echoed.boxed(), tty };
        Session { attached, keys: DetachKeys::parse("").expect("default keys"), ends_with_input: false }
    }

    async fn talk(tty: bool, early: &'static [u8], typed: &[u8], close: bool) -> Vec<u8> {
        let session = session(tty);
        let (mut client, server) = UnixStream::pair().expect("sockets");
        let flow = tokio::spawn(session.flow(server, Bytes::from_static(early)));
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
        assert_eq!(talk(false, b"", b"hi\n", true).await, b"\x01\0\0\0\0\0\0\x03hi\n");
    }

    #[tokio::test]
    async fn the_detach_keys_end_the_stream_of_a_terminal() {
        let heard = talk(true, b"", b"\x10\x11", false).await;
        assert_eq!(heard, b"");
    }

    #[tokio::test]
    async fn without_a_terminal_the_detach_keys_are_bytes_like_others() {
        assert_eq!(talk(false, b"", b"\x10\x11", true).await, b"\x01\0\0\0\0\0\0\x02\x10\x11");
    }

    #[tokio::test]
    async fn input_that_came_with_the_request_comes_first() {
        let heard = talk(false, b"a", b"b", true).await;
        let texts: Vec<u8> = heard.chunks(9).filter_map(|frame| frame.get(8)).copied().collect();
        assert!(heard.ends_with(b"b") && (texts == b"ab" || heard == b"\x01\0\0\0\0\0\0\x02ab"), "{heard:?}");
    }

    #[tokio::test]
    async fn a_silent_container_does_not_keep_the_stream_of_a_client_that_is_gone() {
        let attached = Attached { stdin: None, output: futures_util::stream::pending().boxed(), tty: false };
        let session = Session { attached, keys: DetachKeys::parse("").expect("default keys"), ends_with_input: false };
        let (client, server) = UnixStream::pair().expect("sockets");
        drop(client);
        session.flow(server, Bytes::new()).await;
    }
}
