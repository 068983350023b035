//! Volumes of a team.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::VolumeError;
use crate::engine::Shared;
use crate::owner::Owner;

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The team.
    pub team_id: i64,
    /// Unique in the team.
    pub name: String,
    /// Made for one container without a name.
    pub anonymous: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub created_at_ns: i64,
    /// Its folder on the host.
    pub path: PathBuf,
    /// Names of the containers that use it.
    pub used_by: Vec<String>,
}

/// Space a folder takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Inodes.
    pub files: u64,
}

/// The volumes of one engine.
#[derive(Debug, Clone)]
pub struct Volumes {
    pub(crate) shared: std::sync::Arc<Shared>,
}

fn later() -> VolumeError {
    VolumeError::Refused { message: "volumes are not offered yet".into(), kind: crate::Kind::Unsupported }
}

impl Volumes {
    /// Makes a volume, or gives the one that has this name already. No name: an anonymous one.
    pub async fn create(
        &self,
        owner: &Owner,
        name: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Volume, VolumeError> {
        let _ = (owner, name, labels, &self.shared);
        Err(later())
    }

    /// The volume of that name.
    pub async fn get(&self, owner: &Owner, name: &str) -> Result<Volume, VolumeError> {
        let _ = (owner, name);
        Err(later())
    }

    /// All of the team, by name.
    pub async fn list(&self, owner: &Owner) -> Result<Vec<Volume>, VolumeError> {
        let _ = owner;
        Err(later())
    }

    /// Removes it with its content; refused while a container has it.
    pub async fn remove(&self, owner: &Owner, name: &str) -> Result<(), VolumeError> {
        let _ = (owner, name);
        Err(later())
    }

    /// Removes what no container has: anonymous ones only, or `all`. Gives the names and the bytes.
    pub async fn prune(&self, owner: &Owner, all: bool) -> Result<(Vec<String>, u64), VolumeError> {
        let _ = (owner, all);
        Err(later())
    }

    /// Space it takes: walks the whole folder.
    pub async fn usage(&self, owner: &Owner, name: &str) -> Result<Usage, VolumeError> {
        let _ = (owner, name);
        Err(later())
    }
}
