//! Starts one of our own programs with exactly what it needs: a clean signal mask, one descriptor, a lesser identity.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The number under which a started program finds the descriptor it is given.
pub const DESCRIPTOR: RawFd = 3;

/// Whose rights a started program has.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// User id, real, effective and saved.
    pub uid: Uid,
    /// Group id, real, effective and saved; there are no further groups.
    pub gid: Gid,
    /// All that it may do beyond its user: permitted, effective, inheritable and ambient.
    pub capabilities: CapabilitySet,
}

/// Starts `command` and answers its pid. No signal is blocked in it; `descriptor` is open under [`DESCRIPTOR`]; without
/// an `identity` it keeps that of the caller. The caller reaps.
///
/// # Errors
/// As fork(2), execve(2), setresuid(2), capset(2).
pub fn launch(mut command: Command, descriptor: OwnedFd, identity: Option<Identity>) -> io::Result<i32> {
    let number = descriptor.as_raw_fd();
    let steps = move || {
        unblock_signals()?;
        place(number)?;
        identity.map_or(Ok(()), become_identity)
    };
    // SAFETY: between fork and exec the steps make only system calls on values copied before: no allocation, no lock.
    unsafe { command.pre_exec(steps) };
    let child = command.spawn()?;
    drop(descriptor);
    i32::try_from(child.id()).map_err(|_| io::Error::other("the kernel answered a pid beyond its own range"))
}

fn unblock_signals() -> io::Result<()> {
    Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
}

fn place(number: RawFd) -> io::Result<()> {
    let answer = if number == DESCRIPTOR {
        // SAFETY: F_SETFD takes integers only; the number is open in the child as it was in the parent.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) }
    } else {
        // SAFETY: dup2 takes integers only; what lay under the target number was close-on-exec and nobody here uses it
        // between now and the exec.
        unsafe { libc::dup2(number, DESCRIPTOR) }
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn become_identity(identity: Identity) -> io::Result<()> {
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(identity.gid, identity.gid, identity.gid)?;
    rustix::thread::set_thread_res_uid(identity.uid, identity.uid, identity.uid)?;
    // The program may lie in a folder that only root can enter. What is not ambient is gone after the exec
    // (capabilities(7), "Transformation of capabilities during execve()").
    let until_exec = identity.capabilities | CapabilitySet::DAC_READ_SEARCH;
    let sets = CapabilitySets { effective: until_exec, permitted: until_exec, inheritable: identity.capabilities };
    rustix::thread::set_capabilities(None, sets)?;
    for capability in identity.capabilities.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}
