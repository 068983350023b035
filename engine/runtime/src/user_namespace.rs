//! User namespaces: made by a child that ends at once, kept by descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions};

use crate::sys::clone::{Cloned, NEW_NETWORK, NEW_USER, clone3, exit_now};

/// One line of uid_map and gid_map. Spec: user_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Ids inside and outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mappings {
    /// Users.
    pub users: Vec<Mapping>,
    /// Groups.
    pub groups: Vec<Mapping>,
}

impl Mappings {
    /// A team's: 0 to 65,535 inside are `base` and up outside.
    pub fn team(base: u32) -> Self {
        let one = vec![Mapping { inside: 0, outside: base, count: crate::sandbox::RANGE }];
        Self { users: one.clone(), groups: one }
    }

    /// The outside number of a user, if it has one.
    pub fn user(&self, inside: u32) -> Option<u32> {
        outside(&self.users, inside)
    }

    /// The outside number of a group, if it has one.
    pub fn group(&self, inside: u32) -> Option<u32> {
        outside(&self.groups, inside)
    }
}

fn outside(mappings: &[Mapping], inside: u32) -> Option<u32> {
    mappings
        .iter()
        .find(|mapping| inside >= mapping.inside && inside - mapping.inside < mapping.count)
        .and_then(|mapping| mapping.outside.checked_add(inside - mapping.inside))
}

/// A user namespace, perhaps with a network namespace that it owns.
#[derive(Debug)]
pub struct Made {
    /// The user namespace.
    pub user: OwnedFd,
    /// The network namespace, when asked for.
    pub network: Option<OwnedFd>,
}

/// Makes a user namespace with `mappings`, and a network namespace in it when `network`.
///
/// # Errors
/// As clone3(2), and writing /proc/PID/uid_map.
pub fn make(mappings: &Mappings, network: bool) -> io::Result<Made> {
    let (hold, go) = std::io::pipe()?;
    let flags = NEW_USER | if network { NEW_NETWORK } else { 0 };
    match clone3(flags, None)? {
        Cloned::Child => {
            drop(go);
            let mut byte = [0_u8];
            // The end of the pipe says that the namespaces are held.
            let ended = rustix::io::read(&hold, &mut byte);
            exit_now(i32::from(ended.is_err()));
        }
        Cloned::Parent { pid, pidfd } => {
            drop(hold);
            let made = furnish(pid, mappings, network);
            drop(go);
            rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
            made
        }
    }
}

/// Gives the user namespace of process `pid`, a child, its ids, and holds it.
///
/// # Errors
/// As writing /proc/PID/uid_map.
pub(crate) fn furnish(pid: i32, mappings: &Mappings, network: bool) -> io::Result<Made> {
    std::fs::write(format!("/proc/{pid}/uid_map"), lines(&mappings.users))?;
    std::fs::write(format!("/proc/{pid}/gid_map"), lines(&mappings.groups))?;
    let user = File::open(format!("/proc/{pid}/ns/user"))?.into();
    let network = if network { Some(File::open(format!("/proc/{pid}/ns/net"))?.into()) } else { None };
    Ok(Made { user, network })
}

fn lines(mappings: &[Mapping]) -> String {
    mappings.iter().map(|one| format!("{} {} {}\n", one.inside, one.outside, one.count)).collect()
}

/// Makes a network namespace that belongs to the initial user namespace, and comes back to the present one.
///
/// # Errors
/// As unshare(2), setns(2).
pub fn network_of_host() -> io::Result<OwnedFd> {
    let here: OwnedFd = File::open("/proc/self/ns/net")?.into();
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let made = File::open("/proc/self/ns/net")?.into();
    enter(here.as_fd(), rustix::thread::LinkNameSpaceType::Network)?;
    Ok(made)
}

/// Makes a network namespace that belongs to the user namespace `user`.
///
/// # Errors
/// As clone3(2); `EPERM` and the like when the child cannot join or make it.
pub fn network_in(user: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (hold, go) = std::io::pipe()?;
    let (hear, tell) = std::io::pipe()?;
    match clone3(0, None)? {
        Cloned::Child => {
            drop((go, hear));
            let made = enter(user, rustix::thread::LinkNameSpaceType::User)
                .and_then(|()| Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?))
                .and_then(|()| Ok(rustix::io::write(&tell, &[1])?))
                .and_then(|_| Ok(rustix::io::read(&hold, &mut [0_u8])?));
            exit_now(i32::from(made.is_err()));
        }
        Cloned::Parent { pid, pidfd } => {
            drop((hold, tell));
            let made = match rustix::io::read(&hear, &mut [0_u8]) {
                Ok(1) => File::open(format!("/proc/{pid}/ns/net")).map(OwnedFd::from),
                Ok(_) => Err(io::Error::other("no network namespace can be made in the container's user namespace")),
                Err(error) => Err(error.into()),
            };
            drop(go);
            rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
            made
        }
    }
}

/// Joins one namespace.
///
/// # Errors
/// As setns(2).
pub fn enter(namespace: BorrowedFd<'_>, kind: rustix::thread::LinkNameSpaceType) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(namespace, Some(kind))?)
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Mappings};

    #[test]
    fn an_id_outside_of_the_range_has_no_number_on_the_host() {
        let team = Mappings::team(2_000_000_000);
        assert_eq!(team.user(0), Some(2_000_000_000));
        assert_eq!(team.user(65_535), Some(2_000_065_535));
        assert_eq!(team.user(65_536), None);
        let high = vec![Mapping { inside: 0, outside: u32::MAX, count: 2 }];
        assert_eq!(Mappings { users: high.clone(), groups: high }.group(1), None);
    }
}
