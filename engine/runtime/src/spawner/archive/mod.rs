//! Sends a child to a container's files: to copy them out or in, to list what changed, to make a layer of it.
//!
//! The child speaks to `serve` itself; spawner only waits for its end. What it works on is the container's own overlay:
//! that of its processes while it runs, else one that is made for it. There is never a second one over the same writable
//! layer, so a container that is started meanwhile gets the one that is there.

mod child;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, fstatfs, openat, unlinkat};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::files::{self, Files};
use super::server::Spawner;
use super::start::plan;
use crate::failure::{Doing, refusal};
use crate::rootfs::layers::{Layer, Lowers, Shift};
use crate::rootfs::{folder, resolve};
use crate::sandbox::{Root, Sandbox, Team};
use crate::spec::Plan;
use crate::sys::clone::{Cloned, clone3};
use crate::sys::mounts::{Attributes, READ_ONLY, copy_tree};
use crate::wire::archive::Work;
use crate::wire::{Refusal, RefusalKind};

/// Children at once; each is a process with a megabyte or two.
const IN_ALL: usize = 64;
/// Of one team.
const OF_TEAM: usize = 24;
/// Stands in a container's folder while its processes stand still for the sake of a layer.
const FROZEN: &str = "frozen";
/// `f_type` of overlayfs (linux/magic.h).
const OVERLAYFS: u64 = 0x794c_7630;

/// A child at work.
#[derive(Debug)]
struct Job {
    id: String,
    team: Team,
    pidfd: OwnedFd,
    root: Rc<Layer>,
    of: Root,
    freezes: bool,
}

/// The children, and overlays of ended ones that are let go of when there is time: the last reference to one writes all
/// that its disk has not yet written.
#[derive(Debug, Default)]
pub(super) struct Archives {
    jobs: Vec<Job>,
    left: Vec<(String, Root, Rc<Layer>)>,
}

/// What the child is born with.
struct Scene {
    work: Work,
    plan: Plan,
    files: Files,
    root: Rc<Layer>,
    shift: Option<Rc<Shift>>,
    lowers: Option<Rc<Lowers>>,
    control: OwnedFd,
    stream: Option<OwnedFd>,
}

impl Archives {
    /// Readable when a child has ended, in order.
    pub fn pidfds(&self) -> impl Iterator<Item = &OwnedFd> {
        self.jobs.iter().map(|job| &job.pidfd)
    }

    /// How many children there are.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Whether overlays wait to be let go of.
    pub fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// The overlay that a child of this container has, or had a moment ago.
    fn root(&self, id: &str, of: &Root) -> Option<Rc<Layer>> {
        let jobs = self.jobs.iter().map(|job| (&job.id, &job.of, &job.root));
        let left = self.left.iter().map(|(id, of, root)| (id, of, root));
        jobs.chain(left).find(|one| one.0 == id && one.1 == of).map(|one| one.2.clone())
    }
}

impl Spawner {
    /// Sends a child; `descriptors` are its connection to whoever asked, and the end of a pipe where a stream flows.
    pub(super) fn begin_work(&mut self, id: &str, work: Work, descriptors: Vec<OwnedFd>) -> Result<(), Refusal> {
        let files = files::read(self.data.as_fd(), id)?;
        let mut descriptors = descriptors.into_iter();
        let wants_stream = work.has_stream();
        let (Some(control), stream) = (descriptors.next(), descriptors.next().filter(|_| wants_stream)) else {
            return Err(refusal(RefusalKind::Invalid, "work on files needs a connection beside it"));
        };
        if wants_stream && stream.is_none() {
            return Err(refusal(RefusalKind::Invalid, "this work on files needs a pipe beside it"));
        }
        let sandbox = &files.sandbox;
        self.check_room(&sandbox.team)?;
        let plan = plan(&files.spec, sandbox)?;
        let base = sandbox.user_namespace.then_some(sandbox.team.base_id);
        let shift = base.map(|base| self.layers.shift(base, self.data.as_fd())).transpose()?;
        let lowers = match work {
            Work::Changes | Work::Layer { .. } => Some(self.layers.lowers(&sandbox.root, base, self.data.as_fd())?),
            _ => None,
        };
        let root = self.root_of(sandbox)?;
        let freezes = matches!(work, Work::Layer { pause: true }) && self.freeze(&files)?;
        let (id, team, of) = (id.to_owned(), sandbox.team.clone(), sandbox.root.clone());
        let scene = Scene { work, plan, files, root: root.clone(), shift, lowers, control, stream };
        match clone3(0, None) {
            Ok(Cloned::Child) => child::run(self, &scene),
            Ok(Cloned::Parent { pidfd, .. }) => {
                self.archives.jobs.push(Job { id, team, pidfd, root, of, freezes });
                Ok(())
            }
            Err(error) => {
                if freezes {
                    self.thaw(&scene.files);
                }
                Err(error).doing(|| "make a process".to_owned())
            }
        }
    }

    fn check_room(&self, team: &Team) -> Result<(), Refusal> {
        let jobs = &self.archives.jobs;
        if jobs.len() < IN_ALL && jobs.iter().filter(|job| job.team == *team).count() < OF_TEAM {
            return Ok(());
        }
        let message = "too many copies of containers' files are under way: wait for some to end";
        Err(refusal(RefusalKind::Exhausted, message))
    }

    /// The container's own overlay.
    fn root_of(&mut self, sandbox: &Sandbox) -> Result<Rc<Layer>, Refusal> {
        if let Some(root) = self.archives.root(&sandbox.id, &sandbox.root) {
            return Ok(root);
        }
        let pidfd = match self.running(&sandbox.id)? {
            Some(running) if running.is_alive() => {
                Some(running.pidfd.try_clone().doing(|| "copy a descriptor".to_owned())?)
            }
            _ => None,
        };
        let root = match pidfd {
            Some(pidfd) => {
                let root = self.space.among(pidfd.as_fd(), root_of_processes)?;
                self.layers.keep_by_name(root)?
            }
            None => {
                self.forget_prepared(&sandbox.id);
                self.flush.let_go_of(&sandbox.id);
                let base = sandbox.user_namespace.then_some(sandbox.team.base_id);
                let lowers = self.layers.lowers(&sandbox.root, base, self.data.as_fd())?;
                let root = self.make_root(sandbox, &lowers)?;
                self.layers.keep(root)?
            }
        };
        Ok(Rc::new(root))
    }

    /// A root for a start: that of a child at work, if there is one.
    pub(super) fn root_at_work(&self, sandbox: &Sandbox) -> Result<Option<OwnedFd>, Refusal> {
        let Some(root) = self.archives.root(&sandbox.id, &sandbox.root) else { return Ok(None) };
        let attributes = Attributes { clear: READ_ONLY, ..Attributes::default() };
        let copy = copy_tree(root.folder.as_fd(), Path::new(""), attributes, false);
        copy.map(Some).doing(|| "take over the container's root".to_owned())
    }

    /// Children whose places are told have ended.
    pub(super) fn work_ended(&mut self, ended: &[bool]) {
        for index in (0..self.archives.jobs.len()).rev().filter(|&index| ended.get(index) == Some(&true)) {
            let job = self.archives.jobs.remove(index);
            if let Err(error) = waitid(WaitId::PidFd(job.pidfd.as_fd()), WaitIdOptions::EXITED) {
                eprintln!("spawner: a child that works on files is lost: {error}");
            }
            if job.freezes {
                match files::read(self.data.as_fd(), &job.id) {
                    Ok(files) => self.thaw(&files),
                    // Removed meanwhile.
                    Err(refusal) => eprintln!("spawner: {refusal}"),
                }
            }
            self.archives.left.push((job.id, job.of, job.root));
        }
    }

    /// Ends the children of a container that is removed.
    pub(super) fn end_work(&self, id: &str) {
        for job in self.archives.jobs.iter().filter(|job| job.id == id) {
            match pidfd_send_signal(&job.pidfd, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => eprintln!("spawner: a child that works on files goes on: {error}"),
            }
        }
    }

    /// Overlays that nobody works on are held like those of ended containers.
    pub(super) fn hold_left(&mut self) {
        for (id, _, root) in self.archives.left.drain(..) {
            match root.folder.try_clone() {
                Ok(reference) => self.flush.hold(&id, reference),
                Err(error) => eprintln!("spawner: starts wait for the disk: {error}"),
            }
        }
    }

    /// Lets a container's processes stand still, if they run and do not already; whether it did.
    fn freeze(&mut self, files: &Files) -> Result<bool, Refusal> {
        let id = &files.sandbox.id;
        if !self.running(id)?.is_some_and(|running| running.is_alive()) {
            return Ok(false);
        }
        let Some(cgroup) = self.existing_cgroup(&files.sandbox)? else { return Ok(false) };
        if cgroup.is_frozen().map_err(|error| refusal(error.kind(), error.to_string()))? {
            return Ok(false);
        }
        // First, so that the next spawner finds it when this one is killed.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = folder::open(&files.folder, c".").doing(|| "open the container's folder".to_owned())?;
        openat(&folder, FROZEN, flags, Mode::from_raw_mode(0o644)).doing(|| "note a pause".to_owned())?;
        match cgroup.freeze() {
            Ok(()) => Ok(true),
            Err(error) => {
                self.thaw(files);
                Err(refusal(error.kind(), error.to_string()))
            }
        }
    }

    /// Undoes [`Self::freeze`]; goes on after an error.
    fn thaw(&mut self, files: &Files) {
        let thawed = self.existing_cgroup(&files.sandbox).and_then(|cgroup| match cgroup {
            Some(cgroup) => cgroup.thaw().map_err(|error| refusal(error.kind(), error.to_string())),
            None => Ok(()),
        });
        let thawed = thawed.and_then(|()| {
            let folder = folder::open(&files.folder, c".").doing(|| "open the container's folder".to_owned())?;
            unlinkat(&folder, FROZEN, rustix::fs::AtFlags::empty()).doing(|| "note the end of a pause".to_owned())
        });
        if let Err(refusal) = thawed {
            eprintln!("spawner: container {} may stand still: {refusal}", files.sandbox.id);
        }
    }

    /// Thaws what a spawner before this one froze and did not thaw.
    pub(super) fn thaw_left(&mut self) {
        let Ok(containers) = self
            .containers()
            .and_then(|containers| folder::open(&containers, c".").doing(|| "open the containers".to_owned()))
        else {
            return;
        };
        for name in folder::names(containers.as_fd()).unwrap_or_default() {
            let id = name.to_string_lossy();
            let mark = Path::new(&*id).join(FROZEN);
            if resolve::beneath(containers.as_fd(), &mark, OFlags::PATH).is_ok()
                && let Ok(files) = files::read(self.data.as_fd(), &id)
            {
                eprintln!("spawner: container {id} goes on, which was left standing still");
                self.thaw(&files);
            }
        }
    }
}

/// The root of the mounts that this thread has entered: a container's.
fn root_of_processes() -> Result<OwnedFd, Refusal> {
    let doing = || "open the container's root".to_owned();
    let root = copy_tree(rustix::fs::CWD, Path::new("/"), Attributes::default(), false).doing(doing)?;
    // What a container with rights over its own mounts has put over its root is not what is asked for.
    if fstatfs(&root).doing(doing)?.f_type as u64 != OVERLAYFS {
        return Err(refusal(RefusalKind::Conflict, "the container has mounted something over its own root"));
    }
    Ok(root)
}
