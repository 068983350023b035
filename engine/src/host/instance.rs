//! The instance's short id: names cgroups, links, the nft table and the block of host ids.

use std::fs;
use std::io;
use std::path::Path;

use rand::TryRngCore as _;

use super::HostError;

/// The file in the data root that keeps it.
const FILE: &str = "instance";
/// Its characters.
const LENGTH: usize = 6;

/// The id of the instance whose data root this is; made once. Call it under the host's lock.
pub(super) fn of(data_root: &Path) -> Result<String, HostError> {
    let path = data_root.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.trim();
            let fine = id.len() == LENGTH && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            if fine { Ok(id.to_owned()) } else { Err(HostError::Instance { path, found: text }) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = random()?;
            fs::write(&path, format!("{id}\n")).map_err(HostError::io("write", &path))?;
            Ok(id)
        }
        Err(error) => Err(HostError::io("read", path)(error)),
    }
}

/// The id, if there is one.
pub(super) fn existing(data_root: &Path) -> Option<String> {
    fs::read_to_string(data_root.join(FILE)).ok().map(|text| text.trim().to_owned()).filter(|id| id.len() == LENGTH)
}

/// Thirty random bits: two instances of one host with the same id would take a million hosts with a hundred each.
fn random() -> Result<String, HostError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0_u8; LENGTH];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| HostError::Process { what: "read random bytes", source: io::Error::other(error) })?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}
