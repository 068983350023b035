//! The ranges of host ids that this instance has reserved, each enough for some teams.
//!
//! `serve` reserves them as root at its start (entries in /etc/subuid and /etc/subgid under a host-wide lock) and
//! records them here, so that a team can be made later by a process that is not root.

use serde::{Deserialize, Serialize};

use super::{Accounts, AccountsError};

/// Host ids that a team takes.
const TEAM: i64 = 65_536;
const SETTING: &str = "id_ranges";

/// A row of host ids, `teams` times 65,536 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First host id.
    pub first: u32,
    /// For how many teams.
    pub teams: u32,
}

impl Accounts {
    /// What is reserved.
    ///
    /// # Errors
    /// [`AccountsError::Unreadable`].
    pub async fn id_ranges(&self) -> Result<Vec<IdRange>, AccountsError> {
        let Some(text) = self.setting(SETTING).await? else { return Ok(Vec::new()) };
        serde_json::from_str(&text).map_err(|_| AccountsError::Unreadable { what: "list of id ranges", value: text })
    }

    /// Records what is reserved now.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn record_id_ranges(&self, ranges: &[IdRange]) -> Result<(), AccountsError> {
        let text = serde_json::json!(ranges).to_string();
        self.set_setting(SETTING, &text).await
    }

    /// How many teams can still be made.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn free_id_ranges(&self) -> Result<usize, AccountsError> {
        let taken: Vec<i64> = self.teams().await?.iter().map(|team| team.base_id).collect();
        Ok(bases(&self.id_ranges().await?).filter(|base| !taken.contains(base)).count())
    }

    pub(super) async fn free_base_id(&self) -> Result<i64, AccountsError> {
        let ranges = self.id_ranges().await?;
        let taken: Vec<i64> = self.teams().await?.iter().map(|team| team.base_id).collect();
        bases(&ranges)
            .find(|base| !taken.contains(base))
            .ok_or_else(|| AccountsError::NoIdRange { ranges: bases(&ranges).count() })
    }
}

fn bases(ranges: &[IdRange]) -> impl Iterator<Item = i64> {
    ranges.iter().flat_map(|range| (0..i64::from(range.teams)).map(|team| i64::from(range.first) + team * TEAM))
}
