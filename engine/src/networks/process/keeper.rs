//! The connection to keeper, which keeps reserving sockets while `net` is away.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt;
use sampan_runtime::wire::keeper::{Answer, Request, Role};
use sampan_runtime::wire::socket::Connection;
use sampan_runtime::wire::{MESSAGE_DESCRIPTORS, VERSION};

/// keeper answers at once; it never waits for `net`.
const PATIENCE: Duration = Duration::from_secs(5);

/// A greeted connection.
#[derive(Debug)]
pub(super) struct Keeper {
    connection: Connection,
}

impl Keeper {
    /// Over the inherited descriptor, else by keeper's socket in the state root; `None` when no keeper listens.
    pub(super) fn join(inherited: Option<i32>, state_root: &Path) -> io::Result<Option<Self>> {
        let connection = match inherited {
            Some(number) => Connection::from(sampan_runtime::sys::descriptors::inherit(number)?),
            None => match Connection::connect(&state_root.join("keeper.sock")) {
                Ok(connection) => connection,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        };
        sockopt::set_socket_timeout(&connection, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let keeper = Self { connection };
        keeper.ask(&Request::Hello { version: VERSION, role: Role::Net }, &[])?;
        Ok(Some(keeper))
    }

    /// Keeps `sockets` under `port/<id>/…`, instead of what was kept for this id.
    pub(super) fn keep(&self, id: &str, sockets: &[OwnedFd]) -> io::Result<()> {
        self.forget(id)?;
        for (number, part) in sockets.chunks(MESSAGE_DESCRIPTORS).enumerate() {
            let descriptors: Vec<_> = part.iter().map(AsFd::as_fd).collect();
            self.ask(&Request::Put { name: format!("port/{id}/{number}") }, &descriptors)?;
        }
        Ok(())
    }

    /// Closes what is kept for this id.
    pub(super) fn forget(&self, id: &str) -> io::Result<()> {
        self.ask(&Request::Drop { prefixes: vec![format!("port/{id}/")] }, &[]).map(drop)
    }

    /// The sockets that are kept for this id, in the order of `keep`.
    pub(super) fn kept(&self, id: &str) -> io::Result<Vec<OwnedFd>> {
        let mut sockets = Vec::new();
        for number in 0.. {
            let (answer, descriptors) = self.exchange(&Request::Get { name: format!("port/{id}/{number}") }, &[])?;
            if answer != Answer::Kept {
                break;
            }
            sockets.extend(descriptors);
        }
        Ok(sockets)
    }

    fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> io::Result<Answer> {
        match self.exchange(request, descriptors)? {
            (Answer::Refused(refusal), _) => Err(io::Error::other(refusal)),
            (answer, _) => Ok(answer),
        }
    }

    fn exchange(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> io::Result<(Answer, Vec<OwnedFd>)> {
        self.connection.send(request, descriptors)?;
        loop {
            let (answer, descriptors) = self.connection.receive::<Answer>()?.ok_or(io::ErrorKind::ConnectionReset)?;
            // News are not for us.
            if !matches!(answer, Answer::Ended { .. }) {
                return Ok((answer, descriptors));
            }
        }
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}
