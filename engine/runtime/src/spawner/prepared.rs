//! What a start needs of a container that was just made, kept from its making: its files as they were read, and its
//! root, put together behind the answer. Most containers are started right after they were made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, statat};

use super::files::{self, Files};
use super::server::Spawner;
use super::start::plan;
use crate::rootfs::layers::Lowers;
use crate::rootfs::overlay;
use crate::sandbox::{CONFIG_FILE, SANDBOX_FILE, Sandbox};
use crate::spec::Plan;
use crate::wire::Refusal;

/// Most at once, the oldest goes first: each holds some ten kilobytes and an overlay.
const IN_ALL: usize = 16;
/// One that is not started for so long is read again.
const IDLE: Duration = Duration::from_secs(10);

/// A container that is about to start.
#[derive(Debug)]
pub(super) struct Prepared {
    pub plan: Plan,
    pub files: Files,
    /// What its image was, and its root over it.
    pub root: Option<(Rc<Lowers>, OwnedFd)>,
}

impl Prepared {
    /// From its files alone.
    pub fn read(data: BorrowedFd<'_>, id: &str) -> Result<Self, Refusal> {
        let files = files::read(data, id)?;
        Ok(Self { plan: plan(&files.spec, &files.sandbox)?, files, root: None })
    }
}

#[derive(Debug)]
struct Entry {
    prepared: Prepared,
    stamps: [Stamp; 2],
    since: Instant,
}

impl Entry {
    fn id(&self) -> &str {
        &self.prepared.files.sandbox.id
    }
}

/// Tells whether a file was written again: inode, and when it last changed in seconds and nanoseconds.
type Stamp = (u64, i64, i64);

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Preparations {
    entries: Vec<Entry>,
    /// The newest was made by the present request.
    is_new: bool,
}

impl Preparations {
    /// Time until one has waited too long.
    pub fn rest(&self) -> Option<Duration> {
        self.entries.first().map(|oldest| IDLE.saturating_sub(oldest.since.elapsed()))
    }
}

impl Spawner {
    /// Keeps what was read when a container was made.
    pub(super) fn keep_prepared(&mut self, prepared: Prepared) {
        // Whoever cannot look at the files now cannot tell later whether they changed.
        let Ok(stamps) = stamps(&prepared.files) else { return };
        self.forget_prepared(&prepared.files.sandbox.id);
        if self.prepared.entries.len() >= IN_ALL {
            let oldest = self.prepared.entries[0].id().to_owned();
            self.forget_prepared(&oldest);
        }
        self.prepared.entries.push(Entry { prepared, stamps, since: Instant::now() });
        self.prepared.is_new = true;
    }

    /// What is kept of a container whose files are as they were.
    pub(super) fn take_prepared(&mut self, id: &str) -> Option<Prepared> {
        let place = self.prepared.entries.iter().position(|one| one.id() == id)?;
        let entry = &self.prepared.entries[place];
        if stamps(&entry.prepared.files).is_ok_and(|now| now == entry.stamps) {
            return Some(self.prepared.entries.remove(place).prepared);
        }
        self.forget_prepared(id);
        None
    }

    /// Lets go of a container's, before anything else is done to its writable layer.
    pub(super) fn forget_prepared(&mut self, id: &str) {
        self.forget_prepared_if(|one| one.id() == id);
    }

    /// Lets go of those that waited too long.
    pub(super) fn forget_idle_prepared(&mut self) {
        self.forget_prepared_if(|one| one.since.elapsed() >= IDLE);
    }

    /// A root is the last reference to its overlay, as those of ended containers are.
    fn forget_prepared_if(&mut self, gone: impl Fn(&Entry) -> bool) {
        for entry in self.prepared.entries.extract_if(.., |entry| gone(entry)) {
            if let Some((_, root)) = entry.prepared.root {
                self.flush.hold(&entry.prepared.files.sandbox.id, root);
            }
        }
    }

    /// Puts together the root of the container that was just made; one that cannot be is told by its start.
    pub(super) fn prepare_root(&mut self) {
        if !std::mem::take(&mut self.prepared.is_new) {
            return;
        }
        let Some(mut newest) = self.prepared.entries.pop() else { return };
        newest.prepared.root = self.root_ahead(&newest.prepared.files.sandbox).ok();
        self.prepared.entries.push(newest);
    }

    fn root_ahead(&mut self, sandbox: &Sandbox) -> Result<(Rc<Lowers>, OwnedFd), Refusal> {
        let base = sandbox.user_namespace.then_some(sandbox.team.base_id);
        let lowers = self.layers.lowers(&sandbox.root, base, self.data.as_fd())?;
        let root = self.make_root(sandbox, &lowers)?;
        Ok((lowers, root))
    }

    /// The container's overlay over `lowers`, detached.
    pub(super) fn make_root(&mut self, sandbox: &Sandbox, lowers: &Lowers) -> Result<OwnedFd, Refusal> {
        let base = sandbox.user_namespace.then_some(sandbox.team.base_id);
        let shift = base.map(|base| self.layers.shift(base, self.data.as_fd())).transpose()?;
        let plain = self.containers()?;
        let uppers = match (&shift, base) {
            (Some(shift), Some(base)) => overlay::Uppers::Shifted(&shift.containers, base),
            _ => overlay::Uppers::Plain(plain.as_fd()),
        };
        overlay::make(lowers, uppers, &sandbox.id)
    }
}

fn stamps(files: &Files) -> rustix::io::Result<[Stamp; 2]> {
    let stamp = |name: &str| {
        let found = statat(&files.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((found.st_ino, found.st_ctime as i64, found.st_ctime_nsec as i64))
    };
    Ok([stamp(CONFIG_FILE)?, stamp(SANDBOX_FILE)?])
}
