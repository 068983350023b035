//! What all websockets have in common: limits, pings, and an end for readers that are too slow.

use std::pin::{Pin, pin};

use actix_web::rt;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Interval, interval, timeout};

use super::frames::FRAME_BYTES;
use crate::app::App;
use crate::auth::lasting;
use crate::doors::Patience;
use crate::doors::api::{Known, Problem};

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
    /// What it was opened with was revoked, or gives other rights now.
    Revoked,
}

/// An open websocket.
pub struct Socket {
    session: Session,
    messages: MessageStream,
    heard: Instant,
    patience: Patience,
    ping: Interval,
    ended: Pin<Box<dyn Future<Output = ()>>>,
}

/// Answers the handshake.
///
/// # Errors
/// [`Problem`] for a request that is no websocket's.
pub fn open(
    app: &Data<App>,
    known: &Known,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(HttpResponse, Socket), Problem> {
    let handled = actix_ws::handle(request, payload);
    let (response, session, messages) =
        handled.map_err(|error| Problem::invalid(format!("this address is a websocket's: {error}")))?;
    let messages = messages.max_frame_size(FRAME_BYTES);
    let patience = request.app_data::<Data<Patience>>().map_or_else(Patience::default, |patience| ***patience);
    let ended = Box::pin(lasting::ended(app.clone().into_inner(), known.0.clone(), patience.allowed));
    let (heard, ping) = (Instant::now(), interval(patience.ping));
    Ok((response, Socket { session, messages, heard, patience, ping, ended }))
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
        loop {
            tokio::select! {
                frame = frames.next() => match frame {
                    Some(Ok(frame)) => if !self.send(frame).await { return End::Client },
                    Some(Err(reason)) => return End::Failed(reason),
                    None => return End::Done(String::new()),
                },
                said = self.hear() => if let Err(end) = said { return end },
            }
        }
    }

    /// Sends one frame; false: the client is too slow or gone.
    pub async fn send(&mut self, frame: Frame) -> bool {
        let sent = match frame {
            Frame::Text(text) => timeout(self.patience.slow, self.session.text(text)).await,
            Frame::Binary(bytes) => timeout(self.patience.slow, self.session.binary(bytes)).await,
        };
        matches!(sent, Ok(Ok(())))
    }

    /// The next thing that the client says, or why there is an end: it left, broke the rules, is not there any more, or
    /// may not any more. Safe to drop between messages.
    pub async fn hear(&mut self) -> Result<Message, End> {
        loop {
            let message = tokio::select! {
                message = self.messages.next() => message.and_then(Result::ok).ok_or(End::Client)?,
                () = &mut self.ended => return Err(End::Revoked),
                _ = self.ping.tick() => {
                    self.ask_whether_there().await?;
                    continue;
                }
            };
            self.heard = Instant::now();
            match message {
                Message::Ping(bytes) => self.answer(&bytes).await?,
                Message::Close(_) => return Err(End::Client),
                Message::Pong(_) | Message::Nop => {}
                message => return Ok(message),
            }
        }
    }

    async fn ask_whether_there(&mut self) -> Result<(), End> {
        if self.heard.elapsed() >= self.patience.silent {
            return Err(End::Client);
        }
        match timeout(self.patience.slow, self.session.ping(b"")).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Client),
        }
    }

    async fn answer(&mut self, ping: &[u8]) -> Result<(), End> {
        match timeout(self.patience.slow, self.session.pong(ping)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Client),
        }
    }

    /// Says why it ends.
    pub async fn close(self, end: End) {
        let (code, description) = match end {
            End::Done(text) => (CloseCode::Normal, text),
            End::Failed(text) => (CloseCode::Error, text),
            End::Client => (CloseCode::Policy, "too slow, silent or against the protocol".to_owned()),
            End::Revoked => (CloseCode::Policy, "your session or token ended, or your rights changed".to_owned()),
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
        let _ = timeout(self.patience.slow, self.session.close(Some(reason))).await;
    }
}
