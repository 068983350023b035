//! Unpacks one layer's tar into a plain folder, whole or not at all, by a confined child.
//!
//! The child has an empty network and the new folder as its only root; of its parent's it keeps the tar, that folder and
//! the connection. So whatever a tar makes of it, there is nothing else to reach.

mod child;
mod names;
mod write;

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::folders::layer_place;
use crate::failure::{Doing, refusal};
use crate::rootfs::remove;
use crate::sys::clone::{Cloned, clone3};
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};

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
    /// Starts the child.
    pub fn start(data: BorrowedFd<'_>, target: &Path, tar: OwnedFd) -> Result<Self, Refusal> {
        let (parent, name) = layer_place(data, target)?;
        if rustix::fs::statat(&parent, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(refusal(RefusalKind::Conflict, format!("{} exists", target.display())));
        }
        let file = File::from(tar);
        if !file.metadata().doing(|| "look at the tar".to_owned())?.is_file() {
            return Err(refusal(RefusalKind::Invalid, "the tar is not a regular file"));
        }
        let doing = || format!("make {}", target.display());
        let temporary = CString::new([b".unpacking-", name.as_bytes()].concat()).doing(doing)?;
        // What an unpacking left that was cut off.
        remove::entry(parent.as_fd(), &temporary).doing(doing)?;
        mkdirat(&parent, &temporary, Mode::from_raw_mode(0o755)).doing(doing)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(&parent, &temporary, flags, Mode::empty()).doing(doing)?;
        let (ours, theirs) = Connection::pair().doing(doing)?;
        match clone3(0, None).doing(|| "make a process".to_owned())? {
            Cloned::Child => child::run(&file, &folder, &theirs),
            Cloned::Parent { pidfd, .. } => {
                Ok(Self { connection: ours, pidfd, parent, temporary, name, target: target.to_owned() })
            }
        }
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
