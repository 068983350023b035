//! The child: puts the container's root up as its own, gives up all else, then works.
//!
//! It stands in the user namespace of the team's mounts, which has the ids of the team's containers and none of their
//! processes: whoever is root in a container has no rights over it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{
    Resource, Rlimit, Signal, chdir, fchdir, pivot_root, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, set_capabilities, set_no_new_privs};

use super::Scene;
use crate::archive::{self, Views, Writing};
use crate::failure::{Doing, refusal};
use crate::init;
use crate::namespaces::become_root;
use crate::rootfs::attach::attach;
use crate::rootfs::layers::Lowers;
use crate::rootfs::overlay::{self, UPPER};
use crate::rootfs::resolve;
use crate::space;
use crate::spawner::grants::Grants;
use crate::spawner::server::Spawner;
use crate::spawner::sources::{self, Places};
use crate::spec::{Placement, Shown};
use crate::sys::clone::exit_now;
use crate::sys::descriptors::keep_only;
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_EXECUTE, NO_SETUID, READ_ONLY, copy_tree, set_attributes};
use crate::user_namespace::enter;
use crate::wire::archive::{Told, Work};
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};

/// Descriptors: three for each of the 2,047 levels that a path of 4,095 bytes can have.
const DESCRIPTORS: u64 = 8_192;
/// Bytes of address space: names of the largest folder and of all files with several names.
const MEMORY: u64 = 2 << 30;
/// Nothing that a container has put there works here.
const HARMLESS: u64 = NO_SETUID | NO_DEVICES | NO_EXECUTE;

pub(super) fn run(spawner: &Spawner, scene: &Scene) -> ! {
    let told = match scene.control.try_clone().map(Connection::from) {
        Ok(control) => {
            let told = match work(spawner, scene, &control) {
                Ok(()) => Told::Done,
                Err(refusal) => Told::Refused(refusal),
            };
            control.send(&told, &[]).is_ok()
        }
        Err(_) => false,
    };
    // What else it was born with is closed already and must not be closed again: nothing of it is dropped.
    exit_now(i32::from(!told))
}

/// Mounts that go into the root, and views of the layers.
struct Parts {
    root: OwnedFd,
    placed: Vec<(Placement, OwnedFd)>,
    upper: Option<OwnedFd>,
}

fn work(spawner: &Spawner, scene: &Scene, control: &Connection) -> Result<(), Refusal> {
    // An orphan would go on where nobody waits for it.
    set_parent_process_death_signal(Some(Signal::KILL)).doing(confining)?;
    let mut parts = gather(spawner, scene)?;
    // From here on what is attached is attached for this process alone.
    unshare(CloneFlags::CLONE_NEWNS).doing(confining)?;
    if wants_mounts(&scene.work) {
        parts.placed.extend(small_files(spawner, scene)?);
    }
    let lower = scene.lowers.as_deref().map(view).transpose()?;
    let stream = scene.stream.as_ref().map(OwnedFd::try_clone).transpose().doing(confining)?;
    let Parts { root, placed, upper } = parts;
    let namespace = scene.shift.as_ref().map(|shift| shift.namespace.as_fd());
    let mut kept: Vec<BorrowedFd<'_>> = vec![root.as_fd(), control.as_fd()];
    kept.extend(placed.iter().map(|(_, mount)| mount.as_fd()));
    kept.extend([&upper, &lower, &stream].into_iter().flatten().map(AsFd::as_fd));
    kept.extend(namespace);
    keep_only(&kept).doing(confining)?;
    let read_only = !matches!(scene.work, Work::Write { .. }) || scene.plan.read_only_root;
    stand_in(&root, placed, namespace, read_only)?;
    let root =
        rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).doing(confining)?;
    // Looked up before the rights go, and by the container's own files.
    let owner = match &scene.work {
        Work::Write { owner: Some(owner), .. } => Some(init::look_up(owner)?),
        _ => None,
    };
    give_up(&scene.work)?;
    let stream = stream.map(File::from);
    let places = places(&scene.plan);
    let places = places.iter().map(PathBuf::as_path);
    let views = |merged: OwnedFd| match (upper, lower) {
        (Some(upper), Some(lower)) => Ok(Views { upper, lower, merged }),
        _ => Err(refusal(RefusalKind::Internal, "the layers' views are missing")),
    };
    match (&scene.work, stream) {
        (Work::Look { path }, _) => archive::look(root.as_fd(), path, control),
        (Work::Read { path }, Some(out)) => archive::read(root.as_fd(), path, out, control),
        (Work::Write { path, keep_kinds, .. }, Some(stream)) => {
            archive::write(root.as_fd(), &Writing { path, keep_kinds: *keep_kinds, owner }, stream)
        }
        (Work::Export, Some(out)) => archive::export(root.as_fd(), out, control),
        (Work::Changes, Some(out)) => archive::changes(views(root)?, places, out, control),
        (Work::Layer { .. }, Some(out)) => archive::layer(views(root)?, places, out, control),
        (_, None) => Err(refusal(RefusalKind::Internal, "the stream is missing")),
    }
}

fn confining() -> String {
    "put up the container's root for its files".to_owned()
}

/// Whether volumes and binds belong to what is asked for: a path may lead into one, an export leaves them out.
fn wants_mounts(work: &Work) -> bool {
    matches!(work, Work::Look { .. } | Work::Read { .. } | Work::Write { .. })
}

fn gather(spawner: &Spawner, scene: &Scene) -> Result<Parts, Refusal> {
    let attributes = Attributes { set: HARMLESS, clear: READ_ONLY, ..Attributes::default() };
    let root = copy_tree(scene.root.folder.as_fd(), Path::new(""), attributes, false).doing(confining)?;
    let mut placed = Vec::new();
    if wants_mounts(&scene.work) {
        let places =
            Places { space: &spawner.space, data: spawner.data.as_fd(), data_root: &spawner.arguments.data_root };
        let namespace = scene.shift.as_ref().map(|shift| shift.namespace.as_fd());
        let grants = Grants::of(places, &scene.files.sandbox)?;
        let described = scene.plan.placements.iter().filter(|one| one.shown == Shown::Descriptor);
        // What another container has at /dev/shm is no file of this one.
        for (placement, source) in described.zip(&scene.plan.sources).filter(|(_, source)| source.container.is_none()) {
            let make = scene.files.sandbox.make_sources.contains(&source.path);
            let mount = match grants.hold(source) {
                true => grants.open(source)?,
                false => sources::open(places, source, namespace, make)?,
            };
            let harmless = Attributes { set: HARMLESS, propagation: libc::MS_PRIVATE, ..Attributes::default() };
            set_attributes(mount.as_fd(), harmless, source.recursive).doing(confining)?;
            placed.push((placement.clone(), mount));
        }
    }
    let upper = match scene.lowers {
        Some(_) => Some(upper(spawner, scene)?),
        None => None,
    };
    Ok(Parts { root, placed, upper })
}

/// The writable layer, ids shifted as the container has them.
fn upper(spawner: &Spawner, scene: &Scene) -> Result<OwnedFd, Refusal> {
    let path = Path::new(&scene.files.sandbox.id).join(UPPER);
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let folder = match &scene.shift {
        Some(shift) => resolve::beneath(shift.containers.folder.as_fd(), &path, flags),
        None => resolve::beneath(spawner.containers()?.as_fd(), &path, flags),
    };
    let folder = folder.doing(|| "open the container's writable layer".to_owned())?;
    let attributes = Attributes { set: HARMLESS | READ_ONLY, ..Attributes::default() };
    copy_tree(folder.as_fd(), Path::new(""), attributes, false).doing(confining)
}

/// /etc/hosts and the like, which the container cannot lose: what it has is in the memory of its own mounts.
fn small_files(spawner: &Spawner, scene: &Scene) -> Result<Vec<(Placement, OwnedFd)>, Refusal> {
    let sandbox = &scene.files.sandbox;
    let endpoint = spawner.kept.get(&sandbox.id).and_then(|kept| kept.endpoint.as_ref());
    let files = sources::files(&sandbox.files, endpoint, scene.plan.joined.mappings.as_ref())?;
    let own = |placement: &Placement| !scene.plan.placements.iter().any(|one| one.destination == placement.destination);
    let mut placed = Vec::new();
    for (placement, mount) in files.into_iter().filter(|(placement, _)| own(placement)) {
        placed.push((Placement { read_only: true, ..placement }, mount));
    }
    Ok(placed)
}

/// The image's layers as one folder.
fn view(lowers: &Lowers) -> Result<OwnedFd, Refusal> {
    let copies = lowers.layers.iter().map(|layer| layer.folder.try_clone());
    let copies = copies.collect::<Result<Vec<_>, _>>().doing(confining)?;
    match copies.len() {
        1 => copies.into_iter().next().ok_or_else(|| refusal(RefusalKind::Internal, "an image without layers")),
        _ => overlay::show(&copies).doing(|| "look at the image".to_owned()),
    }
}

/// Where a start mounts something.
fn places(plan: &crate::spec::Plan) -> Vec<PathBuf> {
    let files = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].map(PathBuf::from);
    let furniture = ["/dev", "/proc", "/sys"].map(PathBuf::from);
    let placed = plan.placements.iter().map(|placement| placement.destination.clone());
    placed.chain(files).chain(furniture).collect()
}

/// Makes the root the only one, in the team's user namespace where the container has one.
fn stand_in(
    root: &OwnedFd,
    placed: Vec<(Placement, OwnedFd)>,
    namespace: Option<BorrowedFd<'_>>,
    read_only: bool,
) -> Result<(), Refusal> {
    if let Some(namespace) = namespace {
        enter(namespace, LinkNameSpaceType::User).doing(confining)?;
        become_root()?;
    }
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC).doing(confining)?;
    let place = resolve::without_links(rustix::fs::CWD, Path::new(space::ROOT)).doing(confining)?;
    attach(root.as_fd(), place.as_fd()).doing(confining)?;
    for (placement, mount) in placed {
        init::place_one(root.as_fd(), &placement, &mut std::collections::VecDeque::from([mount]))?;
    }
    if read_only {
        let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
        set_attributes(root.as_fd(), attributes, false).doing(confining)?;
    }
    fchdir(root).doing(confining)?;
    pivot_root(".", ".").doing(confining)?;
    unmount(".", UnmountFlags::DETACH).doing(confining)?;
    chdir("/").doing(confining)
}

/// Keeps what reading or writing files of others takes.
fn give_up(work: &Work) -> Result<(), Refusal> {
    let most = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Nofile, most(DESCRIPTORS)).doing(confining)?;
    setrlimit(Resource::As, most(MEMORY)).doing(confining)?;
    setrlimit(Resource::Core, most(0)).doing(confining)?;
    set_no_new_privs(true).doing(confining)?;
    // Again: it was forgotten when the user changed (PR_SET_PDEATHSIG(2const)).
    set_parent_process_death_signal(Some(Signal::KILL)).doing(confining)?;
    let kept = match work {
        Work::Write { .. } => {
            CapabilitySet::CHOWN
                | CapabilitySet::DAC_OVERRIDE
                | CapabilitySet::FOWNER
                | CapabilitySet::FSETID
                | CapabilitySet::MKNOD
                | CapabilitySet::SETFCAP
        }
        _ => CapabilitySet::DAC_READ_SEARCH,
    };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).doing(confining)?;
    archive::confine_calls()
}
