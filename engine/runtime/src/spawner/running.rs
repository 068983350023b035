//! What spawner knows of containers that run, and how it finds them again after its own death.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, poll};

use crate::failure::{Doing, refusal};
use crate::rootfs::layers::Lowers;
use crate::wire::spawner::Endpoint;
use crate::wire::{Refusal, RefusalKind};

/// One container since its last start.
#[derive(Debug)]
pub(super) struct Running {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// Its mount namespace, and with it the overlay's last reference; none after a death of ours.
    pub mounts: Option<OwnedFd>,
    /// None after a death of ours.
    #[expect(dead_code, reason = "held, so that the image's mounts stay in the cache")]
    pub lowers: Option<Rc<Lowers>>,
    /// pidfds of processes started by exec.
    pub execs: HashMap<String, OwnedFd>,
}

impl Running {
    /// Found again by its pidfd.
    pub fn found(pidfd: OwnedFd) -> Result<Self, Refusal> {
        let pid = pid_of(pidfd.as_fd())?;
        Ok(Self { pid, pidfd, mounts: None, lowers: None, execs: HashMap::new() })
    }

    /// Whether its main process has not ended.
    pub fn is_alive(&self) -> bool {
        !is_over(self.pidfd.as_fd())
    }
}

/// What outlives one run of a container: reused by its next start.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub user: Option<OwnedFd>,
    pub network: Option<OwnedFd>,
    pub endpoint: Option<Endpoint>,
}

/// Whether the process that a pidfd stands for has ended.
pub(super) fn is_over(pidfd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut polled, Some(&now)), Ok(count) if count > 0)
}

/// The number of a living process by its pidfd. Source: /proc/self/fdinfo, "Pid:".
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Result<i32, Refusal> {
    let number = std::os::fd::AsRawFd::as_raw_fd(&pidfd);
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))
        .doing(|| "look at a process's descriptor".to_owned())?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .and_then(|pid| pid.trim().parse().ok())
        .filter(|&pid: &i32| pid > 0)
        .ok_or_else(|| refusal(RefusalKind::NotFound, "the process has ended"))
}

/// One kind of namespace of a living process.
pub(super) fn namespace(running: &Running, kind: &str) -> Result<OwnedFd, Refusal> {
    let path = format!("/proc/{}/ns/{kind}", running.pid);
    let namespace = std::fs::File::open(&path).doing(|| format!("open the container's {kind} namespace"))?;
    if running.is_alive() {
        return Ok(namespace.into());
    }
    Err(refusal(RefusalKind::Conflict, "the container whose namespace is to be joined has ended"))
}
