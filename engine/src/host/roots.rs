//! Data root and state root, and whose they are.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::ids::{self, IdBlock};
use super::lock::{Alone, HostLock, LOCK_FILE, claim_alone};
use super::{HostError, instance};

/// User whose name the server takes, where the host has it.
const USER: &str = "sampan";

/// What an instance has of its host.
#[derive(Debug)]
pub struct Claimed {
    /// Its short id.
    pub instance: String,
    /// The server's own user from now on.
    pub uid: u32,
    /// And group.
    pub gid: u32,
    /// Its host ids.
    pub ids: IdBlock,
    /// Canonical.
    pub data_root: PathBuf,
    /// Canonical.
    pub state_root: PathBuf,
    /// No other server works on the data root as long as this is held.
    pub alone: Alone,
}

/// Makes the roots and takes id and host ids, under the host's lock. The owner of an existing data root stays its owner;
/// else it is the user `sampan`; else the first id of the instance's own block.
///
/// # Errors
/// [`HostError`].
pub fn claim(data_root: &Path, state_root: &Path) -> Result<Claimed, HostError> {
    let _lock = HostLock::take()?;
    let data_root = folder(data_root)?;
    let instance = instance::of(&data_root)?;
    let ids = ids::reserve(&instance)?;
    let (uid, gid) = user(&data_root, ids)?;
    own(&data_root, uid, gid, 0o700)?;
    let alone = claim_alone(&data_root)?;
    own(&data_root.join(LOCK_FILE), uid, gid, 0o600)?;
    own(&data_root.join("instance"), uid, gid, 0o644)?;
    let state_root = folder(state_root)?;
    // Others pass through to the docker socket, where peer credentials decide; the sockets of the helpers are 0600.
    own(&state_root, uid, gid, 0o711)?;
    for name in ["monitor", "net"] {
        own(&folder(&state_root.join(name))?, uid, gid, 0o700)?;
    }
    for name in ["layers", "content"] {
        own(&folder(&data_root.join(name))?, uid, gid, 0o700)?;
    }
    // Seen through a mount with a team's ids, our own user is nobody's, and root has no say over what is nobody's: it
    // passes as everybody may. The data root above them stays closed.
    for name in ["containers", "volumes"] {
        own(&folder(&data_root.join(name))?, uid, gid, 0o711)?;
    }
    Ok(Claimed { instance, uid, gid, ids, data_root, state_root, alone })
}

fn folder(path: &Path) -> Result<PathBuf, HostError> {
    fs::create_dir_all(path).map_err(HostError::io("make", path))?;
    fs::canonicalize(path).map_err(HostError::io("find", path))
}

fn own(path: &Path, uid: u32, gid: u32, mode: u32) -> Result<(), HostError> {
    let found = fs::symlink_metadata(path).map_err(HostError::io("look at", path))?;
    if found.file_type().is_symlink() {
        return Err(HostError::io("use", path)(io::Error::other("it is a symbolic link")));
    }
    if found.uid() != uid || found.gid() != gid {
        chown(path, Some(uid), Some(gid)).map_err(HostError::io("give to its user", path))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(HostError::io("set the mode of", path))
}

fn user(data_root: &Path, ids: IdBlock) -> Result<(u32, u32), HostError> {
    let found = fs::metadata(data_root).map_err(HostError::io("look at", data_root))?;
    if found.uid() != 0 {
        return Ok((found.uid(), found.gid()));
    }
    let named = nix::unistd::User::from_name(USER)
        .map_err(|error| HostError::Process { what: "look up the user sampan", source: error.into() })?;
    Ok(named.map_or((ids.first, ids.first), |user| (user.uid.as_raw(), user.gid.as_raw())))
}
