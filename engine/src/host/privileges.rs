//! From root to a user that may do nothing of root's, for good.

use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, Gid, Uid};

use super::HostError;

/// Refuses anybody but root.
///
/// # Errors
/// [`HostError::NotRoot`].
pub fn require_root(what: &'static str) -> Result<(), HostError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(HostError::NotRoot { what }) }
}

/// Gives up root: no capability in any set, no group but `gid`, nothing gained by executing, no dump.
///
/// Spec: capabilities(7). The bounding set goes first, since leaving root takes CAP_SETPCAP along. Must be called while
/// the process has one thread.
///
/// # Errors
/// [`HostError::Process`]; the process must end then.
pub fn drop_all(uid: u32, gid: u32) -> Result<(), HostError> {
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // One that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(HostError::process("empty the bounding set")(error)),
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(HostError::process("empty the ambient set"))?;
    let failed = |what| move |error: nix::Error| HostError::Process { what, source: error.into() };
    nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(gid)]).map_err(failed("leave root's groups"))?;
    let (user, group) = (nix::unistd::Uid::from_raw(uid), nix::unistd::Gid::from_raw(gid));
    nix::unistd::setresgid(group, group, group).map_err(failed("leave root's group"))?;
    nix::unistd::setresuid(user, user, user).map_err(failed("leave root"))?;
    rustix::thread::set_no_new_privs(true).map_err(HostError::process("forbid new privileges"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(HostError::process("forbid memory dumps"))?;
    check(uid, gid)
}

/// Trusts none of the calls above.
fn check(uid: u32, gid: u32) -> Result<(), HostError> {
    let sets = rustix::thread::capabilities(None).map_err(HostError::process("read the capabilities"))?;
    let none = sets.effective.is_empty() && sets.permitted.is_empty() && sets.inheritable.is_empty();
    let ours = (Uid::from_raw(uid), Gid::from_raw(gid));
    if none && (rustix::process::geteuid(), rustix::process::getegid()) == ours {
        return Ok(());
    }
    Err(HostError::Process { what: "give up root", source: std::io::Error::other("something of it is left") })
}
