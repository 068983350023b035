//! Small files under `net/` in the state root: one per endpoint, one per published set, each written whole by rename.
//!
//! They lie in memory (/run), so nothing is synced: after a reboot there is nothing to adopt.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sampan_runtime::wire::net::Port;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::networks::NetworkError;

/// An endpoint, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EndpointFile {
    /// Key of its team.
    pub(super) team: String,
    /// Interface of its bridge.
    pub(super) bridge: String,
    /// The host's end of its veth pair.
    pub(super) link: String,
    /// Its address.
    pub(super) address: Ipv4Addr,
    /// Its hardware address where one was asked for.
    #[serde(default)]
    pub(super) mac: Option<[u8; 6]>,
}

/// Published ports, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PortsFile {
    /// With host ports chosen.
    pub(super) ports: Vec<Port>,
}

/// What the first setting of IP forwarding has to be remembered for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ForwardingFile {
    /// Interfaces that were there when this instance switched forwarding on; between them nothing is forwarded.
    pub(super) closed: Vec<String>,
}

/// One folder of such files, by id.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder `name`, made if need be.
    pub(super) fn open(root: &Path, name: &str) -> Result<Self, NetworkError> {
        let path = root.join(name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(NetworkError::system(format!("make the folder {}", path.display())))?;
        Ok(Self { path })
    }

    /// Writes or replaces the file of `id`.
    pub(super) fn write<T: Serialize>(&self, id: &str, value: &T) -> Result<(), NetworkError> {
        let path = self.path.join(id);
        // Ids have no dot (checked with every request), so no id has this name.
        let fresh = self.path.join(".new");
        let bytes = serde_json::to_vec(value).map_err(io::Error::from);
        bytes
            .and_then(|bytes| fs::write(&fresh, bytes))
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(NetworkError::system(format!("write {}", path.display())))
    }

    /// Removes the file of `id`, if it is there.
    pub(super) fn remove(&self, id: &str) -> Result<(), NetworkError> {
        let path = self.path.join(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NetworkError::system(format!("remove {}", path.display()))(error))
            }
            _ => Ok(()),
        }
    }

    /// Gives the file of `from` to `to`.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), NetworkError> {
        fs::rename(self.path.join(from), self.path.join(to))
            .map_err(NetworkError::system(format!("rename the file of {from}")))
    }

    /// All files. One that cannot be read is told on standard error and left out: it was never written by this code.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, NetworkError> {
        let failed = || NetworkError::system(format!("read the folder {}", self.path.display()));
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let Ok(id) = entry.file_name().into_string() else { continue };
            if id.starts_with('.') {
                continue;
            }
            match fs::read(entry.path()).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
                Ok(value) => found.push((id, value)),
                Err(error) => eprintln!("net: {} is left out: {error}", entry.path().display()),
            }
        }
        Ok(found)
    }

    /// Removes all files.
    pub(super) fn empty(&self) -> Result<(), NetworkError> {
        let failed = || NetworkError::system(format!("empty the folder {}", self.path.display()));
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            fs::remove_file(entry.map_err(failed())?.path()).map_err(failed())?;
        }
        Ok(())
    }
}
