//! What the init is told at the end: the process and what it finds in its root.

use std::path::PathBuf;

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::mounts::Placement;
use crate::seccomp;

/// All that an init does between its root and its program. Travels as one message, descriptors beside it: the root,
/// then one per [`super::Shown::Descriptor`] in order, then standard streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// Mounts in the root, in order.
    pub placements: Vec<Placement>,
    /// The root cannot be written.
    pub read_only_root: bool,
    /// Further masked paths, outside of /proc, /dev and /sys.
    pub masked: Vec<PathBuf>,
    /// Further read-only paths.
    pub read_only: Vec<PathBuf>,
    /// Name of the UTS namespace, if it is the container's own.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Descriptors in total.
    pub descriptors: usize,
    /// The program.
    pub program: Program,
}

/// A process of a container, the first or one started by exec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Arguments, user, environment, folder, capabilities, limits.
    pub process: Process,
    /// The compiled filter of system calls.
    pub filter: Option<seccomp::Program>,
    /// Further groups by name or number, looked up in the root.
    pub groups: Vec<String>,
    /// Whether ids are looked up by `process.user.username` in the root's own passwd.
    pub lookup: bool,
    /// A tiny init stays as PID 1.
    pub init: bool,
    /// Standard input is among the descriptors.
    pub stdin: bool,
}
