//! The two files of a container, read beneath the data root and checked.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;
use rustix::fs::OFlags;

use crate::failure::{Doing, refusal};
use crate::rootfs::resolve;
use crate::sandbox::{CONFIG_FILE, RANGE, SANDBOX_FILE, Sandbox, Team};
use crate::wire::{Refusal, RefusalKind};

/// Most bytes of either file: Docker's default filter, when spelled out, takes about 20 KiB.
const FILE_BYTES: u64 = 8 << 20;
/// How such a file is opened, whatever it turns out to be.
pub(super) const READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Ids below are the host's own.
const LOWEST_BASE: u32 = 65_536;

/// What a container is.
#[derive(Debug)]
pub(super) struct Files {
    pub spec: Spec,
    pub sandbox: Sandbox,
    /// `containers/<id>` (O_PATH).
    pub folder: OwnedFd,
}

pub(super) fn read(data: BorrowedFd<'_>, id: &str) -> Result<Files, Refusal> {
    let folder = folder(data, id)?;
    let spec = json(folder.as_fd(), CONFIG_FILE)?;
    let sandbox = sandbox_in(folder.as_fd(), id)?;
    Ok(Files { spec, sandbox, folder })
}

/// What a container is beside its description, which is not read.
pub(super) fn sandbox(data: BorrowedFd<'_>, id: &str) -> Result<Sandbox, Refusal> {
    sandbox_in(folder(data, id)?.as_fd(), id)
}

fn sandbox_in(folder: BorrowedFd<'_>, id: &str) -> Result<Sandbox, Refusal> {
    let sandbox: Sandbox = json(folder, SANDBOX_FILE)?;
    if sandbox.id != id {
        return Err(refusal(RefusalKind::Invalid, format!("{SANDBOX_FILE} is of container {}", sandbox.id)));
    }
    check_team(&sandbox.team)?;
    Ok(sandbox)
}

/// `containers/<id>`, by a checked name.
pub(super) fn folder(data: BorrowedFd<'_>, id: &str) -> Result<OwnedFd, Refusal> {
    check_id(id)?;
    match resolve::beneath(data, &Path::new("containers").join(id), OFlags::PATH | OFlags::DIRECTORY) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(refusal(RefusalKind::NotFound, format!("no such container: {id}")))
        }
        answer => answer.doing(|| format!("open the folder of container {id}")),
    }
}

/// 64 lower-case hexadecimal digits.
pub(super) fn check_id(id: &str) -> Result<(), Refusal> {
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Ok(());
    }
    Err(refusal(RefusalKind::Invalid, format!("{id:?} is not 64 hexadecimal digits")))
}

/// A key that can name a cgroup and a socket, and a range apart from the host's own ids.
pub(super) fn check_team(team: &Team) -> Result<(), Refusal> {
    let key = (1..=16).contains(&team.key.len())
        && team.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !key || team.key == "monitor" {
        return Err(refusal(RefusalKind::Invalid, format!("{:?} is no key of a team", team.key)));
    }
    if team.base_id < LOWEST_BASE || team.base_id.checked_add(RANGE).is_none() {
        return Err(refusal(RefusalKind::Invalid, format!("{} cannot be the first id of a team", team.base_id)));
    }
    Ok(())
}

fn json<T: serde::de::DeserializeOwned>(folder: BorrowedFd<'_>, name: &str) -> Result<T, Refusal> {
    let file = resolve::beneath(folder, Path::new(name), READING).doing(|| format!("open {name}"))?;
    parse(file, name)
}

/// What an open file says, which may be as long as one of a container's.
pub(super) fn parse<T: serde::de::DeserializeOwned>(file: OwnedFd, name: &str) -> Result<T, Refusal> {
    let file = std::fs::File::from(file);
    let length = file.metadata().doing(|| format!("look at {name}"))?.len().min(FILE_BYTES);
    let mut file = file.take(FILE_BYTES);
    // One byte more: the read that finds the end needs no larger buffer.
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.read_to_end(&mut bytes).doing(|| format!("read {name}"))?;
    serde_json::from_slice(&bytes).map_err(|error| refusal(RefusalKind::Invalid, format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{check_id, check_team};
    use crate::sandbox::Team;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert!(check_id(&"a0".repeat(32)).is_ok());
        for id in ["", "../../etc", &"A0".repeat(32), &"a0".repeat(31)] {
            assert!(check_id(id).is_err(), "{id}");
        }
        let team = |key: &str, base_id| check_team(&Team { key: key.to_owned(), base_id });
        assert!(team("blue1", 1_879_048_192).is_ok());
        assert!(team("blue1", 0).is_err());
        assert!(team("blue1", u32::MAX - 5).is_err());
        assert!(team("../x", 1_879_048_192).is_err());
        assert!(team("", 1_879_048_192).is_err());
    }
}
