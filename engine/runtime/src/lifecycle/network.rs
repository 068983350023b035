//! Sockets inside a container's network namespace.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use rustix::thread::LinkNameSpaceType;

use crate::failure::Doing;
use crate::user_namespace::enter;
use crate::wire::Refusal;

/// A socket opened inside `namespace`; this process is back in its own afterwards, or ends.
///
/// # Errors
/// As socket(2), setns(2).
pub fn socket_inside(
    namespace: BorrowedFd<'_>,
    family: AddressFamily,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> Result<OwnedFd, Refusal> {
    let doing = || "open a socket in the container's network namespace".to_owned();
    let own: OwnedFd = File::open("/proc/self/ns/net").doing(doing)?.into();
    enter(namespace, LinkNameSpaceType::Network).doing(doing)?;
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, protocol).doing(doing);
    if let Err(error) = enter(own.as_fd(), LinkNameSpaceType::Network) {
        eprintln!("cannot come back from a container's network namespace: {error}");
        crate::sys::clone::exit_now(1);
    }
    socket
}

/// Brings the loopback interface of `namespace` up.
///
/// # Errors
/// As ioctl(2).
pub fn bring_up_loopback(namespace: BorrowedFd<'_>) -> Result<(), Refusal> {
    let socket = socket_inside(namespace, AddressFamily::INET, SocketType::DGRAM, None)?;
    crate::sys::loopback::bring_up(&socket).doing(|| "bring the loopback interface up".to_owned())
}
