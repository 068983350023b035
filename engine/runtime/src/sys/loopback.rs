//! The loopback interface of a new network namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Brings `lo` up in the network namespace that `socket` (of any internet family) belongs to. Spec: netdevice(7).
///
/// # Errors
/// As ioctl(2), SIOCSIFFLAGS.
pub fn bring_up(socket: impl AsFd) -> io::Result<()> {
    // SAFETY: the structure holds integers and a union of integers and addresses, for which all bits zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the descriptor is open for the call, and SIOCSIFFLAGS reads one `ifreq`, which lives until it returns.
    let answer = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
