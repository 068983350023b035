//! A netlink socket: one write, then all its answers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::message::{Batch, DONE, ERROR, messages, native_u32};

/// Bytes of one read; the kernel's parts of a dump have at most 32 KiB.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that may wait in the socket, both ways: a thousand acknowledgements, ten thousand set elements.
const QUEUE_BYTES: usize = 8 << 20;
/// The kernel answers at once; this only keeps a broken expectation from hanging the process.
const PATIENCE: Duration = Duration::from_secs(10);

/// One socket.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// To links, addresses and routes of the caller's network namespace.
    ///
    /// # Errors
    /// As socket(2).
    pub fn route() -> io::Result<Self> {
        Self::open(None, 0)
    }

    /// To nftables and conntrack of the caller's network namespace; `groups` is a mask of groups to hear.
    ///
    /// # Errors
    /// As socket(2) and bind(2).
    pub fn netfilter(groups: u32) -> io::Result<Self> {
        Self::open(Some(NETFILTER), groups)
    }

    /// Takes a socket that was opened elsewhere, in a namespace of its own.
    ///
    /// # Errors
    /// As setsockopt(2) and fcntl(2).
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&descriptor)?;
        rustix::fs::fcntl_setfl(&descriptor, flags - rustix::fs::OFlags::NONBLOCK)?;
        sockopt::set_socket_timeout(&descriptor, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { descriptor, sequence: 1, buffer: Vec::new() })
    }

    fn open(protocol: Option<rustix::net::Protocol>, groups: u32) -> io::Result<Self> {
        let descriptor =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&descriptor, &SocketAddrNetlink::new(0, groups))?;
        // Both fail without CAP_NET_ADMIN over the namespace; the default sizes do for small batches.
        let _ = sockopt::set_socket_send_buffer_size_force(&descriptor, QUEUE_BYTES);
        let _ = sockopt::set_socket_recv_buffer_size_force(&descriptor, QUEUE_BYTES);
        Self::from_descriptor(descriptor)
    }

    /// Sends the batch and waits until its last message was answered, which must ask for an acknowledgement or be a
    /// dump. All but the errors goes to `each` (type and payload).
    ///
    /// # Errors
    /// The first error that the kernel answered to any message.
    pub fn exchange(&mut self, batch: Batch, each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let last = batch.count().saturating_sub(1);
        self.send(batch, last, each)
    }

    /// Sends a netfilter batch, whose last message (its end) is never answered.
    ///
    /// # Errors
    /// The first error that the kernel answered to any message; then nothing was changed.
    pub fn transact(&mut self, batch: Batch) -> io::Result<()> {
        let last = batch.count().saturating_sub(2);
        self.send(batch, last, |_, _| {})
    }

    /// Sends the batch and reads until message number `last` was answered.
    fn send(&mut self, batch: Batch, last: usize, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let count = u32::try_from(batch.count()).unwrap_or(u32::MAX);
        if count == 0 {
            return Ok(());
        }
        let first = self.sequence;
        let last = first.wrapping_add(u32::try_from(last).unwrap_or(u32::MAX));
        self.sequence = first.wrapping_add(count);
        let bytes = batch.finish(first);
        rustix::io::retry_on_intr(|| rustix::net::send(&self.descriptor, &bytes, SendFlags::empty()))?;

        self.buffer.resize(READ_BYTES, 0);
        let mut failure = None;
        loop {
            let (length, _) = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&self.descriptor, self.buffer.as_mut_slice(), RecvFlags::empty())
            })?;
            for message in messages(&self.buffer[..length]) {
                let place = message.sequence.wrapping_sub(first);
                if place >= count {
                    // Left over from an exchange that ended early.
                    continue;
                }
                let mut ended = false;
                match message.kind {
                    ERROR | DONE => {
                        let code = native_u32(message.payload, 0).map_or(0, u32::cast_signed);
                        if code != 0 {
                            failure.get_or_insert(io::Error::from_raw_os_error(-code));
                            // A refused netfilter batch is answered at its first message alone.
                            ended = place == 0;
                        }
                        ended |= message.sequence == last;
                    }
                    kind => each(kind, message.payload),
                }
                if ended {
                    return failure.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Reads what is there of news without waiting, and gives type and payload to `each`.
    ///
    /// # Errors
    /// As recv(2); `ENOBUFS` when news were lost.
    pub fn drain(&mut self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.buffer.resize(READ_BYTES, 0);
        loop {
            match rustix::net::recv(&self.descriptor, self.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    for message in messages(&self.buffer[..length]) {
                        each(message.kind, message.payload);
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
