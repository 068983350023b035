//! A group in every hierarchy that counts.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use oci_spec::runtime::LinuxResources;

use super::{CgroupError, Layout};

/// A group: the instance's parent, a team's, a container's or a monitor's.
#[derive(Debug, Clone)]
pub struct Cgroup {
    layout: Arc<Layout>,
    path: String,
}

impl Cgroup {
    /// The instance's parent `sampan-INSTANCE`, made if it is not there: beneath the folder that systemd delegated to
    /// this process, else beneath the roots.
    ///
    /// # Errors
    /// [`CgroupError::BadName`], [`CgroupError::Make`], [`CgroupError::Write`].
    pub fn parent(layout: &Arc<Layout>, instance: &str) -> Result<Self, CgroupError> {
        let _ = (layout, instance);
        Err(CgroupError::Unsupported { what: "cgroups are being built".into() })
    }

    /// The group at `path` (as [`Self::path`] gave it), if it exists.
    ///
    /// # Errors
    /// [`CgroupError::BadName`].
    pub fn open(layout: &Arc<Layout>, path: &str) -> Result<Option<Self>, CgroupError> {
        let _ = (layout, path);
        Err(CgroupError::Unsupported { what: "cgroups are being built".into() })
    }

    /// The group `name` beneath this one, made if it is not there.
    ///
    /// # Errors
    /// [`CgroupError::BadName`], [`CgroupError::Make`], [`CgroupError::Write`].
    pub fn child(&self, name: &str) -> Result<Self, CgroupError> {
        let _ = name;
        Err(CgroupError::Unsupported { what: "cgroups are being built".into() })
    }

    /// Names of the groups beneath this one.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn children(&self) -> Result<Vec<String>, CgroupError> {
        Err(CgroupError::Unsupported { what: "cgroups are being built".into() })
    }

    /// Relative to each hierarchy's root, without a leading slash: `sampan-ab12/blue/3f…`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The hierarchies it lies in.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// For `clone3(CLONE_INTO_CGROUP)`; on v1 alone there is none.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn birthplace(&self) -> Result<Option<OwnedFd>, CgroupError> {
        Ok(None)
    }

    /// Moves the calling process (of one thread) into the v1 hierarchies of this group, so that what it clones is born
    /// there. Does nothing on v2, where [`Self::birthplace`] does all.
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn enter_legacy(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    /// Moves process `pid` (0: the calling one) into all hierarchies of this group.
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn move_in(&self, pid: i32) -> Result<(), CgroupError> {
        let _ = pid;
        Ok(())
    }

    /// Checks all limits, then writes them: for a new group. A `devices` list that is absent leaves devices alone.
    ///
    /// # Errors
    /// [`CgroupError::OutOfRange`] and [`CgroupError::Unsupported`] before anything is written; [`CgroupError::Write`].
    pub fn apply(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let _ = resources;
        Ok(())
    }

    /// Changes limits of a group in use: only what is there; undone in reverse order when one of them is refused.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let _ = resources;
        Ok(())
    }

    /// Freezes all processes and waits until they are.
    ///
    /// # Errors
    /// [`CgroupError::Impatient`] after which nothing is frozen; [`CgroupError::Unsupported`]; [`CgroupError::Write`].
    pub fn freeze(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    /// Thaws them.
    ///
    /// # Errors
    /// As [`Self::freeze`].
    pub fn thaw(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    /// Whether it is frozen.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        Ok(false)
    }

    /// Host numbers of all processes in and beneath it.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        Ok(Vec::new())
    }

    /// Kills every process in and beneath it, frozen ones too. Does not wait for their end.
    ///
    /// # Errors
    /// [`CgroupError::Write`], [`CgroupError::Read`].
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    /// Removes it and the groups beneath it; waits a little for processes that are ending. No error when it is gone.
    ///
    /// # Errors
    /// All that went wrong in all hierarchies, the first as the error: [`CgroupError::Remove`].
    pub fn remove(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    /// How often the kernel killed one of its processes for want of memory since the group was made.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        Ok(0)
    }
}
