//! The only system calls that the child can make once it stands in its root: files, its two descriptors, memory, time,
//! the end. No program, no process, no mount, no socket, no identity.

use crate::failure::refusal;
use crate::seccomp;
use crate::wire::Refusal;

const CALLS: [&str; 73] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "close",
    "fstat",
    "newfstatat",
    "statx",
    "fstatfs",
    "lseek",
    "fcntl",
    "dup",
    "openat",
    "openat2",
    "readlinkat",
    "getdents64",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
    "unlinkat",
    "renameat",
    "renameat2",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "utimensat",
    "ftruncate",
    "flistxattr",
    "fgetxattr",
    "fsetxattr",
    "fremovexattr",
    "poll",
    "ppoll",
    "sendmsg",
    "sendto",
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
    "set_robust_list",
    "rseq",
    "membarrier",
    "uname",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
];

/// Installs the filter, for ever; everything else answers EPERM. Needs no_new_privs.
///
/// # Errors
/// When it cannot be compiled or installed.
pub fn confine_calls() -> Result<(), Refusal> {
    let explain = |error: seccomp::SeccompError| refusal(error.kind(), error.to_string());
    seccomp::only(&CALLS)
        .and_then(|rules| seccomp::compile(&rules))
        .and_then(|program| program.install())
        .map_err(explain)
}
