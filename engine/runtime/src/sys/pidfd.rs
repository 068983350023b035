//! What a pidfd still knows about a process that has ended and was reaped by somebody else.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `struct pidfd_info` of linux/pidfd.h, first version (64 bytes).
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = 0xC040_FF0B_u32 as libc::Ioctl;
/// `PIDFD_INFO_EXIT`: the exit status is wanted, or was filled in.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// The raw wait status of a process that was reaped; `None` while it was not, or on a kernel before 6.15.
///
/// # Errors
/// As ioctl(2), but for the errors that only say that there is no status to have.
pub fn exit_status(pidfd: impl AsFd) -> io::Result<Option<i32>> {
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the request reads and writes one `struct pidfd_info` of the size in its number, which `info` is; the
    // descriptor is open for the whole call.
    let answer = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if answer < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOTTY | libc::EINVAL | libc::ESRCH) => Ok(None),
            _ => Err(error),
        };
    }
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn tells_the_status_of_a_reaped_process_where_the_kernel_knows_it() -> anyhow::Result<()> {
        let mut child =
            Command::new("/bin/sh").args(["-c", "read _; exit 7"]).stdin(std::process::Stdio::piped()).spawn()?;
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        assert_eq!(super::exit_status(&pidfd)?, None);
        drop(child.stdin.take());
        child.wait()?;
        assert!(matches!(super::exit_status(&pidfd)?, None | Some(0x700)));
        Ok(())
    }
}
