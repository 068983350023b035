//! Whose an object is, as far as the engine needs to know.

pub use sampan_runtime::sandbox::RANGE;
use serde::{Deserialize, Serialize};

/// A team as the engine sees it: an opaque id, a key for names in the kernel, and a range of host ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// `teams.id` in the database.
    pub team_id: i64,
    /// `[a-z0-9]{1,16}`, unique in the instance and never reused: names cgroup, monitor and bridge.
    pub key: String,
    /// First of [`RANGE`] host ids.
    pub base_id: u32,
}

impl Owner {
    /// The runtime's word for the same team.
    pub fn team(&self) -> sampan_runtime::sandbox::Team {
        sampan_runtime::sandbox::Team { key: self.key.clone(), base_id: self.base_id }
    }
}
