//! What all websockets have in common: limits, pings, and an end for readers that are too slow.

use std::pin::pin;
use std::time::Duration;

use actix_web::rt;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, interval, timeout};

use crate::doors::api::Problem;

/// Most bytes of a frame from a client.
const FRAME_BYTES: usize = 64 << 10;
/// A client that takes no frame for so long is let go.
const SLOW: Duration = Duration::from_secs(10);
/// How often a quiet client is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// A client that says nothing at all for so long is gone.
const SILENT: Duration = Duration::from_secs(65);

/// One frame to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Text, JSON mostly.
    Text(String),
    /// Bytes of a terminal.
    Binary(Bytes),
}

/// Why a client is let go, as its websocket's close says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// There is no more.
    Done(String),
    /// Something of ours failed.
    Failed(String),
    /// It broke the rules, was too slow, or is gone.
    Client,
}

/// An open websocket.
pub struct Socket {
    session: Session,
    messages: MessageStream,
    heard: Instant,
}

/// Answers the handshake.
///
/// # Errors
/// [`Problem`] for a request that is no websocket's.
pub fn open(request: &HttpRequest, payload: Payload) -> Result<(HttpResponse, Socket), Problem> {
    let handled = actix_ws::handle(request, payload);
    let (response, session, messages) =
        handled.map_err(|error| Problem::invalid(format!("this address is a websocket's: {error}")))?;
    let messages = messages.max_frame_size(FRAME_BYTES);
    Ok((response, Socket { session, messages, heard: Instant::now() }))
}

impl Socket {
    /// Sends what comes, until it ends or the client leaves; what the client says is read and thrown away.
    pub fn follow(self, frames: impl Stream<Item = Result<Frame, String>> + 'static) {
        rt::spawn(async move {
            let mut socket = self;
            let end = socket.pump(frames).await;
            socket.close(end).await;
        });
    }

    async fn pump(&mut self, frames: impl Stream<Item = Result<Frame, String>>) -> End {
        let mut frames = pin!(frames);
        let mut ping = interval(PING);
        loop {
            tokio::select! {
                frame = frames.next() => match frame {
                    Some(Ok(frame)) => if !self.send(frame).await { return End::Client },
                    Some(Err(reason)) => return End::Failed(reason),
                    None => return End::Done(String::new()),
                },
                said = self.hear() => if said.is_none() { return End::Client },
                _ = ping.tick() => if !self.is_there().await { return End::Client },
            }
        }
    }

    /// Sends one frame; false: the client is too slow or gone.
    pub async fn send(&mut self, frame: Frame) -> bool {
        let sent = match frame {
            Frame::Text(text) => timeout(SLOW, self.session.text(text)).await,
            Frame::Binary(bytes) => timeout(SLOW, self.session.binary(bytes)).await,
        };
        matches!(sent, Ok(Ok(())))
    }

    /// Asks a quiet client whether it is there; false: it is not.
    pub async fn is_there(&mut self) -> bool {
        self.heard.elapsed() < SILENT && matches!(timeout(SLOW, self.session.ping(b"")).await, Ok(Ok(())))
    }

    /// The next thing that the client says; `None`: it left or broke the rules. Safe to drop between messages.
    pub async fn hear(&mut self) -> Option<Message> {
        loop {
            let message = self.messages.next().await?.ok()?;
            self.heard = Instant::now();
            match message {
                Message::Ping(bytes) => self.session.pong(&bytes).await.ok()?,
                Message::Close(_) => return None,
                Message::Pong(_) | Message::Nop => {}
                message => return Some(message),
            }
        }
    }

    /// Says why it ends.
    pub async fn close(self, end: End) {
        let (code, description) = match end {
            End::Done(text) => (CloseCode::Normal, text),
            End::Failed(text) => (CloseCode::Error, text),
            End::Client => (CloseCode::Policy, "too slow, silent or against the protocol".to_owned()),
        };
        // 123 bytes is the most that a close frame says (RFC 6455, 5.5); cut where a character begins.
        let description: String = description
            .chars()
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= 123).then_some(c)
            })
            .collect();
        let reason = CloseReason { code, description: Some(description).filter(|text| !text.is_empty()) };
        // A client that is gone cannot be told; there is nothing else to do about it.
        let _ = timeout(SLOW, self.session.close(Some(reason))).await;
    }
}
