//! Installing a filter of system calls: seccomp(2).

use std::io;

/// All threads of the process.
pub const FLAG_TSYNC: u32 = 1;
/// Refused calls are written to the audit log.
pub const FLAG_LOG: u32 = 1 << 1;
/// No mitigation against speculative store bypass for the sake of the filter.
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;

/// One instruction of classic BPF. Source: linux/filter.h, `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub operation: u16,
    /// Instructions to skip when a test holds.
    pub if_true: u8,
    /// When it does not.
    pub if_false: u8,
    /// Operand.
    pub value: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Installs `program` into the calling thread for ever. Spec: seccomp(2), SECCOMP_SET_MODE_FILTER.
///
/// # Errors
/// As seccomp(2): `EACCES` without no_new_privs or CAP_SYS_ADMIN, `EINVAL` for a program or flag that the kernel does
/// not take; `E2BIG` for a program whose length does not fit its field.
pub fn install(program: &[Instruction], flags: u32) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the structure and the instructions it points to live until the call returns, and the length is theirs;
    // the kernel copies and checks the program before it counts.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, libc::c_ulong::from(flags), &raw const program)
    };
    match answer {
        0 => Ok(()),
        // With TSYNC: the id of a thread that could not follow.
        thread if thread > 0 => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        _ => Err(io::Error::last_os_error()),
    }
}
