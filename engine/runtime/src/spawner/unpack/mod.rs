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

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags, Timespec, Timestamps, mkdirat, openat, renameat_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::folders::layer_place;
use super::server::Spawner;
use crate::failure::{Doing, refusal};
use crate::rootfs::{folder, resolve};
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
    fn start(data: BorrowedFd<'_>, target: &Path, below: &[PathBuf], tar: OwnedFd) -> Result<Self, Refusal> {
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
        let temporary = temporary(&name)?;
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

    fn finish(&self) -> Result<(), Refusal> {
        let heard = self.connection.receive::<Result<(), Refusal>>();
        waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).doing(|| "wait for a helper".to_owned())?;
        match heard {
            Ok(Some((outcome, _))) => outcome?,
            _ => return Err(refusal(RefusalKind::Internal, "the helper that unpacked a layer was killed")),
        }
        renameat_with(&self.parent, &self.temporary, &self.parent, &self.name, RenameFlags::NOREPLACE)
            .doing(|| format!("name {}", self.target.display()))
    }
}

impl Spawner {
    /// Throws away what a spawner before this one did not finish. What cannot be is in nobody's way, but takes room.
    pub(super) fn clear_unfinished(&mut self) -> Result<(), Refusal> {
        let doing = || "look for unfinished layers".to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = match resolve::beneath(self.data.as_fd(), Path::new("layers/folders"), flags) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            answer => answer.doing(doing)?,
        };
        let names = folder::names(folder.as_fd()).doing(doing)?;
        let mut unfinished = names.iter().filter(|name| name.to_bytes().starts_with(UNFINISHED));
        unfinished.try_for_each(|name| self.throw_away(folder.as_fd(), name))
    }

    /// Starts an unpacking, out of the way of what one that was cut off has left.
    pub(super) fn unpack(
        &mut self,
        target: &Path,
        below: &[PathBuf],
        descriptors: Vec<OwnedFd>,
    ) -> Result<Job, Refusal> {
        let Some(tar) = descriptors.into_iter().next() else {
            return Err(refusal(RefusalKind::Invalid, "unpack needs the tar beside it"));
        };
        let (parent, name) = layer_place(self.data.as_fd(), target)?;
        self.throw_away(parent.as_fd(), &temporary(&name)?)?;
        Job::start(self.data.as_fd(), target, below, tar)
    }

    /// Takes the result of an unpacking: the folder under its name, or nothing.
    pub(super) fn finish_unpacking(&mut self, job: Job) -> Result<(), Refusal> {
        let outcome = job.finish();
        if outcome.is_err() {
            self.throw_away(job.parent.as_fd(), &job.temporary)?;
        }
        outcome
    }
}

/// The name of a folder until it is whole.
fn temporary(name: &CStr) -> Result<CString, Refusal> {
    CString::new([UNFINISHED, name.to_bytes()].concat()).doing(|| format!("name {}", name.to_string_lossy()))
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
