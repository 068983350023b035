//! Numbers of system calls, by name, of the machines that a program here can meet.
//!
//! Sources: the crate `syscalls` (the kernel's tables); linux/audit.h; the kernel's `syscall_64.tbl` for x32,
//! `net.h` and `ipc.h` for the calls behind socketcall(2) and ipc(2), arch/arm `unistd.h` for ARM's private ones.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use oci_spec::runtime::Arch;

/// x32 calls have this bit set.
const X32_BIT: u32 = 0x4000_0000;
/// First of the numbers that only x32 has, and the names there, in order.
const X32_OWN: (u32, [&str; 36]) = (
    512,
    [
        "rt_sigaction",
        "rt_sigreturn",
        "ioctl",
        "readv",
        "writev",
        "recvfrom",
        "sendmsg",
        "recvmsg",
        "execve",
        "ptrace",
        "rt_sigpending",
        "rt_sigtimedwait",
        "rt_sigqueueinfo",
        "sigaltstack",
        "timer_create",
        "mq_notify",
        "kexec_load",
        "waitid",
        "set_robust_list",
        "get_robust_list",
        "vmsplice",
        "move_pages",
        "preadv",
        "pwritev",
        "rt_tgsigqueueinfo",
        "recvmmsg",
        "sendmmsg",
        "process_vm_readv",
        "process_vm_writev",
        "setsockopt",
        "getsockopt",
        "io_setup",
        "io_submit",
        "execveat",
        "preadv2",
        "pwritev2",
    ],
);
/// ARM's private calls.
const ARM_PRIVATE: (u32, [&str; 5]) = (0xf_0001, ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls"]);
/// Numbers of calls behind socketcall(2) on i386, from 1.
const SOCKETCALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];
/// Numbers of calls behind ipc(2) on i386.
const IPC_CALLS: [(&str, u32); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];
/// Arguments that the kernel reads as 32 bits whatever the register holds above them. Compared in full, `socket(40 +
/// 2^32, …)` would pass for a family above 40 and open family 40 nevertheless.
const INT_ARGUMENTS: [(&str, RangeInclusive<usize>); 3] =
    [("personality", 0..=0), ("socket", 0..=2), ("socketpair", 0..=2)];

/// A set of numbers of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Architecture {
    X86_64,
    /// 32-bit pointers on x86-64; shares its audit number.
    X32,
    /// i386.
    X86,
    Aarch64,
    Arm,
}

/// The machine that programs are made for, with the architectures that can run on it; the native one first.
pub(super) const NATIVE: [Architecture; if cfg!(target_arch = "x86_64") { 3 } else { 2 }] = native();

#[cfg(target_arch = "x86_64")]
const fn native() -> [Architecture; 3] {
    X86_FAMILY
}
#[cfg(target_arch = "aarch64")]
const fn native() -> [Architecture; 2] {
    ARM_FAMILY
}

#[cfg(any(test, target_arch = "x86_64"))]
pub(super) const X86_FAMILY: [Architecture; 3] = [Architecture::X86_64, Architecture::X32, Architecture::X86];
#[cfg(any(test, target_arch = "aarch64"))]
pub(super) const ARM_FAMILY: [Architecture; 2] = [Architecture::Aarch64, Architecture::Arm];

/// How another call's rule reaches through a call that carries many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carrier {
    /// The carrying call.
    pub name: &'static str,
    /// Bits of its first argument that count, and their value.
    pub mask: u64,
    pub value: u64,
}

impl Architecture {
    /// The one that a description calls so, if it is one of ours.
    pub fn from_oci(arch: Arch) -> Option<Self> {
        match arch {
            Arch::ScmpArchNative => Some(NATIVE[0]),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            Arch::ScmpArchArm => Some(Self::Arm),
            _ => None,
        }
    }

    /// AUDIT_ARCH_…, as the kernel tells it to the program.
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Number of the call `name`; `None` when this machine does not have it.
    pub fn number(self, name: &str) -> Option<u32> {
        self.table().get(name).copied()
    }

    /// All names and numbers.
    pub fn table(self) -> &'static HashMap<&'static str, u32> {
        static TABLES: LazyLock<[HashMap<&'static str, u32>; 5]> = LazyLock::new(|| {
            use syscalls::{aarch64, arm, x86, x86_64};
            // The crate's iterators leave out the last call.
            macro_rules! table {
                ($machine:ident) => {
                    $machine::Sysno::iter()
                        .chain([$machine::Sysno::last()])
                        .map(|one| (one.name(), one.id() as u32))
                        .collect::<HashMap<_, _>>()
                };
            }
            let x86_64 = table!(x86_64);
            let mut x32: HashMap<_, _> = x86_64.iter().map(|(name, number)| (*name, number | X32_BIT)).collect();
            x32.extend((X32_BIT | X32_OWN.0..).zip(X32_OWN.1).map(|(number, name)| (name, number)));
            let mut arm = table!(arm);
            arm.extend((ARM_PRIVATE.0..).zip(ARM_PRIVATE.1).map(|(number, name)| (name, number)));
            [x86_64, x32, table!(x86), table!(aarch64), arm]
        });
        &TABLES[self as usize]
    }

    /// Ranges in each of which new calls get the number after the last one.
    pub fn spaces(self) -> &'static [RangeInclusive<u32>] {
        match self {
            Self::X86_64 => &[0..=X32_BIT - 1],
            // Its own numbers lie above those that it shares; new calls are shared ones.
            Self::X32 => &[X32_BIT..=X32_BIT + 511, X32_BIT + 512..=u32::MAX],
            Self::X86 | Self::Aarch64 => &[0..=u32::MAX],
            Self::Arm => &[0..=0xe_ffff, 0xf_0000..=u32::MAX],
        }
    }

    /// Whether the kernel reads argument `index` of `name` as 32 bits.
    pub fn is_short(self, name: &str, index: usize) -> bool {
        let int = INT_ARGUMENTS.iter().any(|(known, indexes)| *known == name && indexes.contains(&index));
        int || matches!(self, Self::X86 | Self::Arm)
    }

    /// The other call through which `name` can be reached.
    pub fn carrier(self, name: &str) -> Option<Carrier> {
        if self != Self::X86 {
            return None;
        }
        if let Some(at) = SOCKETCALLS.iter().position(|known| *known == name) {
            return Some(Carrier { name: "socketcall", mask: 0xffff_ffff, value: at as u64 + 1 });
        }
        // The upper half of ipc's first argument is a version.
        let (_, value) = IPC_CALLS.iter().find(|(known, _)| *known == name)?;
        Some(Carrier { name: "ipc", mask: 0xffff, value: u64::from(*value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_calls_have_the_numbers_of_the_kernels_tables() {
        assert_eq!(Architecture::X86_64.number("execve"), Some(59));
        assert_eq!(Architecture::X32.number("execve"), Some(X32_BIT | 520));
        assert_eq!(Architecture::X32.number("pwritev2"), Some(X32_BIT | 547));
        assert_eq!(Architecture::X32.number("read"), Some(X32_BIT));
        assert_eq!(Architecture::X86.number("execve"), Some(11));
        assert_eq!(Architecture::Aarch64.number("execve"), Some(221));
        assert_eq!(Architecture::Arm.number("set_tls"), Some(0xf_0005));
        assert_eq!(Architecture::X86_64.number("socketcall"), None);
        assert_eq!(Architecture::X86_64.number("file_setattr"), Some(469), "the last of the table");
        assert_eq!(Architecture::X86.carrier("sendmmsg").map(|carrier| carrier.value), Some(20));
    }
}
