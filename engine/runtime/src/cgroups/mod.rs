//! Control groups: cgroup v1, v2, and hosts that have both.
//!
//! One parent per instance, one group per team beneath it, one per container (and monitor) beneath that. A [`Cgroup`]
//! is a path that exists in every hierarchy that counts: on v2 the one, on v1 each controller's, and on a hybrid host
//! also the unified one, which has no controllers there but kills, freezes nothing, measures pressure and lets a
//! process be born inside (CLONE_INTO_CGROUP).
//!
//! Nothing here starts a thread or keeps a lock; all of it may be used between fork and exec.

mod error;
mod group;
mod layout;

pub use error::CgroupError;
pub use group::Cgroup;
pub use layout::{Layout, World};
