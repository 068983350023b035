//! Programs for the kernel that filter devices of a unified cgroup: bpf(2).
//!
//! The attributes of bpf(2) are one union; each command here has a structure of its own with the fields up to the last
//! one it uses (the kernel takes shorter ones as if zeros followed). Source: linux/bpf.h, `union bpf_attr`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Several programs may be attached, and those of groups above count as well.
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// One instruction of eBPF. Source: linux/bpf.h, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the lower, source register in the upper four bits.
    pub registers: u8,
    /// Of a jump or a memory access.
    pub offset: i16,
    /// Number.
    pub number: i32,
}

/// The few instructions that a filter of devices needs.
#[expect(missing_docs, reason = "names say all: the instruction set is specified in RFC 9669")]
pub mod instruction {
    use super::Instruction;

    pub const R0: u8 = 0;
    pub const R1: u8 = 1;
    pub const R2: u8 = 2;
    pub const R3: u8 = 3;
    pub const R4: u8 = 4;
    pub const R5: u8 = 5;

    const fn make(code: u8, to: u8, from: u8, offset: i16, number: i32) -> Instruction {
        Instruction { code, registers: from << 4 | to, offset, number }
    }
    /// `to = *(u32 *)(from + offset)`.
    pub const fn load_word(to: u8, from: u8, offset: i16) -> Instruction {
        make(0x61, to, from, offset, 0)
    }
    /// 32 bits, as all below.
    pub const fn move_register(to: u8, from: u8) -> Instruction {
        make(0xbc, to, from, 0, 0)
    }
    pub const fn move_number(to: u8, number: i32) -> Instruction {
        make(0xb4, to, 0, 0, number)
    }
    pub const fn and(to: u8, mask: u32) -> Instruction {
        make(0x54, to, 0, 0, mask as i32)
    }
    pub const fn shift_right(to: u8, bits: i32) -> Instruction {
        make(0x74, to, 0, 0, bits)
    }
    pub const fn jump_if_equal(register: u8, number: u32, skip: i16) -> Instruction {
        make(0x16, register, 0, skip, number as i32)
    }
    pub const fn jump_if_not_equal(register: u8, number: u32, skip: i16) -> Instruction {
        make(0x56, register, 0, skip, number as i32)
    }
    pub const fn exit() -> Instruction {
        make(0x95, 0, 0, 0, 0)
    }
}

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface_index: u32,
    expected_attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttributes {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct IdAttributes {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// Calls bpf(2) with one of the structures above.
fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the structure lives until the call returns, its size is given; the pointers inside it were made by the
    // callers below from buffers that outlive the call, with their lengths beside them.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn own(answer: libc::c_long) -> OwnedFd {
    // SAFETY: called with the answer of a bpf(2) command that makes a descriptor for this call; no one else has it.
    unsafe { OwnedFd::from_raw_fd(answer as RawFd) }
}

/// Has the kernel check and load a filter of devices.
///
/// # Errors
/// As bpf(2), BPF_PROG_LOAD; where the kernel's verifier refused the program its words are in the error.
pub fn load_device_filter(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut attributes = LoadAttributes {
        program_type: TYPE_CGROUP_DEVICE,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        name: *b"sampan_devices\0\0",
        expected_attach_type: ATTACH_CGROUP_DEVICE,
        ..LoadAttributes::default()
    };
    let first = match call(PROG_LOAD, &mut attributes) {
        Ok(answer) => return Ok(own(answer)),
        Err(error) => error,
    };
    // Again with a log, to be able to say why.
    let mut log = vec![0_u8; 64 * 1024];
    attributes.log_level = 1;
    attributes.log_size = log.len() as u32;
    attributes.log_buffer = log.as_mut_ptr() as u64;
    match call(PROG_LOAD, &mut attributes) {
        Ok(answer) => Ok(own(answer)),
        Err(_) => {
            let text = String::from_utf8_lossy(&log);
            // The verdict stands at the end, after a protocol of every step.
            let text = text.trim_end_matches('\0').trim().lines().rev().take(2).collect::<Vec<_>>().join("; ");
            if text.is_empty() { Err(first) } else { Err(io::Error::new(first.kind(), format!("{first}: {text}"))) }
        }
    }
}

/// Attaches a filter to a cgroup's folder, in place of `replaced`.
///
/// # Errors
/// As bpf(2), BPF_PROG_ATTACH.
pub fn attach_device_filter(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attributes = AttachAttributes {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI | if replaced.is_some() { REPLACE } else { 0 },
        replaced: replaced.map_or(0, |old| old.as_raw_fd() as u32),
    };
    call(PROG_ATTACH, &mut attributes).map(drop)
}

/// Ids of the filters of devices attached to this very cgroup (at most 64).
///
/// # Errors
/// As bpf(2), BPF_PROG_QUERY.
pub fn device_filters(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; 64];
    let mut attributes = QueryAttributes {
        target: cgroup.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        ..QueryAttributes::default()
    };
    call(PROG_QUERY, &mut attributes)?;
    ids.truncate(attributes.count as usize);
    Ok(ids)
}

/// Opens a loaded program.
///
/// # Errors
/// As bpf(2), BPF_PROG_GET_FD_BY_ID.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    call(PROG_GET_FD_BY_ID, &mut IdAttributes { id, ..IdAttributes::default() }).map(own)
}
