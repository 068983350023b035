//! Linux capabilities: names and numbers, what a container gets, and how a process gives up the rest.
//!
//! Spec: capabilities(7); OCI runtime-spec `config.md`, `process.capabilities`; Docker's default set and `--cap-add`.

use std::fmt;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use rustix::thread::{
    CapabilitySet as RawSet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};

use crate::wire::RefusalKind;

/// Names without `CAP_`, by number. Source: linux/capability.h.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What Docker gives when nothing else is asked for.
const DOCKER_DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Why capabilities could not be understood or given up.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// No capability has this name.
    #[error("unknown capability {name:?}")]
    Unknown {
        /// As given.
        name: String,
    },
    /// The running kernel is older than this capability.
    #[error("this kernel does not have the capability {name}")]
    NotInKernel {
        /// `CAP_…`.
        name: String,
    },
    /// The kernel refused a step.
    #[error("cannot {step}")]
    Apply {
        /// What was tried.
        step: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

impl CapabilityError {
    /// What the caller can do about it.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown { .. } => RefusalKind::Invalid,
            Self::NotInKernel { .. } => RefusalKind::Unsupported,
            Self::Apply { .. } => RefusalKind::Internal,
        }
    }
}

/// A set of capabilities, one bit for each number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// None.
    pub const NONE: Self = Self(0);

    /// All that have a name, up to the last one that the running kernel has.
    pub fn all() -> Self {
        Self((1 << (u32::min(last(), NAMES.len() as u32 - 1) + 1)) - 1)
    }

    /// What Docker gives when nothing else is asked for.
    pub fn docker_default() -> Self {
        DOCKER_DEFAULT.iter().filter_map(|name| number(name)).fold(Self::NONE, Self::with)
    }

    /// What `--cap-add` and `--cap-drop` (with `ALL`, any case, with or without `CAP_`) leave of Docker's default.
    ///
    /// Drops win over the default but not over what is added by name, as in Docker: with `ALL` dropped exactly the
    /// added ones remain, with `ALL` added everything but the dropped ones.
    ///
    /// # Errors
    /// [`CapabilityError::Unknown`] or [`CapabilityError::NotInKernel`], before anything is decided.
    pub fn docker(add: &[String], drop: &[String]) -> Result<Self, CapabilityError> {
        let (all_added, added) = parse_list(add)?;
        let (all_dropped, dropped) = parse_list(drop)?;
        let start = match (all_added, all_dropped) {
            (true, _) => Self::all(),
            (false, true) => Self::NONE,
            (false, false) => Self::docker_default(),
        };
        Ok(match (all_added, all_dropped) {
            (true, _) => Self(start.0 & !dropped.0),
            _ => Self((start.0 & !dropped.0) | added.0),
        })
    }

    /// The set of an OCI description. Unknown ones of a newer kernel than this are an error.
    ///
    /// # Errors
    /// [`CapabilityError::NotInKernel`].
    pub fn from_oci(set: &Capabilities) -> Result<Self, CapabilityError> {
        set.iter().try_fold(Self::NONE, |all, capability| Ok(all.with(parse(&capability.to_string())?)))
    }

    /// For an OCI description.
    pub fn to_oci(self) -> Capabilities {
        self.numbers().filter_map(|number| NAMES[number as usize].parse::<Capability>().ok()).collect()
    }

    /// Whether a capability of this name (with or without `CAP_`) is in.
    pub fn contains(self, name: &str) -> bool {
        number(&bare(name)).is_some_and(|number| self.0 & (1 << number) != 0)
    }

    /// Full names, by number.
    pub fn names(self) -> Vec<String> {
        self.numbers().map(|number| format!("CAP_{}", NAMES[number as usize])).collect()
    }

    /// One bit for each number, as in /proc/PID/status.
    pub fn bits(self) -> u64 {
        self.0
    }

    fn with(self, number: u32) -> Self {
        Self(self.0 | (1 << number))
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..NAMES.len() as u32).filter(move |number| self.0 & (1 << number) != 0)
    }

    fn raw(self) -> RawSet {
        RawSet::from_bits_retain(self.0)
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The five sets of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessCapabilities {
    /// The most that executing a file can give.
    pub bounding: CapabilitySet,
    /// What counts now.
    pub effective: CapabilitySet,
    /// The most that can be made effective.
    pub permitted: CapabilitySet,
    /// Kept over an execution together with the file's. Empty unless the description says otherwise (CVE-2022-24769).
    pub inheritable: CapabilitySet,
    /// Kept over an execution of any file. Empty unless the description says otherwise.
    pub ambient: CapabilitySet,
}

impl ProcessCapabilities {
    /// The usual shape: three sets alike, inheritable and ambient empty.
    pub fn plain(set: CapabilitySet) -> Self {
        Self { bounding: set, effective: set, permitted: set, ..Self::default() }
    }

    /// What an OCI description says; a set that is not there is empty.
    ///
    /// # Errors
    /// [`CapabilityError::NotInKernel`].
    pub fn from_oci(sets: &LinuxCapabilities) -> Result<Self, CapabilityError> {
        let read = |set: &Option<Capabilities>| set.as_ref().map_or(Ok(CapabilitySet::NONE), CapabilitySet::from_oci);
        Ok(Self {
            bounding: read(sets.bounding())?,
            effective: read(sets.effective())?,
            permitted: read(sets.permitted())?,
            inheritable: read(sets.inheritable())?,
            ambient: read(sets.ambient())?,
        })
    }

    /// Takes everything else out of the bounding set of this process. Needs CAP_SETPCAP, so before the change of user
    /// unless capabilities are kept over it.
    ///
    /// # Errors
    /// [`CapabilityError::Apply`].
    pub fn drop_bounding(&self) -> Result<(), CapabilityError> {
        for number in (0..=last()).filter(|number| self.bounding.0 & (1 << number) == 0) {
            let one = RawSet::from_bits_retain(1 << number);
            remove_capability_from_bounding_set(one)
                .map_err(|source| failed(format!("drop capability {number} from the bounding set"), source))?;
        }
        Ok(())
    }

    /// Sets permitted, effective, inheritable and ambient of this process, after the change of user (over which the
    /// caller kept capabilities by `SECBIT_KEEP_CAPS` or `SECBIT_NO_SETUID_FIXUP`). What this process itself does not
    /// have it cannot give: on a host whose root lacks some, a privileged container lacks them too, as Docker's.
    ///
    /// # Errors
    /// [`CapabilityError::Apply`].
    pub fn apply(&self) -> Result<(), CapabilityError> {
        clear_ambient_capability_set().map_err(|source| failed("clear the ambient capabilities".into(), source))?;
        let held = capabilities(None).map_err(|source| failed("read the capabilities".into(), source))?.permitted;
        let sets = CapabilitySets {
            effective: self.effective.raw() & held,
            permitted: self.permitted.raw() & held,
            inheritable: self.inheritable.raw() & held,
        };
        set_capabilities(None, sets).map_err(|source| failed("set the capabilities".into(), source))?;
        for number in self.ambient.numbers() {
            configure_capability_in_ambient_set(RawSet::from_bits_retain(1 << number), true)
                .map_err(|source| failed(format!("make {} ambient", NAMES[number as usize]), source))?;
        }
        Ok(())
    }
}

/// Number of the last capability that the running kernel has. Source: /proc/sys/kernel/cap_last_cap; where proc is not
/// mounted, found by asking for each (prctl(2), PR_CAPBSET_READ).
pub fn last() -> u32 {
    static LAST: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *LAST.get_or_init(ask_last)
}

fn ask_last() -> u32 {
    let told = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok().and_then(|text| text.trim().parse().ok());
    told.unwrap_or_else(|| {
        let known =
            |number: &u32| rustix::thread::capability_is_in_bounding_set(RawSet::from_bits_retain(1 << number)).is_ok();
        (0..63).take_while(known).last().unwrap_or(0)
    })
}

fn failed(step: String, source: rustix::io::Errno) -> CapabilityError {
    CapabilityError::Apply { step, source: source.into() }
}

fn bare(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

fn number(bare: &str) -> Option<u32> {
    NAMES.iter().position(|known| *known == bare).map(|at| at as u32)
}

fn parse(name: &str) -> Result<u32, CapabilityError> {
    let bare = bare(name);
    let number = number(&bare).ok_or_else(|| CapabilityError::Unknown { name: name.to_owned() })?;
    if number > last() {
        return Err(CapabilityError::NotInKernel { name: format!("CAP_{bare}") });
    }
    Ok(number)
}

fn parse_list(names: &[String]) -> Result<(bool, CapabilitySet), CapabilityError> {
    names.iter().try_fold((false, CapabilitySet::NONE), |(all, set), name| {
        if bare(name) == "ALL" { Ok((true, set)) } else { Ok((all, set.with(parse(name)?))) }
    })
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_name_survives_the_way_through_an_oci_description() {
        let all = CapabilitySet::all();
        assert_eq!(CapabilitySet::from_oci(&all.to_oci()).expect("known"), all);
        assert_eq!(all.bits().count_ones(), u32::min(last(), 40) + 1);
    }

    #[test]
    fn dockers_default_has_the_bits_that_docker_shows() {
        assert_eq!(CapabilitySet::docker_default().bits(), 0x0000_0000_a804_25fb);
    }

    #[test]
    fn add_and_drop_follow_docker() {
        let none = CapabilitySet::docker(&[], &list(&["ALL"])).expect("valid");
        assert_eq!(none, CapabilitySet::NONE);
        let one = CapabilitySet::docker(&list(&["net_admin"]), &list(&["all"])).expect("valid");
        assert_eq!(one.names(), ["CAP_NET_ADMIN"]);
        let most = CapabilitySet::docker(&list(&["ALL"]), &list(&["CAP_SYS_ADMIN"])).expect("valid");
        assert!(!most.contains("SYS_ADMIN") && most.contains("CAP_SYS_TIME"));
        let less = CapabilitySet::docker(&[], &list(&["MKNOD"])).expect("valid");
        assert_eq!(less.bits(), 0xa004_25fb);
        let unknown = CapabilitySet::docker(&list(&["NET_ADMIM"]), &[]).expect_err("unknown");
        assert_eq!(unknown.to_string(), "unknown capability \"NET_ADMIM\"");
        assert_eq!(unknown.kind(), RefusalKind::Invalid);
    }

    #[test]
    fn what_a_process_lacks_it_does_not_give() {
        let status = crate::sys::testing::in_child(|| {
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
            ProcessCapabilities::plain(CapabilitySet::docker_default()).apply()?;
            ProcessCapabilities::plain(CapabilitySet::all()).apply()?;
            Ok(std::fs::read_to_string("/proc/self/status")?)
        });
        assert!(status.contains("CapEff:\t00000000a80425fb"), "{status}");
    }

    #[test]
    fn a_process_has_only_what_was_left_to_it() {
        let status = crate::sys::testing::in_child(|| {
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
            let mut wanted = ProcessCapabilities::plain(CapabilitySet::docker_default());
            wanted.inheritable = CapabilitySet::NONE.with(0);
            wanted.ambient = CapabilitySet::NONE.with(0);
            wanted.drop_bounding()?;
            wanted.apply()?;
            Ok(std::fs::read_to_string("/proc/self/status")?)
        });
        for line in [
            "CapInh:\t0000000000000001",
            "CapPrm:\t00000000a80425fb",
            "CapEff:\t00000000a80425fb",
            "CapBnd:\t00000000a80425fb",
            "CapAmb:\t0000000000000001",
        ] {
            assert!(status.contains(line), "{line} is not in\n{status}");
        }
    }
}
