//! Whole ranges of descriptors, and descriptors inherited by number.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Marks every descriptor from `first` up close-on-exec. Spec: close_range(2), Linux 5.11.
///
/// # Errors
/// As close_range(2).
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: the call takes three integers; it closes nothing now, so no owner loses its descriptor.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes over a descriptor that the parent process left open under a number it told by argument.
///
/// # Errors
/// `EBADF` when nothing is open under that number. The number is marked close-on-exec.
pub fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_SETFD takes integers; on a number that is not open it fails with EBADF.
    let answer = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if answer < 0 || number < 3 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is open (checked above) and was left to this process by its parent, which by the contract of
    // the argument gave it to this one owner; it is taken once, at the start, before any other descriptor is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor but `keep` in a process that was just cloned, so that it holds nothing of its parent's.
///
/// The copies of the parent's descriptors in this memory are never used or dropped again: a cloned child ends by
/// execve(2) or [`super::clone::exit_now`], which run no destructors, and works only with `keep`.
///
/// # Errors
/// As close_range(2).
pub fn keep_only(keep: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let mut numbers: Vec<u32> = keep.iter().map(|one| one.as_raw_fd() as u32).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers {
        if number > first {
            close_between(first, number - 1)?;
        }
        first = first.max(number + 1);
    }
    close_between(first, u32::MAX)
}

fn close_between(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the call takes three integers. Owners of the closed numbers exist only in this child's copy of memory and
    // are neither used nor dropped (see `keep_only`).
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
