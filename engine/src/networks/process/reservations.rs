//! Sockets that keep published ports from other programs, as a program's own listener would.
//!
//! The table leads packets away before any socket sees them. A TCP socket listens, for only a listening one keeps its
//! port from programs that set SO_REUSEADDR, and sets SO_REUSEADDR itself, so that connections of an earlier program
//! in TIME_WAIT do not count. A UDP socket sets nothing: two of them never share an address then. Spec: socket(7),
//! ip(7).

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use sampan_runtime::wire::RefusalKind;
use sampan_runtime::wire::net::{Port, Protocol};

use crate::networks::NetworkError;

/// Takes the port of the host.
pub(super) fn reserve(port: &Port) -> io::Result<OwnedFd> {
    let kind = match port.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
    if port.protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    } else {
        // Nothing is ever read from it.
        sockopt::set_socket_recv_buffer_size(&socket, 1)?;
    }
    rustix::net::bind(&socket, &SocketAddrV4::new(port.host_address, port.host_port))?;
    if port.protocol == Protocol::Tcp {
        rustix::net::listen(&socket, 0)?;
    }
    Ok(socket)
}

/// Whether both ask for the same port of the same address; 0.0.0.0 is every address.
pub(super) fn collide(one: &Port, other: &Port) -> bool {
    let same_address = one.host_address == other.host_address
        || one.host_address == Ipv4Addr::UNSPECIFIED
        || other.host_address == Ipv4Addr::UNSPECIFIED;
    same_address && one.host_port == other.host_port && one.protocol == other.protocol
}

/// Why the port could not be taken.
pub(super) fn refusal(port: &Port, error: io::Error) -> NetworkError {
    let place = format!("port {} on {}", port.host_port, port.host_address);
    let refused = NetworkError::refused;
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => refused(RefusalKind::Conflict, format!("{place} is taken by another program")),
        Some(libc::EADDRNOTAVAIL) => {
            refused(RefusalKind::Invalid, format!("{} is no address of this host", port.host_address))
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            refused(RefusalKind::Exhausted, "no descriptors are left to publish more ports".to_owned())
        }
        _ => NetworkError::system(format!("take {place}"))(error),
    }
}
