//! Why a cgroup could not be found, changed or read.

use std::io;
use std::path::PathBuf;

use crate::wire::RefusalKind;

/// Why a cgroup could not be found, changed or read.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The host lacks something that was asked for.
    #[error("{what}")]
    Unsupported {
        /// What is missing, and what to do where something can be done.
        what: String,
    },
    /// A value outside of what the kernel takes; nothing was written.
    #[error("{field} is {value}, but {allowed}")]
    OutOfRange {
        /// Name of the field in the OCI description.
        field: &'static str,
        /// As given.
        value: String,
        /// The rule it breaks.
        allowed: String,
    },
    /// A name that cannot be a cgroup's.
    #[error("{name:?} cannot be the name of a cgroup")]
    BadName {
        /// As given.
        name: String,
    },
    /// A file of a cgroup could not be written.
    #[error("cannot write {value:?} to {}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The text.
        value: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A file says something that this code does not understand.
    #[error("{} says {text:?}, which is not {expected}", .file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// What it says.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A cgroup could not be made.
    #[error("cannot make the cgroup {}", .folder.display())]
    Make {
        /// Its folder.
        folder: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A cgroup could not be removed.
    #[error("cannot remove the cgroup {}", .folder.display())]
    Remove {
        /// Its folder.
        folder: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Processes are still there after all patience.
    #[error("the cgroup {path} still {state} after {waited_ms} ms")]
    Impatient {
        /// The cgroup.
        path: String,
        /// What it still does.
        state: &'static str,
        /// How long was waited.
        waited_ms: u64,
    },
    /// The kernel did not take the filter of devices.
    #[error("cannot set the filter of devices of the cgroup {path}: {step}")]
    DeviceFilter {
        /// The cgroup.
        path: String,
        /// What was tried.
        step: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// What the caller can do about it.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Unsupported { .. } => RefusalKind::Unsupported,
            Self::OutOfRange { .. } | Self::BadName { .. } => RefusalKind::Invalid,
            Self::Write { source, .. } | Self::Make { source, .. } => match source.raw_os_error() {
                Some(libc::ENOSPC | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => RefusalKind::Exhausted,
                // A memory limit below what is in use (v1), or a CPU set or quota beyond the parent's.
                Some(libc::EBUSY) => RefusalKind::Conflict,
                Some(libc::EINVAL | libc::ERANGE) => RefusalKind::Invalid,
                _ => RefusalKind::Internal,
            },
            _ => RefusalKind::Internal,
        }
    }
}
