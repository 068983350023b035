//! The small private mount namespace in which containers are born.
//!
//! A birth copies every mount of its parent's namespace (2.4 microseconds each), and what the host has mounted is none
//! of a container's business: so this one holds a tmpfs, /proc, /sys and the folders that are asked for, nothing else.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, mkdirat};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, fchdir, pivot_root};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::failure::{Doing, refusal};
use crate::rootfs::attach::{attach, attach_inside, new_mount};
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_SETUID, copy_tree, set_attributes};
use crate::user_namespace::enter;
use crate::wire::{Refusal, RefusalKind};

/// Where an init puts its furniture up.
pub const STAGE: &str = "/stage";
/// Where an init attaches its root.
pub const ROOT: &str = "/root";
/// Where layers are attached by name on kernels that cannot take them by descriptor.
pub const LAYERS: &str = "/layers";

/// Where the data root is, for the spawner.
pub const DATA: &str = "/data";
/// Where the state root is, for the spawner.
pub const STATE: &str = "/state";

/// Both sides.
#[derive(Debug)]
pub struct Space {
    host: OwnedFd,
    own: OwnedFd,
}

impl Space {
    /// Leaves the host's mounts for a new namespace that holds `folders` (name at the top, path on the host).
    ///
    /// # Errors
    /// As the calls. The process is then good for nothing but to end.
    pub fn enter(folders: &[(&str, &Path)]) -> Result<Self, Refusal> {
        let doing = || "make a private mount namespace".to_owned();
        let host: OwnedFd = File::open("/proc/self/ns/mnt").doing(doing)?.into();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).doing(doing)?;
        let private = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
        let top = File::open("/").doing(doing)?;
        set_attributes(top.as_fd(), private, true).doing(|| "make all mounts private".to_owned())?;
        drop(top);
        let mode = [("mode".to_owned(), Some("755".to_owned()))];
        let tmpfs = new_mount("tmpfs", &mode, NO_SETUID | NO_DEVICES).doing(doing)?;
        let names = ["proc", "sys", "stage", "root", "layers"].into_iter().chain(folders.iter().map(|one| one.0));
        for name in names {
            mkdirat(&tmpfs, name, Mode::from_raw_mode(0o755)).doing(doing)?;
        }
        let mut copies = Vec::new();
        for (name, path) in [("proc", Path::new("/proc")), ("sys", Path::new("/sys"))].iter().chain(folders) {
            let copy =
                copy_tree(rustix::fs::CWD, path, private, false).doing(|| format!("take {} along", path.display()))?;
            copies.push((*name, copy));
        }
        let place = File::open("/proc").doing(doing)?;
        attach(tmpfs.as_fd(), place.as_fd()).doing(doing)?;
        drop(place);
        for (name, copy) in copies {
            attach_inside(copy.as_fd(), tmpfs.as_fd(), Path::new(name))?;
        }
        fchdir(&tmpfs).doing(doing)?;
        pivot_root(".", ".").doing(doing)?;
        unmount(".", UnmountFlags::DETACH).doing(doing)?;
        chdir("/").doing(doing)?;
        let own = File::open("/proc/self/ns/mnt").doing(doing)?.into();
        Ok(Self { host, own })
    }

    /// Does something among the host's mounts and comes back. Ends the process when it cannot come back: nothing that
    /// it did from then on would be where it should.
    ///
    /// # Errors
    /// As `act`.
    pub fn on_host<T>(&self, act: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.inside(self.host.as_fd(), act)
    }

    /// The same in any mount namespace.
    ///
    /// # Errors
    /// As `act`.
    pub fn inside<T>(&self, mounts: BorrowedFd<'_>, act: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        enter(mounts, LinkNameSpaceType::Mount).doing(|| "look at other mounts".to_owned())?;
        self.and_come_back(act)
    }

    /// Does something among the mounts of a process, by its pidfd, and comes back. What it does must be short and must
    /// not trust a name: the mounts are a container's.
    ///
    /// # Errors
    /// As `act`; `Conflict` when the process has ended.
    pub fn among<T>(&self, process: BorrowedFd<'_>, act: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        match move_into_thread_name_spaces(process, ThreadNameSpaceType::MOUNT) {
            Err(rustix::io::Errno::SRCH) => return Err(refusal(RefusalKind::Conflict, "the container has ended")),
            answer => answer.doing(|| "look at the container's mounts".to_owned())?,
        }
        self.and_come_back(act)
    }

    fn and_come_back<T>(&self, act: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        let done = act();
        if let Err(error) = enter(self.own.as_fd(), LinkNameSpaceType::Mount) {
            eprintln!("cannot come back from another mount namespace: {error}");
            crate::sys::clone::exit_now(1);
        }
        done
    }
}
