//! Unpacks one layer's tar into a plain folder, whole or not at all, by a confined child.
//!
//! The child has an empty network and the new folder as its only root; of its parent's it keeps the tar, that folder, a
//! read-only view of the layers below and the connection. So whatever a tar makes of it, there is nothing else to reach.

mod below;
mod child;
mod finish;
mod links;
mod names;
mod write;

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags, Timespec, Timestamps, mkdirat, openat, renameat_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::folders::layer_place;
use crate::failure::{Doing, refusal};
use crate::rootfs::{folder, remove, resolve};
use crate::sys::clone::{Cloned, clone3};
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};

/// What the name of an unfinished folder begins with.
const UNFINISHED: &[u8] = b".unpacking-";

/// An unpacking under way.
#[derive(Debug)]
pub(super) struct Job {
    /// Readable when it is over.
    pub connection: Connection,
    pidfd: OwnedFd,
    parent: OwnedFd,
    temporary: CString,
    name: CString,
    target: PathBuf,
}

impl Job {
    /// Starts the child. `below` are the folders of the layers below, top first.
    pub fn start(data: BorrowedFd<'_>, target: &Path, below: &[PathBuf], tar: OwnedFd) -> Result<Self, Refusal> {
        let (parent, name) = layer_place(data, target)?;
        if rustix::fs::statat(&parent, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(refusal(RefusalKind::Conflict, format!("{} exists", target.display())));
        }
        let file = File::from(tar);
        if !file.metadata().doing(|| "look at the tar".to_owned())?.is_file() {
            return Err(refusal(RefusalKind::Invalid, "the tar is not a regular file"));
        }
        let doing = || format!("make {}", target.display());
        let below = below::view(data, below)?;
        let temporary = CString::new([UNFINISHED, name.as_bytes()].concat()).doing(doing)?;
        // What an unpacking left that was cut off.
        remove::entry(parent.as_fd(), &temporary).doing(doing)?;
        mkdirat(&parent, &temporary, Mode::from_raw_mode(0o755)).doing(doing)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(&parent, &temporary, flags, Mode::empty()).doing(doing)?;
        let (ours, theirs) = Connection::pair().doing(doing)?;
        match clone3(0, None).doing(|| "make a process".to_owned())? {
            Cloned::Child => child::run(&file, &folder, below, &theirs),
            Cloned::Parent { pidfd, .. } => {
                Ok(Self { connection: ours, pidfd, parent, temporary, name, target: target.to_owned() })
            }
        }
    }

    /// Whether it makes `target`.
    pub fn makes(&self, target: &Path) -> bool {
        self.target == target
    }

    /// Takes the result: the folder under its name, or nothing.
    pub fn finish(self) -> Result<(), Refusal> {
        let heard = self.connection.receive::<Result<(), Refusal>>();
        waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).doing(|| "wait for a helper".to_owned())?;
        let outcome = match heard {
            Ok(Some((outcome, _))) => outcome,
            _ => Err(refusal(RefusalKind::Internal, "the helper that unpacked a layer was killed")),
        };
        let outcome = outcome.and_then(|()| {
            renameat_with(&self.parent, &self.temporary, &self.parent, &self.name, RenameFlags::NOREPLACE)
                .doing(|| format!("name {}", self.target.display()))
        });
        if outcome.is_err() {
            remove::entry(self.parent.as_fd(), &self.temporary)
                .doing(|| format!("remove what was unpacked of {}", self.target.display()))?;
        }
        outcome
    }
}

/// Removes what a spawner before this one did not finish.
///
/// # Errors
/// When it cannot be removed; it is in nobody's way but takes room.
pub(super) fn clear(data: BorrowedFd<'_>) -> Result<(), Refusal> {
    let doing = || "remove unfinished layers".to_owned();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let folder = match resolve::beneath(data, Path::new("layers/folders"), flags) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        answer => answer.doing(doing)?,
    };
    for name in folder::names(folder.as_fd()).doing(doing)? {
        if name.to_bytes().starts_with(UNFINISHED) {
            remove::entry(folder.as_fd(), &name).doing(doing)?;
        }
    }
    Ok(())
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
