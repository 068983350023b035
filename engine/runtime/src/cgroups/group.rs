//! A group in every hierarchy that counts: made, entered, listed, removed.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, unlinkat};
use rustix::io::Errno;

use super::layout::{Hierarchy, Layout, World};
use super::place::{Place, keyed};
use super::{CgroupError, cpuset, delegation};

/// Longest wait for a group whose processes are ending. An exit under memory pressure takes a while; a container's
/// zombie that nobody reaps would take for ever.
const REMOVE_PATIENCE: Duration = Duration::from_secs(3);

/// A group: the instance's parent, a team's, a container's or a monitor's.
#[derive(Debug, Clone)]
pub struct Cgroup {
    layout: Arc<Layout>,
    path: String,
}

impl Cgroup {
    /// The instance's parent `sampan-INSTANCE`, made if it is not there: beneath the folder that systemd delegated to
    /// this process, else beneath the roots.
    ///
    /// # Errors
    /// [`CgroupError::BadName`], [`CgroupError::Make`], [`CgroupError::Write`].
    pub fn parent(layout: &Arc<Layout>, instance: &str) -> Result<Self, CgroupError> {
        let base = Self { layout: layout.clone(), path: delegation::base(layout)? };
        delegation::make_room(layout, base.path())?;
        base.child(&format!("sampan-{instance}"))
    }

    /// Where [`Self::parent`] makes the group `name` for a process that stands where this one stands, made or not.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn parent_path(layout: &Layout, name: &str) -> Result<String, CgroupError> {
        let base = delegation::base(layout)?;
        Ok(if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") })
    }

    /// The group at `path` (as [`Self::path`] gave it), if it exists in any hierarchy.
    ///
    /// # Errors
    /// [`CgroupError::BadName`].
    pub fn open(layout: &Arc<Layout>, path: &str) -> Result<Option<Self>, CgroupError> {
        let walks = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if path.split('/').any(walks) {
            return Err(CgroupError::BadName { name: path.to_owned() });
        }
        let group = Self { layout: layout.clone(), path: path.to_owned() };
        let exists = group.places().any(|place| place.exists());
        Ok(exists.then_some(group))
    }

    /// The group `name` (`[A-Za-z0-9_-]`, at most 128) beneath this one, made if it is not there.
    ///
    /// # Errors
    /// [`CgroupError::BadName`], [`CgroupError::Make`], [`CgroupError::Write`]; nothing new is left behind.
    pub fn child(&self, name: &str) -> Result<Self, CgroupError> {
        let child = self.beneath(name)?;
        let mut made = Vec::new();
        for hierarchy in self.layout.hierarchies() {
            let (above, below) = (self.place(hierarchy), child.place(hierarchy));
            match make(&above, &below) {
                Ok(true) => made.push(below),
                Ok(false) => {}
                Err(error) => {
                    // Undone in reverse; a folder that cannot be removed is harmless, empty, and used the next time.
                    for place in made.iter().rev() {
                        unlinkat(place.hierarchy.folder(), place.path, AtFlags::REMOVEDIR).ok();
                    }
                    return Err(error);
                }
            }
        }
        Ok(child)
    }

    /// The group `name` beneath this one, made or not.
    ///
    /// # Errors
    /// [`CgroupError::BadName`].
    pub fn beneath(&self, name: &str) -> Result<Self, CgroupError> {
        check_name(name)?;
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Ok(Self { layout: self.layout.clone(), path })
    }

    /// Names of the groups beneath this one, in any hierarchy.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn children(&self) -> Result<Vec<String>, CgroupError> {
        let mut names = Vec::new();
        for place in self.places() {
            names.extend(place.children()?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Relative to each hierarchy's root, without a leading slash: `sampan-ab12/blue/3f…`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The hierarchies it lies in.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// For `clone3(CLONE_INTO_CGROUP)`; on v1 alone there is none.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn birthplace(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Some(hierarchy) = self.layout.unified() else { return Ok(None) };
        let place = self.place(hierarchy);
        let folder = place.open("", OFlags::PATH | OFlags::DIRECTORY);
        folder.map(Some).map_err(|source| CgroupError::Read { file: place.shown(""), source: source.into() })
    }

    /// Moves the calling process (of one thread) into the v1 hierarchies of this group, so that what it clones is born
    /// there. Does nothing on v2, where [`Self::birthplace`] does all.
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn enter_legacy(&self) -> Result<(), CgroupError> {
        let mut legacy = self.places().filter(|place| !place.hierarchy.unified);
        legacy.try_for_each(|place| place.write("cgroup.procs", "0"))
    }

    /// Moves process `pid` (0: the calling one) into all hierarchies of this group.
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn move_in(&self, pid: i32) -> Result<(), CgroupError> {
        self.places().try_for_each(|place| place.write("cgroup.procs", &pid.to_string()))
    }

    /// Host numbers of all processes in and beneath it, sorted.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let Some(hierarchy) = self.counting_hierarchy() else { return Ok(Vec::new()) };
        let mut pids = Vec::new();
        list_processes(hierarchy, &self.path, &mut pids)?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Removes it and the groups beneath it; waits a little for processes that are ending. No error when it is gone.
    ///
    /// # Errors
    /// [`CgroupError::Remove`]: the first of what went wrong, after all hierarchies were tried.
    pub fn remove(&self) -> Result<(), CgroupError> {
        // The patience is for all together: processes leave all hierarchies at the same moment.
        let mut patience = Patience::new(REMOVE_PATIENCE);
        let answers: Vec<_> =
            self.layout.hierarchies().iter().map(|one| remove_tree(one, &self.path, &mut patience)).collect();
        answers.into_iter().collect()
    }

    /// How often the kernel killed one of its processes for want of memory since the group was made.
    ///
    /// # Errors
    /// [`CgroupError::Read`], [`CgroupError::Unsupported`] without the memory controller.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let place = self.place_of("memory")?;
        let file = if place.hierarchy.unified { "memory.events" } else { "memory.oom_control" };
        let text = place.read(file)?;
        keyed(&text, "oom_kill").ok_or_else(|| CgroupError::Parse {
            file: place.shown(file),
            text,
            expected: "a file with a line oom_kill",
        })
    }

    /// The group in the hierarchy of `controller`.
    pub(super) fn place_of(&self, controller: &str) -> Result<Place<'_>, CgroupError> {
        let hierarchy = self.layout.hierarchy_of(controller).ok_or_else(|| CgroupError::Unsupported {
            what: format!("this host has no cgroup controller {controller:?}, so its limits cannot be set"),
        })?;
        Ok(self.place(hierarchy))
    }

    pub(super) fn place<'a>(&'a self, hierarchy: &'a Hierarchy) -> Place<'a> {
        Place { hierarchy, path: &self.path }
    }

    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.layout.hierarchies().iter().map(|hierarchy| self.place(hierarchy))
    }

    /// Where processes are counted: the unified side, else any.
    fn counting_hierarchy(&self) -> Option<&Hierarchy> {
        self.layout.unified().or_else(|| self.layout.hierarchies().first())
    }
}

/// A name that is a plain folder name in every hierarchy and not one of the files that a v1 folder has without a dot.
fn check_name(name: &str) -> Result<(), CgroupError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let taken = ["tasks", "notify_on_release", "release_agent"].contains(&name);
    if name.is_empty() || name.len() > 128 || taken || !name.bytes().all(plain) {
        return Err(CgroupError::BadName { name: name.to_owned() });
    }
    Ok(())
}

/// Makes one folder, ready for processes and limits. `false` when it was there.
fn make(above: &Place<'_>, below: &Place<'_>) -> Result<bool, CgroupError> {
    if above.hierarchy.unified {
        delegation::enable_controllers(above)?;
    }
    let made = match mkdirat(below.hierarchy.folder(), below.path, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(source) => return Err(CgroupError::Make { folder: below.shown(""), source: source.into() }),
    };
    if !below.hierarchy.unified && below.hierarchy.has("cpuset") {
        cpuset::inherit(above, below)?;
    }
    Ok(made)
}

fn list_processes(hierarchy: &Hierarchy, path: &str, pids: &mut Vec<i32>) -> Result<(), CgroupError> {
    let place = Place { hierarchy, path };
    let text = match place.read_if_there("cgroup.procs") {
        // A threaded group inside a container: its processes are listed in the group above it.
        Err(CgroupError::Read { source, .. }) if source.raw_os_error() == Some(libc::EOPNOTSUPP) => None,
        answer => answer?,
    };
    pids.extend(text.iter().flat_map(|text| text.lines()).filter_map(|line| line.parse::<i32>().ok()));
    for child in place.children()? {
        list_processes(hierarchy, &format!("{path}/{child}"), pids)?;
    }
    Ok(())
}

fn remove_tree(hierarchy: &Hierarchy, path: &str, patience: &mut Patience) -> Result<(), CgroupError> {
    let place = Place { hierarchy, path };
    loop {
        match unlinkat(hierarchy.folder(), Path::new(path), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // Most groups have none beneath: they are looked for when the kernel says so.
            Err(Errno::BUSY) => {
                let children = place.children()?;
                for child in &children {
                    remove_tree(hierarchy, &format!("{path}/{child}"), patience)?;
                }
                if children.is_empty() && !patience.wait() {
                    return Err(CgroupError::Remove { folder: place.shown(""), source: Errno::BUSY.into() });
                }
            }
            Err(source) => return Err(CgroupError::Remove { folder: place.shown(""), source: source.into() }),
        }
    }
}

/// Waits in growing steps until a time is up.
#[derive(Debug)]
pub(super) struct Patience {
    started: std::time::Instant,
    limit: Duration,
    step: Duration,
}

impl Patience {
    pub fn new(limit: Duration) -> Self {
        Self { started: std::time::Instant::now(), limit, step: Duration::from_micros(200) }
    }

    /// Waits one step; `false` without waiting when the time is up.
    pub fn wait(&mut self) -> bool {
        if self.started.elapsed() >= self.limit {
            return false;
        }
        std::thread::sleep(self.step);
        self.step = (self.step * 2).min(Duration::from_millis(20));
        true
    }
}

impl World {
    /// Whether limits go by v2's files.
    pub fn is_unified(self) -> bool {
        self == Self::Unified
    }
}
