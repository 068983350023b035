//! A `SOCK_SEQPACKET` unix socket that carries one JSON object and descriptors per message.
//!
//! Spec: unix(7), SCM_RIGHTS. Descriptors arrive close-on-exec. Blocking unless the descriptor was made non-blocking.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{MESSAGE_BYTES, MESSAGE_DESCRIPTORS};

thread_local! {
    /// Where messages arrive. Kept, since one of this size made anew for each message costs forty page faults; of a kept
    /// one only the pages that messages reached are ever there.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// Who is at the other end (SO_PEERCRED, as of connect).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Connection {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = new_socket()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self { socket })
    }

    /// A connected pair.
    ///
    /// # Errors
    /// As socketpair(2).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn peer(&self) -> io::Result<Peer> {
        let credentials = rustix::net::sockopt::socket_peercred(&self.socket)?;
        Ok(Peer {
            pid: credentials.pid.as_raw_nonzero().get(),
            uid: credentials.uid.as_raw(),
            gid: credentials.gid.as_raw(),
        })
    }

    /// Makes calls answer `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// As ioctl(2), FIONBIO.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.socket, on)?)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `InvalidInput` for a message that is too large; as sendmsg(2) otherwise. Never raises SIGPIPE.
    pub fn send<M: Serialize>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MESSAGE_BYTES || descriptors.len() > MESSAGE_DESCRIPTORS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "message too large for the wire"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        rustix::net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives one message; `None` at the end of the connection.
    ///
    /// # Errors
    /// `InvalidData` for a message that is cut, is no such JSON, or whose descriptors were cut; as recvmsg(2) otherwise.
    pub fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        // Taken for as long as it is read into: a second reader on this thread would make one of its own.
        let mut bytes = BUFFER.take();
        bytes.resize(MESSAGE_BYTES + 1, 0);
        let received = self.receive_into(&mut bytes);
        BUFFER.set(bytes);
        received
    }

    fn receive_into<M: DeserializeOwned>(&self, bytes: &mut [u8]) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received =
            rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let descriptors: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.bytes > MESSAGE_BYTES || received.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "message or its descriptors were cut"));
        }
        let message = serde_json::from_slice(&bytes[..received.bytes])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some((message, descriptors)))
    }
}

impl From<OwnedFd> for Connection {
    fn from(socket: OwnedFd) -> Self {
        Self { socket }
    }
}

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> Self {
        connection.socket
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Listens at `path`, replacing a socket that nobody listens on any more.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = new_socket()?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, 128)?;
        Ok(Self { socket })
    }

    /// Takes one connection.
    ///
    /// # Errors
    /// As accept(2).
    pub fn accept(&self) -> io::Result<Connection> {
        Ok(Connection { socket: rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC)? })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::Connection;

    #[test]
    fn carries_a_message_and_descriptors() -> anyhow::Result<()> {
        let (one, other) = Connection::pair()?;
        let (reader, mut writer) = std::io::pipe()?;
        one.send(&serde_json::json!({"word": "boat"}), &[reader.as_fd()])?;
        drop((one, reader));

        let (message, descriptors) = other.receive::<serde_json::Value>()?.expect("a message");
        writer.write_all(b"through")?;
        drop(writer);
        let mut text = String::new();
        std::fs::File::from(descriptors.into_iter().next().expect("a descriptor")).read_to_string(&mut text)?;

        assert_eq!(message, serde_json::json!({"word": "boat"}));
        assert_eq!(text, "through");
        assert!(other.receive::<serde_json::Value>()?.is_none());
        Ok(())
    }
}
