//! Signal dispositions of a process about to become another program.

use std::io;

/// Unblocks every signal and gives each its default disposition (Rust's start code ignores SIGPIPE, and an ignored
/// signal stays ignored over execve).
///
/// # Errors
/// As sigprocmask(2).
pub fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler, so no code of this process can be called; the answer for signals that
        // cannot be changed (SIGKILL, SIGSTOP, the C library's own) is an error that changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
}
