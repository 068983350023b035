//! The only system calls a monitor can make once it is set up.
//!
//! No program, no process, no mount, no socket but unix ones' calls, no identity: what an attacker who got hold of a
//! monitor through a container's output could do is write that team's logs.

use oci_spec::runtime::LinuxSeccomp;

use crate::seccomp::{self, SeccompError};

/// Files and descriptors, waiting, sockets, memory, time, the end.
const CALLS: [&str; 79] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "close",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "ioctl",
    "fcntl",
    "flock",
    "dup",
    "openat",
    "faccessat",
    "faccessat2",
    "unlinkat",
    "mkdirat",
    "renameat",
    "renameat2",
    "getdents64",
    "ftruncate",
    "splice",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "socket",
    "connect",
    "accept",
    "accept4",
    "sendmsg",
    "recvmsg",
    "getsockopt",
    "signalfd4",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "clock_nanosleep",
    "nanosleep",
    "sched_yield",
    "sched_getaffinity",
    "futex",
    "getrandom",
    "getpid",
    "gettid",
    "tgkill",
    "exit",
    "exit_group",
    "restart_syscall",
    "readlinkat",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "membarrier",
    "uname",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
];

/// Everything else answers EPERM.
pub(super) fn rules() -> Result<LinuxSeccomp, SeccompError> {
    seccomp::only(&CALLS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rules_compile() {
        let rules = super::rules().expect("rules");
        crate::seccomp::compile(&rules).expect("a program");
    }
}
