//! One connection: requests in order, answers in order, news in between.
//!
//! The other side answers each connection's requests one after the other, so the n-th answer belongs to the n-th
//! request. A reader task hands answers out and passes news on; a caller that goes away does not disturb the order.
//! When the other side ends (keeper starts it again), all that waited learn it and the next request connects anew.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_runtime::wire::Refusal;
use sampan_runtime::wire::socket::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::kind::Kind;

/// How long a process that does not listen is waited for: keeper starts a dead one again at once.
const PATIENCE: Duration = Duration::from_secs(8);

/// Why a process did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It refused; the text is its sentence for a person.
    #[error("{message}")]
    Refused {
        /// What the caller can do about it.
        kind: Kind,
        /// The sentence.
        message: String,
    },
    /// It does not listen, although it was tried again for some seconds.
    #[error("{process} does not answer on {}", .socket.display())]
    Unreachable {
        /// Which process.
        process: &'static str,
        /// Its socket.
        socket: PathBuf,
        /// The last attempt.
        #[source]
        source: io::Error,
    },
    /// It ended between the request and its answer, so nobody knows how far it came.
    #[error("{process} ended while it worked on a request")]
    Ended {
        /// Which process.
        process: &'static str,
    },
    /// It answered something that does not fit the request.
    #[error("{process} answered out of turn")]
    OutOfTurn {
        /// Which process.
        process: &'static str,
    },
}

impl ProcessError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused { kind, .. } => *kind,
            _ => Kind::Internal,
        }
    }
}

impl From<Refusal> for ProcessError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { kind: refusal.kind.into(), message: refusal.message }
    }
}

/// The words of one protocol.
pub(crate) trait Words: Send + Sync + 'static {
    type Request: Serialize + Send + Sync;
    type Answer: DeserializeOwned + Send + std::fmt::Debug;
    /// For error texts.
    const PROCESS: &'static str;
    /// Sorts what arrived.
    fn sort(answer: Self::Answer) -> Sorted<Self::Answer>;
}

/// What a message is.
pub(crate) enum Sorted<A> {
    /// An answer to the oldest request.
    Answer(A),
    /// Its refusal.
    Refused(Refusal),
    /// Something it tells of itself.
    News(A),
}

/// Is given news, in order; must not block.
pub(crate) type Listener<A> = Option<Arc<dyn Fn(A) + Send + Sync>>;

type Reply<A> = Result<(A, Vec<OwnedFd>), ProcessError>;

/// A client of one process. Cheap to share behind an `Arc`.
pub(crate) struct Client<W: Words> {
    socket: PathBuf,
    hello: Vec<W::Request>,
    news: Listener<W::Answer>,
    live: tokio::sync::Mutex<Option<Arc<Live<W>>>>,
}

impl<W: Words> std::fmt::Debug for Client<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("socket", &self.socket).finish_non_exhaustive()
    }
}

struct Live<W: Words> {
    connection: AsyncFd<Connection>,
    /// Held while a request is sent, so that the order of sending is the order of waiting.
    sending: tokio::sync::Mutex<()>,
    waiting: Mutex<Waiting<W::Answer>>,
    ended: CancellationToken,
}

struct Waiting<A> {
    queue: VecDeque<oneshot::Sender<Reply<A>>>,
    ended: bool,
}

impl<W: Words> Client<W> {
    /// A client of the process that listens on `socket`; connects with the first request and sends `hello` first on
    /// every connection. News go to `news`.
    pub(crate) fn new(socket: PathBuf, hello: Vec<W::Request>, news: Listener<W::Answer>) -> Self {
        Self { socket, hello, news, live: tokio::sync::Mutex::default() }
    }

    /// Sends a request with descriptors, gives the answer with those beside it. A request that could not be sent is
    /// sent again on a new connection; one whose answer is missing is not.
    pub(crate) async fn call(
        &self,
        request: &W::Request,
        descriptors: &[OwnedFd],
    ) -> Result<(W::Answer, Vec<OwnedFd>), ProcessError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(2);
        loop {
            let source = match self.live().await {
                Ok((live, _)) => match live.send(request, descriptors).await {
                    Ok(reply) => return reply.await.unwrap_or(Err(ProcessError::Ended { process: W::PROCESS })),
                    Err(source) => {
                        self.forget(&live).await;
                        source
                    }
                },
                Err(source) => source,
            };
            if tokio::time::Instant::now() + pause >= deadline || !is_passing(&source) {
                return Err(self.unreachable(source));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// As [`Client::call`], for a request that is answered without descriptors.
    pub(crate) async fn ask(&self, request: &W::Request) -> Result<W::Answer, ProcessError> {
        self.call(request, &[]).await.map(|(answer, _)| answer)
    }

    /// The error for a connection that could not be made.
    pub(crate) fn unreachable(&self, source: io::Error) -> ProcessError {
        ProcessError::Unreachable { process: W::PROCESS, socket: self.socket.clone(), source }
    }

    /// Connects if there is no connection; `false`: there was one. Its own tries only.
    pub(crate) async fn connect(&self) -> io::Result<bool> {
        self.live().await.map(|(_, made)| made)
    }

    /// Waits until the present connection ends; returns at once without one.
    pub(crate) async fn ended(&self) {
        let live = self.live.lock().await.clone();
        if let Some(live) = live {
            live.ended.cancelled().await;
        }
    }

    async fn live(&self) -> io::Result<(Arc<Live<W>>, bool)> {
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_ref()
            && !live.lock().ended
        {
            return Ok((live.clone(), false));
        }
        let live = self.open().await?;
        *slot = Some(live.clone());
        Ok((live, true))
    }

    async fn open(&self) -> io::Result<Arc<Live<W>>> {
        let connection = Connection::connect(&self.socket)?;
        connection.set_nonblocking(true)?;
        let live = Arc::new(Live {
            connection: watched(connection)?,
            sending: tokio::sync::Mutex::default(),
            waiting: Mutex::new(Waiting { queue: VecDeque::new(), ended: false }),
            ended: CancellationToken::new(),
        });
        tokio::spawn(Live::read(live.clone(), self.news.clone()));
        for hello in &self.hello {
            let reply = live.send(hello, &[]).await?;
            match reply.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(io::Error::new(io::ErrorKind::PermissionDenied, error)),
                Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        Ok(live)
    }

    async fn forget(&self, old: &Arc<Live<W>>) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|live| Arc::ptr_eq(live, old)) {
            *slot = None;
        }
    }
}

impl<W: Words> Drop for Client<W> {
    fn drop(&mut self) {
        if let Some(live) = self.live.get_mut() {
            // The reader sees the end of the connection and leaves.
            let _ = rustix::net::shutdown(live.connection.get_ref().as_fd(), rustix::net::Shutdown::Both);
        }
    }
}

impl<W: Words> Live<W> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<W::Answer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        &self,
        request: &W::Request,
        descriptors: &[OwnedFd],
    ) -> io::Result<oneshot::Receiver<Reply<W::Answer>>> {
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let _turn = self.sending.lock().await;
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.ended {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            // Before sending: the answer may be there before this task runs again.
            waiting.queue.push_back(sender);
        }
        let mut place = Place { live: self, sent: false };
        self.connection.async_io(Interest::WRITABLE, |connection| connection.send(request, &borrowed)).await?;
        place.sent = true;
        Ok(receiver)
    }

    async fn read(live: Arc<Self>, news: Listener<W::Answer>) {
        loop {
            let received =
                live.connection.async_io(Interest::READABLE, |connection| connection.receive::<W::Answer>()).await;
            let (answer, descriptors) = match received {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(error) => {
                    if !is_passing(&error) {
                        tracing::warn!(process = W::PROCESS, %error, "a connection broke");
                    }
                    break;
                }
            };
            let reply = match W::sort(answer) {
                Sorted::News(answer) => {
                    if let Some(news) = &news {
                        news(answer);
                    }
                    continue;
                }
                Sorted::Answer(answer) => Ok((answer, descriptors)),
                Sorted::Refused(refusal) => Err(refusal.into()),
            };
            let Some(waiter) = live.lock().queue.pop_front() else {
                tracing::warn!(process = W::PROCESS, "an answer came that nobody asked for");
                break;
            };
            // A caller that went away does not need it.
            let _ = waiter.send(reply);
        }
        let mut waiting = live.lock();
        waiting.ended = true;
        waiting.queue.clear();
        drop(waiting);
        live.ended.cancel();
        let _ = rustix::net::shutdown(live.connection.get_ref().as_fd(), rustix::net::Shutdown::Both);
    }
}

/// The last place in the queue, given up when its request was not sent: by an error, or by a caller that went away
/// before. The turn is still held then, so nobody stands behind it.
struct Place<'a, W: Words> {
    live: &'a Live<W>,
    sent: bool,
}

impl<W: Words> Drop for Place<'_, W> {
    fn drop(&mut self) {
        if !self.sent {
            self.live.lock().queue.pop_back();
        }
    }
}

/// Has the runtime watch a descriptor that the result owns.
#[expect(
    deprecated,
    reason = "the replacement is an unsafe function for owners that could close their descriptor; these cannot"
)]
pub(crate) fn watched<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(owner)
}

/// Whether a process that is being started again explains it.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use sampan_runtime::wire::socket::{Connection, Listener};
    use sampan_runtime::wire::spawner::{Answer, Request};
    use sampan_runtime::wire::{Refusal, RefusalKind};

    use super::{Client, ProcessError};
    use crate::processes::spawner::SpawnerWords;

    /// A spawner that answers usage with the number in its path, refuses `x`, and leaves at `end`.
    fn serve(connection: &Connection) -> anyhow::Result<()> {
        while let Some((request, _)) = connection.receive::<Request>()? {
            let answer = match request {
                Request::Usage { target } => match target.to_str().map(str::parse) {
                    Some(Ok(bytes)) => Answer::Usage { bytes, files: 1 },
                    _ if target.as_os_str() == "end" => return Ok(()),
                    _ => Answer::Refused(Refusal { kind: RefusalKind::Invalid, message: "no number".into() }),
                },
                _ => Answer::Done,
            };
            let null = std::fs::File::open("/dev/null")?;
            connection.send(&answer, &[null.as_fd()])?;
        }
        Ok(())
    }

    fn usage(target: &str) -> Request {
        Request::Usage { target: target.into() }
    }

    #[tokio::test]
    async fn answers_keep_their_order_and_a_lost_caller_does_not_disturb_it() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("s");
        let listener = Listener::bind(&socket)?;
        std::thread::spawn(move || {
            while let Ok(connection) = listener.accept() {
                std::thread::spawn(move || serve(&connection));
            }
        });
        let client = Client::<SpawnerWords>::new(socket, vec![usage("1")], None);

        let many = futures_util::future::join_all((0..50).map(|number: u64| {
            let client = &client;
            async move {
                let request = usage(&number.to_string());
                if number.is_multiple_of(3) {
                    // Gives up at once, whether its request was sent or not.
                    let _ = tokio::time::timeout(std::time::Duration::ZERO, client.call(&request, &[])).await;
                    return None;
                }
                Some((number, client.call(&request, &[]).await))
            }
        }))
        .await;
        for (number, reply) in many.into_iter().flatten() {
            let (answer, descriptors) = reply?;
            assert_eq!(answer, Answer::Usage { bytes: number, files: 1 });
            assert_eq!(descriptors.len(), 1);
        }

        let refused = client.ask(&usage("x")).await;
        assert!(matches!(refused, Err(ProcessError::Refused { .. })), "{refused:?}");
        let ended = client.ask(&usage("end")).await;
        assert!(matches!(ended, Err(ProcessError::Ended { .. })), "{ended:?}");
        assert_eq!(client.ask(&usage("7")).await?, Answer::Usage { bytes: 7, files: 1 });
        Ok(())
    }
}
