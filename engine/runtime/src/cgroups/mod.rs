//! Control groups: cgroup v1, v2, and hosts that have both.
//!
//! One parent per instance, one group per team beneath it, one per container (and monitor) beneath that. A [`Cgroup`]
//! is a path that exists in every hierarchy that counts: on v2 the one, on v1 each controller's, and on a hybrid host
//! also the unified one, which has no controllers for us there but freezes, kills, measures CPU time and pressure, and
//! lets a process be born inside (CLONE_INTO_CGROUP).
//!
//! Nothing here starts a thread or keeps a lock; all of it may be used between fork and exec.

mod blkio;
mod cpu;
mod cpuset;
mod delegation;
mod devices;
mod error;
mod freezer;
mod group;
mod hugetlb;
mod layout;
mod limits;
mod memory;
mod pids;
mod place;
mod readings;
#[cfg(test)]
mod tests;
mod unified;

pub use delegation::HELPERS;
pub use error::CgroupError;
pub use group::Cgroup;
pub use layout::{Layout, World};
pub use readings::{CpuReading, DiskReading, MemoryReading, Pressure, Reading, Readings, Stall};
