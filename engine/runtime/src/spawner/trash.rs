//! What is removed goes to `trash/` by one rename, and from there by a child: a container may leave millions of files,
//! and no start shall wait for them.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, set_parent_process_death_signal, setpriority_process, waitid};

use super::folders::make;
use super::server::Spawner;
use crate::failure::Doing;
use crate::rootfs::{folder, remove, resolve};
use crate::sys::clone::{Cloned, clone3, exit_now};
use crate::sys::descriptors::keep_only;
use crate::time::now_ns;
use crate::wire::Refusal;
use crate::wire::socket::Connection;

/// Folder in the data root.
const TRASH: &str = "trash";
/// How willingly the child lets others compute first (nice(2)).
const NICENESS: i32 = 10;

/// What was thrown away and who removes it.
#[derive(Debug)]
pub(super) struct Trash {
    /// Whether something was thrown away that no child has been sent for.
    waits: bool,
    child: Option<Child>,
}

#[derive(Debug)]
struct Child {
    /// Readable when it has ended.
    connection: Connection,
    pidfd: OwnedFd,
}

impl Trash {
    /// At the start there may be what an earlier spawner left.
    pub fn new() -> Self {
        Self { waits: true, child: None }
    }

    /// Whether a child is to be sent.
    pub fn is_due(&self) -> bool {
        self.waits && self.child.is_none()
    }

    /// Readable when the child has ended.
    pub fn connection(&self) -> Option<&Connection> {
        self.child.as_ref().map(|child| &child.connection)
    }

    /// Takes note of the child's end.
    pub fn ended(&mut self) {
        if let Some(child) = self.child.take()
            && let Err(error) = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
        {
            eprintln!("spawner: the child that removes files is lost: {error}");
        }
    }
}

impl Spawner {
    /// Removes the entry `name` of `folder` with all beneath it; no error when there is none. It is gone from its place
    /// at once, its room on the disk comes back later.
    pub(super) fn throw_away(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> Result<(), Refusal> {
        let doing = || format!("remove {}", name.to_string_lossy());
        let trash = self.trash_folder()?;
        loop {
            let place = CString::new(format!("{:x}", now_ns())).doing(doing)?;
            match renameat_with(folder, name, &trash, &place, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.trash.waits = true;
                    return Ok(());
                }
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(()),
                // On a disk of its own.
                Err(Errno::XDEV) => return remove::entry(folder, name).doing(doing),
                Err(error) => return Err(error).doing(doing),
            }
        }
    }

    /// Sends a child to empty the trash, unless one is at it.
    pub(super) fn empty_trash(&mut self) {
        if !self.trash.is_due() {
            return;
        }
        self.trash.waits = false;
        match self.send_child() {
            Ok(child) => self.trash.child = child,
            Err(refusal) => eprintln!("spawner: what was removed still takes room: {refusal}"),
        }
    }

    fn send_child(&self) -> Result<Option<Child>, Refusal> {
        let trash = self.trash_folder()?;
        if folder::names(trash.as_fd()).doing(|| "look into the trash".to_owned())?.is_empty() {
            return Ok(None);
        }
        let (ours, theirs) = Connection::pair().doing(|| "make a socket".to_owned())?;
        match clone3(0, None).doing(|| "make a process".to_owned())? {
            Cloned::Child => exit_now(i32::from(empty(trash.as_fd(), &theirs).is_err())),
            Cloned::Parent { pidfd, .. } => Ok(Some(Child { connection: ours, pidfd })),
        }
    }

    fn trash_folder(&self) -> Result<OwnedFd, Refusal> {
        let doing = || "open the trash".to_owned();
        make(self.data.as_fd(), TRASH).doing(doing)?;
        resolve::beneath(self.data.as_fd(), Path::new(TRASH), OFlags::RDONLY | OFlags::DIRECTORY).doing(doing)
    }
}

/// All of the removing, in the child. What cannot be removed is told and left for the next time.
fn empty(trash: BorrowedFd<'_>, connection: &Connection) -> std::io::Result<()> {
    // The next spawner sends one of its own.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Else whoever waits for the spawner's end would wait for ours.
    keep_only(&[trash, connection.as_fd()])?;
    setpriority_process(None, NICENESS)?;
    for name in folder::names(trash)? {
        if let Err(error) = remove::entry(trash, &name) {
            eprintln!("spawner: {} in the trash stays: {error}", name.to_string_lossy());
        }
    }
    Ok(())
}
