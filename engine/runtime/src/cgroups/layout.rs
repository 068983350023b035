//! Which hierarchies this host has.
//!
//! Spec: proc(5), /proc/PID/mountinfo; kernel `cgroup-v1/cgroups.rst`, `cgroup-v2.rst`.

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};

use super::CgroupError;
use super::place::Place;

/// Controllers that limits or readings use. Others (net_cls, perf_event, rdma, …) are left alone.
const KNOWN: [&str; 10] =
    ["blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "io", "memory", "pids"];

/// How a host mounts its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Controllers in hierarchies of their own (v1).
    Legacy,
    /// As `Legacy`, and a unified hierarchy beside them.
    Hybrid,
    /// One hierarchy for all (v2).
    Unified,
}

/// One mounted hierarchy.
#[derive(Debug)]
pub(super) struct Hierarchy {
    /// For error texts.
    pub mount_point: PathBuf,
    /// Those of [`KNOWN`] that live in it.
    pub controllers: Vec<String>,
    /// v2.
    pub unified: bool,
    /// Which group of the hierarchy the mount shows as its root; not `/` in a container without a cgroup namespace.
    pub mounted_group: String,
    folder: OwnedFd,
}

impl Hierarchy {
    /// The root folder.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Whether `controller` lives in it.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }
}

/// The hierarchies of this host, each with its root folder held open.
#[derive(Debug)]
pub struct Layout {
    world: World,
    hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Looks at /proc/self/mountinfo. The folders stay open, so that a later change of the mount namespace does no harm.
    ///
    /// # Errors
    /// [`CgroupError::Unsupported`] when no hierarchy is mounted; [`CgroupError::Read`].
    pub fn find() -> Result<Arc<Self>, CgroupError> {
        let file = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(file).map_err(|source| CgroupError::Read { file: file.into(), source })?;
        Self::from_mountinfo(&text)
    }

    /// As [`Self::find`], from the text of a mountinfo file.
    pub(super) fn from_mountinfo(text: &str) -> Result<Arc<Self>, CgroupError> {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in text.lines().filter_map(parse_mount) {
            let mut hierarchy = open(mount)?;
            // The same hierarchy can be mounted twice; the first counts.
            hierarchy.controllers.retain(|name| !hierarchies.iter().any(|seen| seen.has(name)));
            let again = hierarchy.unified && hierarchies.iter().any(|seen| seen.unified);
            if !again && (hierarchy.unified || !hierarchy.controllers.is_empty()) {
                hierarchies.push(hierarchy);
            }
        }
        let world = match (hierarchies.iter().any(|one| one.unified), hierarchies.iter().any(|one| !one.unified)) {
            (true, true) => World::Hybrid,
            (true, false) => World::Unified,
            (false, true) => World::Legacy,
            (false, false) => {
                let what = "no cgroup hierarchy is mounted; mount one, for example by \
                            `mount -t cgroup2 cgroup2 /sys/fs/cgroup`";
                return Err(CgroupError::Unsupported { what: what.into() });
            }
        };
        if world == World::Hybrid {
            leave_to_unified(&mut hierarchies);
        }
        Ok(Arc::new(Self { world, hierarchies }))
    }

    /// How cgroups are mounted here.
    pub fn world(&self) -> World {
        self.world
    }

    /// Controllers that limits can use, sorted.
    pub fn controllers(&self) -> Vec<String> {
        let mut all: Vec<String> = self.hierarchies.iter().flat_map(|one| one.controllers.iter().cloned()).collect();
        all.sort();
        all
    }

    /// Whether swap can be limited.
    pub fn swap_limit(&self) -> bool {
        let Some(memory) = self.hierarchy_of("memory") else { return false };
        if !memory.unified {
            return rustix::fs::statat(memory.folder(), "memory.memsw.limit_in_bytes", rustix::fs::AtFlags::empty())
                .is_ok();
        }
        // The root of v2 has no limits: look into whatever group is there. By descriptor: spawner asks when its mount
        // namespace shows no cgroups any more.
        let groups = Place { hierarchy: memory, path: "" }.children().unwrap_or_default();
        groups.iter().any(|path| Place { hierarchy: memory, path }.has("memory.swap.max"))
    }

    /// Where `controller` lives.
    pub(super) fn hierarchy_of(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|one| one.has(controller))
    }

    /// The unified hierarchy, on v2 and hybrid hosts.
    pub(super) fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|one| one.unified)
    }

    /// All that a group of ours exists in.
    pub(super) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }
}

/// On a hybrid host the unified side freezes, kills and measures CPU time without any controller of its own; v1's
/// freezer and cpuacct then only cost memory and time on each start. What it has in controllers stays unused: to enable
/// one for our groups would be a change of the host's unified root.
fn leave_to_unified(hierarchies: &mut Vec<Hierarchy>) {
    for hierarchy in hierarchies.iter_mut() {
        if hierarchy.unified {
            hierarchy.controllers.clear();
        }
    }
    hierarchies.retain(|one| one.unified || one.controllers.iter().any(|name| name != "freezer" && name != "cpuacct"));
}

struct Mount {
    group: String,
    point: PathBuf,
    unified: bool,
    options: Vec<String>,
}

/// `36 35 98:0 /root /point options optional… - type source superoptions`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let mut tail = tail.split(' ');
    let unified = match tail.next()? {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let options = tail.nth(1)?.split(',').map(str::to_owned).collect();
    let mut head = head.split(' ').skip(3);
    let group = String::from_utf8_lossy(&unescape(head.next()?)).into_owned();
    let point = PathBuf::from(OsString::from_vec(unescape(head.next()?)));
    Some(Mount { group, point, unified, options })
}

/// Blanks and the like stand in mountinfo as `\040`.
fn unescape(field: &str) -> Vec<u8> {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'\\').then(|| field.get(at + 1..at + 4)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 4;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

fn open(mount: Mount) -> Result<Hierarchy, CgroupError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, &mount.point, flags, Mode::empty())
        .map_err(|source| CgroupError::Read { file: mount.point.clone(), source: source.into() })?;
    let names = if mount.unified {
        let file = mount.point.join("cgroup.controllers");
        let text = fs::read_to_string(&file).map_err(|source| CgroupError::Read { file, source })?;
        text.split_whitespace().map(str::to_owned).collect()
    } else {
        mount.options
    };
    let mut controllers: Vec<String> = names.into_iter().filter(|name| KNOWN.contains(&name.as_str())).collect();
    if mount.unified && !controllers.is_empty() {
        // On v2 these two are no controllers, but there whenever v2 is: freezing is in the core, devices are filtered
        // by a program. Seen as controllers so that callers need not know.
        controllers.extend(["devices".to_owned(), "freezer".to_owned()]);
    }
    Ok(Hierarchy { mount_point: mount.point, controllers, unified: mount.unified, mounted_group: mount.group, folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_gives_group_point_and_controllers() {
        let line = r"33 31 0:30 /a /sys/fs/c\040d rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let mount = parse_mount(line).expect("a cgroup");
        assert_eq!(mount.group, "/a");
        assert_eq!(mount.point, Path::new("/sys/fs/c d"));
        assert!(!mount.unified);
        assert_eq!(mount.options, ["rw", "cpu", "cpuacct"]);
        assert!(parse_mount("22 27 0:21 / /proc rw - proc proc rw").is_none());
    }

    #[test]
    fn a_host_without_cgroups_is_refused_with_what_to_do() {
        let refused = Layout::from_mountinfo("22 27 0:21 / /proc rw - proc proc rw\n").expect_err("none");
        assert!(refused.to_string().contains("mount -t cgroup2"), "{refused}");
    }

    #[test]
    fn this_host_has_memory_pids_and_cpu() {
        let layout = Layout::find().expect("layout");
        for controller in ["cpu", "devices", "memory", "pids"] {
            assert!(layout.controllers().contains(&controller.to_owned()), "{controller} in {layout:?}");
        }
        assert!(layout.world() != World::Hybrid || layout.hierarchy_of("freezer").is_none());
    }
}
