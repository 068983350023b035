//! Resource limits of a process.
//!
//! Spec: getrlimit(2); OCI runtime-spec `config.md`, `process.rlimits`. A limit above the hard limit of this process
//! needs CAP_SYS_RESOURCE in the *initial* user namespace; where that is missing the wish is capped and reported, since
//! images and Compose files ask for more than small hosts give and run well with less.

use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::wire::RefusalKind;

/// Every kind.
const KINDS: [PosixRlimitType; 16] = [
    PosixRlimitType::RlimitAs,
    PosixRlimitType::RlimitCore,
    PosixRlimitType::RlimitCpu,
    PosixRlimitType::RlimitData,
    PosixRlimitType::RlimitFsize,
    PosixRlimitType::RlimitLocks,
    PosixRlimitType::RlimitMemlock,
    PosixRlimitType::RlimitMsgqueue,
    PosixRlimitType::RlimitNice,
    PosixRlimitType::RlimitNofile,
    PosixRlimitType::RlimitNproc,
    PosixRlimitType::RlimitRss,
    PosixRlimitType::RlimitRtprio,
    PosixRlimitType::RlimitRttime,
    PosixRlimitType::RlimitSigpending,
    PosixRlimitType::RlimitStack,
];

/// What a container may get more of than its host's services have: the memory, processes and files that it stands for
/// are bounded by its cgroup and by the kernel. Not priorities, which are taken from everybody else.
const RAISED: [PosixRlimitType; 5] = [
    PosixRlimitType::RlimitCore,
    PosixRlimitType::RlimitMemlock,
    PosixRlimitType::RlimitNofile,
    PosixRlimitType::RlimitNproc,
    PosixRlimitType::RlimitStack,
];

/// Why a limit could not be understood or set.
#[derive(Debug, thiserror::Error)]
pub enum RlimitError {
    /// No limit has this name.
    #[error("unknown resource limit {name:?}")]
    Unknown {
        /// As given.
        name: String,
    },
    /// The soft limit is above the hard one.
    #[error("resource limit {name}: soft limit {soft} is above hard limit {hard}")]
    SoftAboveHard {
        /// Its name.
        name: &'static str,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    },
    /// The kernel refused it.
    #[error("cannot set resource limit {name} to {soft}:{hard}")]
    Set {
        /// Its name.
        name: &'static str,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

impl RlimitError {
    /// What the caller can do about it.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown { .. } | Self::SoftAboveHard { .. } => RefusalKind::Invalid,
            Self::Set { .. } => RefusalKind::Internal,
        }
    }
}

/// A limit that this host does not give in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capped {
    /// Its name, without `RLIMIT_`.
    pub name: &'static str,
    /// The hard limit that was asked for.
    pub asked: u64,
    /// The hard limit that was set.
    pub given: u64,
}

/// The kind of limit that `name` (`nofile`, any case, with or without `RLIMIT_`) stands for.
///
/// # Errors
/// [`RlimitError::Unknown`].
pub fn parse(name: &str) -> Result<PosixRlimitType, RlimitError> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("rlimit_").unwrap_or(&lower);
    let found = KINDS.into_iter().find(|kind| find(*kind).0 == bare);
    found.ok_or_else(|| RlimitError::Unknown { name: name.to_owned() })
}

/// Checks limits before a process is made for them.
///
/// # Errors
/// [`RlimitError::SoftAboveHard`].
pub fn check(limits: &[PosixRlimit]) -> Result<(), RlimitError> {
    for limit in limits {
        if limit.soft() > limit.hard() {
            let (name, _) = find(limit.typ());
            return Err(RlimitError::SoftAboveHard { name, soft: limit.soft(), hard: limit.hard() });
        }
    }
    Ok(())
}

/// Raises the hard limits of another process to what it is about to [`apply`], as far as the kernel lets us: from
/// inside of its user namespace it could not. Nothing is lowered, since it has work to do before.
pub fn make_room(pid: i32, limits: &[PosixRlimit]) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    for limit in limits.iter().filter(|limit| RAISED.contains(&limit.typ())) {
        let (_, resource) = find(limit.typ());
        let now = getrlimit(resource);
        if now.maximum.is_some_and(|maximum| maximum < limit.hard()) {
            // Refused (above fs.nr_open, or no CAP_SYS_RESOURCE): then it gets what there is.
            let _ = prlimit(Some(pid), resource, Rlimit { current: now.current, maximum: finite(limit.hard()) });
        }
    }
}

/// Sets the limits of this process and tells which of them are lower than asked for.
///
/// # Errors
/// As [`check`], before anything is set; [`RlimitError::Set`].
pub fn apply(limits: &[PosixRlimit]) -> Result<Vec<Capped>, RlimitError> {
    check(limits)?;
    let mut capped = Vec::new();
    for limit in limits {
        let (name, resource) = find(limit.typ());
        let set = |soft, hard| setrlimit(resource, Rlimit { current: finite(soft), maximum: finite(hard) });
        let (mut soft, mut hard) = (limit.soft(), limit.hard());
        let mut answer = set(soft, hard);
        if answer == Err(rustix::io::Errno::PERM) {
            let given = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            if given < hard {
                capped.push(Capped { name, asked: hard, given });
                (soft, hard) = (soft.min(given), given);
                answer = set(soft, hard);
            }
        }
        answer.map_err(|source| RlimitError::Set { name, soft, hard, source: source.into() })?;
    }
    Ok(capped)
}

/// `None` is "no limit" in rustix; the description says it with all bits set.
fn finite(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

/// The name as in `--ulimit`, and the kernel's number.
fn find(kind: PosixRlimitType) -> (&'static str, Resource) {
    match kind {
        PosixRlimitType::RlimitAs => ("as", Resource::As),
        PosixRlimitType::RlimitCore => ("core", Resource::Core),
        PosixRlimitType::RlimitCpu => ("cpu", Resource::Cpu),
        PosixRlimitType::RlimitData => ("data", Resource::Data),
        PosixRlimitType::RlimitFsize => ("fsize", Resource::Fsize),
        PosixRlimitType::RlimitLocks => ("locks", Resource::Locks),
        PosixRlimitType::RlimitMemlock => ("memlock", Resource::Memlock),
        PosixRlimitType::RlimitMsgqueue => ("msgqueue", Resource::Msgqueue),
        PosixRlimitType::RlimitNice => ("nice", Resource::Nice),
        PosixRlimitType::RlimitNofile => ("nofile", Resource::Nofile),
        PosixRlimitType::RlimitNproc => ("nproc", Resource::Nproc),
        PosixRlimitType::RlimitRss => ("rss", Resource::Rss),
        PosixRlimitType::RlimitRtprio => ("rtprio", Resource::Rtprio),
        PosixRlimitType::RlimitRttime => ("rttime", Resource::Rttime),
        PosixRlimitType::RlimitSigpending => ("sigpending", Resource::Sigpending),
        PosixRlimitType::RlimitStack => ("stack", Resource::Stack),
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::PosixRlimitBuilder;

    use super::*;
    use crate::sys::testing::in_child;

    fn limit(kind: PosixRlimitType, soft: u64, hard: u64) -> PosixRlimit {
        PosixRlimitBuilder::default().typ(kind).soft(soft).hard(hard).build().expect("limit")
    }

    #[test]
    fn every_kind_has_its_name_and_its_own_resource() {
        for kind in KINDS {
            assert_eq!(parse(&kind.to_string()).expect("known"), kind);
            assert_eq!(format!("{:?}", find(kind).1).to_lowercase(), find(kind).0);
        }
        assert_eq!(parse("files").expect_err("unknown").to_string(), "unknown resource limit \"files\"");
    }

    #[test]
    fn a_soft_limit_above_the_hard_one_is_refused() {
        let refused = apply(&[limit(PosixRlimitType::RlimitCore, 2, 1)]).expect_err("soft above hard");
        assert_eq!(refused.to_string(), "resource limit core: soft limit 2 is above hard limit 1");
    }

    #[test]
    fn a_wish_above_what_this_process_may_set_is_capped_and_told() {
        let told = in_child(|| {
            // Without CAP_SYS_RESOURCE, as in a user namespace.
            let mut own = rustix::thread::capabilities(None)?;
            own.effective.remove(rustix::thread::CapabilitySet::SYS_RESOURCE);
            own.permitted.remove(rustix::thread::CapabilitySet::SYS_RESOURCE);
            own.inheritable = rustix::thread::CapabilitySet::empty();
            rustix::thread::set_capabilities(None, own)?;
            apply(&[limit(PosixRlimitType::RlimitNofile, 50, 100)])?;
            let capped =
                apply(&[limit(PosixRlimitType::RlimitNofile, 4096, 8192), limit(PosixRlimitType::RlimitCore, 0, 0)])?;
            let limits = std::fs::read_to_string("/proc/self/limits")?;
            Ok(format!("{capped:?}\n{limits}"))
        });
        assert!(told.starts_with("[Capped { name: \"nofile\", asked: 8192, given: 100 }]"), "{told}");
        let files = told.lines().find(|line| line.starts_with("Max open files")).expect("line");
        assert_eq!(files.split_whitespace().collect::<Vec<_>>()[3..5], ["100", "100"]);
    }
}
