//! The engine's connection to the `net` process.
//!
//! One connection, one request at a time (the other side has one thread). Every request may be repeated: when `net`
//! was killed, keeper starts it again and the request is sent once more.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::net::{Answer, Port, Request};
use sampan_runtime::wire::socket::Connection;
use sampan_runtime::wire::spawner::Endpoint;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::NetworkError;

/// How long a `net` that does not listen is waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// Calls the `net` process. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    /// Taken out while a request is under way, so that a dropped future never leaves a stale answer behind.
    connection: Mutex<Option<AsyncFd<Connection>>>,
}

/// What `net` knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Endpoints by container (or cradle) id.
    pub endpoints: Vec<(String, Endpoint)>,
    /// Published ports by container id.
    pub ports: Vec<(String, Vec<Port>)>,
    /// Bridges.
    pub bridges: Vec<Bridge>,
}

/// One bridge of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Key of the team.
    pub team: String,
    /// Name of the interface.
    pub interface: String,
    /// The host's address on it.
    pub gateway: Ipv4Addr,
    /// Length of the subnet's prefix.
    pub prefix: u8,
}

impl Client {
    /// A client of the process that listens on `socket` (`net.sock` in the state root). Connects with the first
    /// request.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, connection: Mutex::new(None) }
    }

    /// Publishes `ports` for container `id`, all or none, and answers them with their host ports filled in, in the
    /// order asked. Replaces what was published before. `None` as address: the one the container has, or gets when it
    /// is started; the ports are taken at once.
    ///
    /// # Errors
    /// Conflict with a sentence when a port is taken; `Unreachable`.
    pub async fn publish(
        &self,
        id: &str,
        address: Option<Ipv4Addr>,
        ports: Vec<Port>,
    ) -> Result<Vec<Port>, NetworkError> {
        let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        match self.call(&Request::Publish { id: id.to_owned(), address, ports }).await? {
            Answer::Published { ports } => Ok(ports),
            _ => Err(NetworkError::OutOfTurn { request: "publish" }),
        }
    }

    /// Takes back what was published for `id`; nothing published is no error.
    ///
    /// # Errors
    /// `Unreachable`, or a refusal.
    pub async fn unpublish(&self, id: &str) -> Result<(), NetworkError> {
        self.done(&Request::Unpublish { id: id.to_owned() }, "unpublish").await
    }

    /// Lets go of the container's address and ports; none is no error.
    ///
    /// # Errors
    /// `Unreachable`, or a refusal.
    pub async fn detach(&self, id: &str) -> Result<(), NetworkError> {
        self.done(&Request::Detach { id: id.to_owned() }, "detach").await
    }

    /// Gives the address of `from` to `to`.
    ///
    /// # Errors
    /// Not found; `Unreachable`.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), NetworkError> {
        self.done(&Request::Rename { from: from.to_owned(), to: to.to_owned() }, "rename").await
    }

    /// Removes the bridges of a team without endpoints.
    ///
    /// # Errors
    /// Conflict while it has endpoints; `Unreachable`.
    pub async fn remove_team(&self, team: &str) -> Result<(), NetworkError> {
        self.done(&Request::RemoveTeam { team: team.to_owned() }, "remove-team").await
    }

    /// Removes bridges, table and rules of this instance.
    ///
    /// # Errors
    /// `Unreachable`, or a refusal that names what is left.
    pub async fn purge(&self) -> Result<(), NetworkError> {
        self.done(&Request::Purge, "purge").await
    }

    /// All that `net` knows.
    ///
    /// # Errors
    /// `Unreachable`, or a refusal.
    pub async fn state(&self) -> Result<State, NetworkError> {
        let mut state = State::default();
        let mut after = String::new();
        loop {
            let answer = self.call(&Request::State { after }).await?;
            let Answer::State { endpoints, ports, bridges, next } = answer else {
                return Err(NetworkError::OutOfTurn { request: "state" });
            };
            state.endpoints.extend(endpoints);
            state.ports.extend(ports);
            state.bridges.extend(bridges.into_iter().map(|(team, interface, gateway, prefix)| Bridge {
                team,
                interface,
                gateway,
                prefix,
            }));
            match next {
                Some(next) => after = next,
                None => return Ok(state),
            }
        }
    }

    async fn done(&self, request: &Request, name: &'static str) -> Result<(), NetworkError> {
        match self.call(request).await? {
            Answer::Done => Ok(()),
            _ => Err(NetworkError::OutOfTurn { request: name }),
        }
    }

    /// Sends and receives, again on a new connection when the old one broke.
    async fn call(&self, request: &Request) -> Result<Answer, NetworkError> {
        let mut kept = self.connection.lock().await;
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(2);
        loop {
            let attempt = async {
                let connection = match kept.take() {
                    Some(connection) => connection,
                    None => self.connect().await?,
                };
                let answer = exchange(&connection, request).await?;
                Ok((connection, answer))
            };
            match tokio::time::timeout_at(deadline, attempt).await.unwrap_or_else(|_| Err(timed_out())) {
                Ok((connection, answer)) => {
                    *kept = Some(connection);
                    return match answer {
                        Answer::Refused(refusal) => Err(refusal.into()),
                        answer => Ok(answer),
                    };
                }
                Err(source) if Instant::now() + pause >= deadline || !is_passing(&source) => {
                    return Err(NetworkError::Unreachable { socket: self.socket.clone(), source });
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    async fn connect(&self) -> io::Result<AsyncFd<Connection>> {
        let connection = Connection::connect(&self.socket)?;
        connection.set_nonblocking(true)?;
        let connection = watched(connection)?;
        match exchange(&connection, &Request::Hello { version: VERSION }).await? {
            Answer::Welcome { .. } => Ok(connection),
            Answer::Refused(refusal) => Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not the network process")),
        }
    }
}

/// One request, one answer.
async fn exchange(connection: &AsyncFd<Connection>, request: &Request) -> io::Result<Answer> {
    connection.async_io(tokio::io::Interest::WRITABLE, |connection| connection.send(request, &[])).await?;
    let received =
        connection.async_io(tokio::io::Interest::READABLE, |connection| connection.receive::<Answer>()).await?;
    let (answer, _descriptors) = received.ok_or(io::ErrorKind::ConnectionReset)?;
    Ok(answer)
}

/// Whether a `net` that is being started again explains it.
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

/// Has the runtime watch a connection.
#[expect(
    deprecated,
    reason = "the replacement is an unsafe function for owners that could close their descriptor; a connection cannot"
)]
fn watched(connection: Connection) -> io::Result<AsyncFd<Connection>> {
    AsyncFd::new(connection)
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}
