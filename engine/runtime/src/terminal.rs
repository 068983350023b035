//! Pseudo-terminals of a container, made in its own devpts.
//!
//! CVE-2025-52565: what is opened as /dev/pts/ptmx is checked to be the multiplexer of a devpts, and the slave comes from
//! the master by descriptor (TIOCGPTPEER), never by a path.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, fstat, fstatfs, makedev};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::failure::{Doing, refusal};
use crate::rootfs::attach::attach;
use crate::rootfs::resolve;
use crate::sys::mounts::{Attributes, copy_tree};
use crate::wire::{Refusal, RefusalKind};

/// `f_type` of devpts (linux/magic.h).
const DEVPTS: u64 = 0x1cd1;

/// Both ends.
#[derive(Debug)]
pub struct Terminal {
    /// Kept outside.
    pub master: OwnedFd,
    /// The process's standard streams.
    pub slave: OwnedFd,
}

/// Opens a new terminal in the devpts at `dev/pts` inside `root`; `size` is rows and columns.
///
/// # Errors
/// `Invalid` when something else is mounted there.
pub fn open(root: BorrowedFd<'_>, size: Option<(u16, u16)>) -> Result<Terminal, Refusal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let master = resolve::open_inside(root, Path::new("dev/pts/ptmx"), flags)
        .doing(|| "open a terminal at /dev/pts/ptmx".to_owned())?;
    let found = fstat(&master).doing(|| "look at /dev/pts/ptmx".to_owned())?;
    let filesystem = fstatfs(&master).doing(|| "look at /dev/pts".to_owned())?;
    if found.st_rdev != makedev(5, 2) || filesystem.f_type as u64 != DEVPTS {
        return Err(refusal(RefusalKind::Invalid, "/dev/pts/ptmx is not a terminal multiplexer"));
    }
    unlockpt(&master).doing(|| "unlock a terminal".to_owned())?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .doing(|| "open a terminal's other end".to_owned())?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).doing(|| "set a terminal's size".to_owned())?;
    }
    Ok(Terminal { master, slave })
}

/// Shows the terminal as /dev/console inside `root`.
///
/// # Errors
/// With what failed.
pub fn show_as_console(root: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<(), Refusal> {
    let doing = || "show the terminal as /dev/console".to_owned();
    let place = resolve::or_make(root, Path::new("dev/console"), resolve::Kind::File).doing(doing)?;
    // By the descriptor's own link: an empty path would copy the whole devpts.
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&slave));
    let copy = copy_tree(rustix::fs::CWD, Path::new(&link), Attributes::default(), false).doing(doing)?;
    let (shown, wanted) = (fstat(&copy).doing(doing)?, fstat(slave).doing(doing)?);
    if (shown.st_dev, shown.st_ino, shown.st_rdev) != (wanted.st_dev, wanted.st_ino, wanted.st_rdev) {
        return Err(refusal(RefusalKind::Internal, "the terminal was exchanged while it was mounted"));
    }
    attach(copy.as_fd(), place.as_fd()).doing(doing)
}
