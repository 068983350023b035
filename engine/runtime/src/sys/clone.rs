//! Births of processes by clone3(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// New user namespace.
pub const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;
/// New network namespace.
pub const NEW_NETWORK: u64 = libc::CLONE_NEWNET as u64;
/// New mount namespace.
pub const NEW_MOUNT: u64 = libc::CLONE_NEWNS as u64;
/// New PID namespace.
pub const NEW_PID: u64 = libc::CLONE_NEWPID as u64;
/// New IPC namespace.
pub const NEW_IPC: u64 = libc::CLONE_NEWIPC as u64;
/// New UTS namespace.
pub const NEW_UTS: u64 = libc::CLONE_NEWUTS as u64;
/// New cgroup namespace.
pub const NEW_CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
/// The child becomes a child of the caller's parent.
pub const SAME_PARENT: u64 = libc::CLONE_PARENT as u64;

/// The child is born in the cgroup whose folder `clone_args.cgroup` names (linux/sched.h; libc's constant overflows).
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Who returns from [`clone3`].
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The caller.
    Parent {
        /// Number of the new process in the caller's PID namespace.
        pid: i32,
        /// A descriptor that stands for it even after the number is reused.
        pidfd: OwnedFd,
    },
}

/// Makes a new process that goes on from here with a copy of memory and descriptors.
///
/// `flags` are the constants of this module; `cgroup` is the folder of a unified cgroup to be born in (Linux 5.7).
/// The caller must have one thread: the child has only the calling one, and a lock held by another stays held for ever.
/// Spec: clone(2), CLONE_PIDFD, CLONE_INTO_CGROUP.
///
/// # Errors
/// As clone3(2).
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: the structure holds integers only, for which all bits zero is a value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags | libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    if flags & SAME_PARENT == 0 {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child works on a copy of this memory and stack; the structure and the place of the
    // pidfd live until the call returns, and the size given is that of the structure.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(Cloned::Child),
        pid if pid > 0 => {
            // SAFETY: the kernel made this descriptor just now, for this call; there is no other owner.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// As [`clone3`] without any flag, by fork(2): for a process under a filter that answers clone3 with ENOSYS, as Docker's
/// default does. The number of the child, or none in the child.
///
/// # Errors
/// As fork(2).
pub fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the child works on a copy of this memory; as for `clone3`, the caller has one thread.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process at once: no destructors, no exit handlers. For children that must not run their parent's.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) touches no memory of this process and does not return.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::{Cloned, clone3, exit_now};

    #[test]
    fn the_child_ends_with_its_own_status() {
        match clone3(0, None).expect("clone3") {
            Cloned::Child => exit_now(7),
            Cloned::Parent { pid, pidfd } => {
                let status = rustix::process::waitid(
                    rustix::process::WaitId::PidFd(pidfd.as_fd()),
                    rustix::process::WaitIdOptions::EXITED,
                )
                .expect("waitid")
                .expect("a status");
                assert_eq!(status.exit_status(), Some(7));
                assert!(pid > 0);
            }
        }
    }
}
