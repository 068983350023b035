//! Births in namespaces: a helper joins what exists, and its child is born in what is new.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::LinkNameSpaceType;
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, refusal};
use crate::sys::clone::{
    Cloned, NEW_CGROUP, NEW_IPC, NEW_MOUNT, NEW_NETWORK, NEW_PID, NEW_USER, NEW_UTS, SAME_PARENT, clone3, exit_now,
};
use crate::user_namespace::{Made, Mappings, enter, furnish};
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};

/// Where one namespace comes from.
#[derive(Debug, Clone, Copy)]
pub enum From<'fd> {
    /// Born with the process.
    New,
    /// The caller's own.
    Here,
    /// An existing one.
    Existing(BorrowedFd<'fd>),
}

/// Namespaces of a process to be. The mount namespace is always new.
#[derive(Debug, Clone, Copy)]
pub struct Nest<'fd> {
    /// Made before; `None` is the caller's.
    pub user: Option<BorrowedFd<'fd>>,
    /// Made before; `None` is the caller's.
    pub network: Option<BorrowedFd<'fd>>,
    /// Process ids.
    pub pid: From<'fd>,
    /// IPC.
    pub ipc: From<'fd>,
    /// Host name.
    pub uts: From<'fd>,
    /// View of cgroups.
    pub cgroup: From<'fd>,
}

/// What a newborn and its helper say on their socket, in any order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// From the helper: the child's host pid; its pidfd beside it.
    Born {
        /// Its number.
        pid: i32,
    },
    /// From the init: it stands in its namespaces, furnished.
    Ready,
    /// From the init: all is done but the program. The pty's master beside it, if there is one.
    Prepared {
        /// User of the program, inside.
        user: u32,
        /// Its group.
        group: u32,
    },
    /// From either: it ends now.
    Failed(Refusal),
}

/// A process that was born and waits for its orders.
#[derive(Debug)]
pub struct Newborn {
    /// Host pid.
    pub pid: i32,
    /// Stands for it.
    pub pidfd: OwnedFd,
    /// To it. It ends when this is closed before it has run.
    pub connection: Connection,
}

/// How a process is born.
#[derive(Debug, Clone, Copy)]
pub struct Birth<'fd> {
    /// Its namespaces.
    pub nest: Nest<'fd>,
    /// The unified cgroup to be born in.
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// A child of the caller's parent, not of the caller.
    pub same_parent: bool,
}

/// Starts `body` in new namespaces. `join` runs in the helper first: it enters cgroups. Waits for the helper only.
///
/// # Errors
/// What the helper could not do.
pub fn birth(
    how: Birth<'_>,
    join: impl FnOnce() -> Result<(), Refusal>,
    body: impl FnOnce(Connection),
) -> Result<Newborn, Refusal> {
    birth_with(how, NEW_MOUNT, join, body)
}

/// As [`birth`], with `new` instead of a mount namespace of its own (0: `join` enters one).
///
/// # Errors
/// What the helper could not do.
pub fn birth_with(
    birth: Birth<'_>,
    new: u64,
    join: impl FnOnce() -> Result<(), Refusal>,
    body: impl FnOnce(Connection),
) -> Result<Newborn, Refusal> {
    let (ours, theirs) = Connection::pair().doing(|| "make a socket".to_owned())?;
    let flags = if birth.same_parent { SAME_PARENT } else { 0 };
    match clone3(flags, birth.cgroup).doing(|| "make a process".to_owned())? {
        Cloned::Child => {
            drop(ours);
            match join().and_then(|()| helper(birth.nest, new, &theirs)) {
                Ok(false) => exit_now(0),
                Ok(true) => {
                    body(theirs);
                    exit_now(1)
                }
                Err(refusal) => exit_now(1 + i32::from(theirs.send(&Word::Failed(refusal), &[]).is_err())),
            }
        }
        Cloned::Parent { pidfd: helper, .. } => {
            drop(theirs);
            let born = wait_for_birth(ours);
            if !birth.same_parent {
                let ended = rustix::process::WaitIdOptions::EXITED;
                rustix::process::waitid(rustix::process::WaitId::PidFd(helper.as_fd()), ended)
                    .doing(|| "wait for a helper".to_owned())?;
            }
            born
        }
    }
}

/// Starts `body` in namespaces that are all new, in one birth: a child of the caller's parent, born in the unified
/// `cgroup`; the v1 ones are the caller's. Answers the user and network namespace beside it.
///
/// # Errors
/// As clone3(2), and writing /proc/PID/uid_map.
pub fn birth_anew(
    mappings: &Mappings,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce(Connection),
) -> Result<(Newborn, Made), Refusal> {
    let (ours, theirs) = Connection::pair().doing(|| "make a socket".to_owned())?;
    let (told, tell) = std::io::pipe().doing(|| "make a pipe".to_owned())?;
    let flags = NEW_USER | NEW_NETWORK | NEW_MOUNT | NEW_PID | NEW_IPC | NEW_UTS | SAME_PARENT;
    match clone3(flags, cgroup).doing(|| "make the container's first process".to_owned())? {
        Cloned::Child => {
            drop((ours, tell));
            match wait_for_ids(&told) {
                Ok(()) => {
                    body(theirs);
                    exit_now(1)
                }
                Err(refusal) => exit_now(1 + i32::from(theirs.send(&Word::Failed(refusal), &[]).is_err())),
            }
        }
        Cloned::Parent { pid, pidfd } => {
            drop((told, theirs));
            let made = furnish(pid, mappings, true).doing(|| "give a container's first process its ids".to_owned())?;
            rustix::io::write(&tell, &[1]).doing(|| "tell the container's first process of its ids".to_owned())?;
            Ok((Newborn { pid, pidfd, connection: ours }, made))
        }
    }
}

/// In the child of [`birth_anew`]. Its view of cgroups is taken here, since at the clone it would have been its parent's.
fn wait_for_ids(told: &impl AsFd) -> Result<(), Refusal> {
    match rustix::io::read(told, &mut [0_u8]).doing(|| "wait for the ids".to_owned())? {
        0 => Err(refusal(RefusalKind::Internal, "the process that gives the ids ended")),
        _ => become_root(),
    }?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).doing(|| "make a view of cgroups".to_owned())
}

fn wait_for_birth(connection: Connection) -> Result<Newborn, Refusal> {
    match connection.receive::<Word>().doing(|| "hear from a new process".to_owned())? {
        Some((Word::Born { pid }, descriptors)) => match descriptors.into_iter().next() {
            Some(pidfd) => Ok(Newborn { pid, pidfd, connection }),
            None => Err(refusal(RefusalKind::Internal, "a new process came without its descriptor")),
        },
        Some((Word::Failed(refusal), _)) => Err(refusal),
        Some(_) => Err(refusal(RefusalKind::Internal, "a new process spoke out of turn")),
        None => Err(refusal(RefusalKind::Internal, "a new process ended before it was ready")),
    }
}

/// In the helper; answers true in its child. The child waits on a pipe until its birth was told, so that the first
/// word on the socket is always the helper's.
fn helper(nest: Nest<'_>, new: u64, connection: &Connection) -> Result<bool, Refusal> {
    let doing = |what: &'static str| move || format!("join the {what} namespace");
    if let Some(user) = nest.user {
        enter(user, LinkNameSpaceType::User).doing(doing("user"))?;
    }
    if let Some(network) = nest.network {
        enter(network, LinkNameSpaceType::Network).doing(doing("network"))?;
    }
    let mut flags = new | SAME_PARENT;
    for (from, kind, flag, name) in [
        (nest.pid, LinkNameSpaceType::ProcessID, NEW_PID, "pid"),
        (nest.ipc, LinkNameSpaceType::InterProcessCommunication, NEW_IPC, "ipc"),
        (nest.uts, LinkNameSpaceType::HostNameAndNISDomainName, NEW_UTS, "uts"),
        (nest.cgroup, LinkNameSpaceType::ControlGroup, NEW_CGROUP, "cgroup"),
    ] {
        match from {
            From::New => flags |= flag,
            From::Here => {}
            From::Existing(namespace) => enter(namespace, kind).doing(doing(name))?,
        }
    }
    if nest.user.is_some() {
        become_root()?;
    }
    let (told, tell) = std::io::pipe().doing(|| "make a pipe".to_owned())?;
    match clone3(flags, None).doing(|| "make the container's first process".to_owned())? {
        Cloned::Child => {
            drop(tell);
            let mut byte = [0_u8];
            rustix::io::read(&told, &mut byte).doing(|| "wait for the helper".to_owned())?;
            Ok(true)
        }
        Cloned::Parent { pid, pidfd } => {
            connection.send(&Word::Born { pid }, &[pidfd.as_fd()]).doing(|| "tell of a birth".to_owned())?;
            drop((told, tell));
            Ok(false)
        }
    }
}

/// Takes the ids of the user namespace's root, and drops all groups.
///
/// # Errors
/// As setgroups(2), setresuid(2).
pub fn become_root() -> Result<(), Refusal> {
    use rustix::process::{Gid, Uid};
    let (user, group) = (Uid::ROOT, Gid::ROOT);
    let become_root = || -> rustix::io::Result<()> {
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)
    };
    become_root().doing(|| "become the container's root".to_owned())
}
