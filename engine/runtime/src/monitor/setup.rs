//! From root, as keeper starts it, to what a monitor is.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Gid, Uid};
use rustix::thread::CapabilitySet;

use super::Arguments;
use crate::cgroups::{Cgroup, CgroupError, Layout};
use crate::wire::socket::{Connection, Listener};

/// Why a monitor could not start.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Its socket.
    #[error("cannot listen at {}", .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its cgroup.
    #[error("cannot enter the monitor's cgroup of team {team}")]
    Cgroup {
        /// The team.
        team: String,
        /// Why.
        #[source]
        source: CgroupError,
    },
    /// The connection it was started with.
    #[error("keeper does not answer")]
    Keeper {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Giving up rights, or what every process has.
    #[error("cannot set up the monitor's own process: {what}")]
    Process {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// For the rest of its life only the calls of the loop are possible.
pub(super) fn lock_in() -> Result<(), MonitorError> {
    let failed = |what: String| MonitorError::Process { what: "system call filter", source: io::Error::other(what) };
    let rules = super::filter::rules().map_err(|error| failed(error.to_string()))?;
    let program = crate::seccomp::compile(&rules).map_err(|error| failed(error.to_string()))?;
    program.install().map_err(|error| failed(error.to_string()))
}

/// What was opened while it still could be.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) listener: Listener,
    pub(super) keeper: Connection,
    pub(super) cgroups: Arc<Layout>,
}

/// Opens all that needs root, enters the cgroup, and becomes the instance's user for good.
pub(super) fn set_up(arguments: &Arguments) -> Result<Opened, MonitorError> {
    let failed = |what| move |source| MonitorError::Process { what, source };
    let keeper: Connection =
        crate::sys::descriptors::inherit(arguments.keeper).map_err(|source| MonitorError::Keeper { source })?.into();
    let cgroups = enter_cgroup(arguments)?;
    // The state root may lie where only root can enter: from now on its sockets are named relative to here.
    rustix::process::chdir(&arguments.state_root).map_err(|e| failed("state root")(e.into()))?;
    let listener = listen(arguments)?;
    drop_rights(arguments).map_err(failed("rights"))?;
    Ok(Opened { listener, keeper, cgroups })
}

fn enter_cgroup(arguments: &Arguments) -> Result<Arc<Layout>, MonitorError> {
    let failed = |source| MonitorError::Cgroup { team: arguments.team.clone(), source };
    let layout = Layout::find().map_err(failed)?;
    if let Some(parent) = Cgroup::open(&layout, &arguments.cgroup_parent).map_err(failed)? {
        let own = parent.child(&arguments.team).and_then(|team| team.child("monitor")).map_err(failed)?;
        own.move_in(0).map_err(failed)?;
    }
    Ok(layout)
}

fn listen(arguments: &Arguments) -> Result<Listener, MonitorError> {
    let path = Path::new("monitor").join(format!("{}.sock", arguments.team));
    let failed = |source| MonitorError::Socket { path: path.clone(), source };
    let listener = Listener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    chown(&path, Some(arguments.uid), Some(arguments.gid)).map_err(failed)?;
    Ok(listener)
}

fn drop_rights(arguments: &Arguments) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (uid, gid) = (Uid::from_raw(arguments.uid), Gid::from_raw(arguments.gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    let none = CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
