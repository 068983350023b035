//! Bounds as REST says them.

use sampan_engine::containers::config::{Limits, Ulimit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bounds; absent is "no limit" (processes: 4096).
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsBody {
    /// Memory in bytes
    memory_bytes: Option<u64>,
    /// Memory and swap together; -1 without limit
    memory_swap_bytes: Option<i64>,
    /// Soft limit of memory
    memory_reservation_bytes: Option<u64>,
    /// Nothing is killed when memory ends; for an administrator
    oom_kill_disable: bool,
    /// -1000 to 1000; below 0 for an administrator
    oom_score_adjust: Option<i32>,
    /// CPUs: 1.5 is one and a half
    cpus: Option<f64>,
    /// Relative weight
    cpu_shares: Option<u64>,
    /// `0-2,4`
    cpuset_cpus: Option<String>,
    /// Processes and threads; -1 without limit
    pids: Option<i64>,
    /// 10 to 1000
    block_io_weight: Option<u16>,
    /// Resource limits of the process
    ulimits: Vec<UlimitBody>,
}

/// One resource limit.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UlimitBody {
    /// `nofile`, `core`, …
    name: String,
    /// Soft; -1 without limit
    soft: i64,
    /// Hard; -1 without limit
    hard: i64,
}

impl From<LimitsBody> for Limits {
    fn from(body: LimitsBody) -> Self {
        let ulimit = |limit: UlimitBody| Ulimit { name: limit.name, soft: limit.soft, hard: limit.hard };
        Self {
            memory_bytes: body.memory_bytes,
            memory_swap_bytes: body.memory_swap_bytes,
            memory_reservation_bytes: body.memory_reservation_bytes,
            oom_kill_disable: body.oom_kill_disable,
            oom_score_adjust: body.oom_score_adjust,
            nano_cpus: body.cpus.map(billionths),
            cpu_shares: body.cpu_shares,
            cpuset_cpus: body.cpuset_cpus,
            pids: body.pids,
            block_io_weight: body.block_io_weight,
            ulimits: body.ulimits.into_iter().map(ulimit).collect(),
            ..Self::default()
        }
    }
}

/// A float cast saturates, and what is not a number is 0: the engine refuses what is out of range.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, see above")]
fn billionths(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}
