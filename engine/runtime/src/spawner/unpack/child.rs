//! The confined child.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Signal, chdir, fchdir, pivot_root, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::write::Writer;
use crate::failure::Doing;
use crate::rootfs::attach::attach;
use crate::rootfs::resolve;
use crate::space;
use crate::sys::clone::exit_now;
use crate::sys::descriptors::keep_only;
use crate::sys::mounts::{Attributes, NO_DEVICES, NO_EXECUTE, NO_SETUID, copy_tree};
use crate::wire::Refusal;
use crate::wire::socket::Connection;

pub(super) fn run(tar: &File, folder: &OwnedFd, below: Option<OwnedFd>, connection: &Connection) -> ! {
    let outcome = confine(tar, folder, below.as_ref(), connection).and_then(|()| Writer::new(below)?.unpack(tar));
    exit_now(i32::from(connection.send(&outcome, &[]).is_err()))
}

fn confine(tar: &File, folder: &OwnedFd, below: Option<&OwnedFd>, connection: &Connection) -> Result<(), Refusal> {
    let doing = || "confine the helper".to_owned();
    // An orphan would go on writing where the next spawner begins anew.
    set_parent_process_death_signal(Some(Signal::KILL)).doing(doing)?;
    let mut kept = vec![tar.as_fd(), folder.as_fd(), connection.as_fd()];
    kept.extend(below.map(AsFd::as_fd));
    keep_only(&kept).doing(doing)?;
    // Before the namespace changes: what belongs to another one cannot be copied.
    let attributes = Attributes { set: NO_SETUID | NO_DEVICES | NO_EXECUTE, ..Attributes::default() };
    let root = copy_tree(folder.as_fd(), Path::new(""), attributes, false).doing(doing)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC).doing(doing)?;
    let place = resolve::without_links(rustix::fs::CWD, Path::new(space::ROOT)).doing(doing)?;
    attach(root.as_fd(), place.as_fd()).doing(doing)?;
    fchdir(&root).doing(doing)?;
    pivot_root(".", ".").doing(doing)?;
    unmount(".", UnmountFlags::DETACH).doing(doing)?;
    chdir("/").doing(doing)?;
    set_no_new_privs(true).doing(doing)?;
    // Owners, modes, device nodes, file capabilities; SYS_ADMIN for overlay's own attributes.
    let kept = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::MKNOD
        | CapabilitySet::SETFCAP
        | CapabilitySet::SYS_ADMIN;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).doing(doing)
}
