//! Profiles in Docker's JSON: the rules of the OCI description, each with conditions on the container and the host.
//!
//! Spec: Docker's documentation "Seccomp security profiles for Docker"; the format is that of moby's
//! `profiles/seccomp`, and what a condition means follows moby's `setupSeccomp`.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder, LinuxSeccompFilterFlag, LinuxSyscall,
    LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::SeccompError;
use crate::capabilities::CapabilitySet;

/// Docker's default profile; its credit stands in the file.
const DOCKER_DEFAULT: &str = include_str!("docker-default.json");

/// Go's name of this machine, by which conditions call it, and libseccomp's.
#[cfg(target_arch = "x86_64")]
const NATIVE: (&str, Arch) = ("amd64", Arch::ScmpArchX86_64);
#[cfg(target_arch = "aarch64")]
const NATIVE: (&str, Arch) = ("arm64", Arch::ScmpArchAarch64);

/// A profile in Docker's JSON, not yet resolved for a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: LinuxSeccompAction,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    names: Option<Vec<String>>,
    /// The form of before 2016, one name.
    #[serde(default)]
    name: Option<String>,
    action: LinuxSeccompAction,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Option<Condition>,
    #[serde(default)]
    excludes: Option<Condition>,
}

/// `includes`: all of it must hold; `excludes`: none of it may.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// What conditions are about.
#[derive(Debug, Clone, Copy)]
struct Facts {
    capabilities: CapabilitySet,
    kernel: (u32, u32),
}

impl Profile {
    /// Docker's default profile.
    ///
    /// # Errors
    /// None in a build whose tests passed: the file is part of the program.
    pub fn docker_default() -> Result<Self, SeccompError> {
        Self::parse(DOCKER_DEFAULT)
    }

    /// Reads a profile in Docker's JSON, and checks that it can be resolved and compiled.
    ///
    /// # Errors
    /// [`SeccompError::Parse`], [`SeccompError::Invalid`].
    pub fn parse(json: &str) -> Result<Self, SeccompError> {
        let profile: Self = serde_json::from_str(json).map_err(|source| SeccompError::Parse { source })?;
        let invalid = |why: String| Err(SeccompError::Invalid { why });
        if profile.architectures.as_ref().is_some_and(|list| !list.is_empty())
            && profile.arch_map.as_ref().is_some_and(|list| !list.is_empty())
        {
            return invalid("it has both architectures and archMap; use one of them".into());
        }
        for (at, rule) in profile.syscalls.iter().flatten().enumerate() {
            let names = rule.names.as_ref().is_some_and(|names| !names.is_empty());
            if names == rule.name.is_some() {
                return invalid(format!("rule {at} of syscalls must have either name or names"));
            }
            for condition in [&rule.includes, &rule.excludes].into_iter().flatten() {
                if let Some(text) = &condition.min_kernel
                    && parse_kernel(text).is_none()
                {
                    return invalid(format!("rule {at} of syscalls: minKernel is {text:?}, not like \"4.8\""));
                }
            }
        }
        Ok(profile)
    }

    /// The rules for a container that has `capabilities` (its bounding set), on this kernel and machine.
    ///
    /// # Errors
    /// [`SeccompError::Unsupported`] when the kernel's release cannot be read.
    pub fn resolve(&self, capabilities: CapabilitySet) -> Result<LinuxSeccomp, SeccompError> {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let kernel = parse_kernel(&release)
            .ok_or_else(|| SeccompError::Unsupported { what: format!("the kernel calls itself {release:?}") })?;
        Ok(self.resolve_for(Facts { capabilities, kernel }))
    }

    fn resolve_for(&self, facts: Facts) -> LinuxSeccomp {
        let mapped = self.arch_map.iter().flatten().find(|map| map.architecture == NATIVE.1);
        let architectures = match (mapped, &self.architectures) {
            (Some(map), _) => {
                [map.architecture].into_iter().chain(map.sub_architectures.iter().flatten().copied()).collect()
            }
            (None, Some(list)) => list.clone(),
            (None, None) => Vec::new(),
        };
        let kept = self.syscalls.iter().flatten().filter(|rule| rule.applies(facts));
        let mut whole = LinuxSeccompBuilder::default()
            .default_action(self.default_action)
            .architectures(architectures)
            .syscalls(kept.filter_map(Rule::to_oci).collect::<Vec<_>>());
        if let Some(errno) = self.default_errno_ret {
            whole = whole.default_errno_ret(errno);
        }
        if let Some(flags) = &self.flags {
            whole = whole.flags(flags.clone());
        }
        // Every field of this builder has a default, so it cannot fail.
        whole.build().unwrap_or_default()
    }
}

impl Rule {
    fn applies(&self, facts: Facts) -> bool {
        let included = self.includes.as_ref().is_none_or(|condition| condition.holds(facts));
        let excluded = self.excludes.as_ref().is_some_and(|condition| condition.touches(facts));
        included && !excluded
    }

    fn to_oci(&self) -> Option<LinuxSyscall> {
        let names = self.names.clone().or_else(|| self.name.clone().map(|name| vec![name]))?;
        let mut rule = LinuxSyscallBuilder::default().names(names).action(self.action);
        if let Some(errno) = self.errno_ret {
            rule = rule.errno_ret(errno);
        }
        if let Some(args) = self.args.as_ref().filter(|args| !args.is_empty()) {
            rule = rule.args(args.clone());
        }
        rule.build().ok()
    }
}

impl Condition {
    /// All of it.
    fn holds(&self, facts: Facts) -> bool {
        let caps = self.caps.iter().flatten().all(|name| facts.capabilities.contains(name));
        let arches =
            self.arches.as_ref().is_none_or(|list| list.is_empty() || list.iter().any(|name| name == NATIVE.0));
        caps && arches && self.kernel_is_new_enough(facts).unwrap_or(true)
    }

    /// Any of it.
    fn touches(&self, facts: Facts) -> bool {
        let caps = self.caps.iter().flatten().any(|name| facts.capabilities.contains(name));
        let arches = self.arches.iter().flatten().any(|name| name == NATIVE.0);
        caps || arches || self.kernel_is_new_enough(facts).unwrap_or(false)
    }

    fn kernel_is_new_enough(&self, facts: Facts) -> Option<bool> {
        Some(facts.kernel >= parse_kernel(self.min_kernel.as_ref()?)?)
    }
}

/// The first two numbers of a release like `6.12.38+deb13-amd64`.
fn parse_kernel(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(profile: &Profile, capabilities: CapabilitySet) -> LinuxSeccomp {
        profile.resolve_for(Facts { capabilities, kernel: (6, 12) })
    }

    fn names(seccomp: &LinuxSeccomp) -> Vec<&str> {
        seccomp.syscalls().iter().flatten().flat_map(|rule| rule.names()).map(String::as_str).collect()
    }

    #[test]
    fn dockers_default_depends_on_the_capabilities_that_are_kept() {
        let profile = Profile::docker_default().expect("the file is well");
        let plain = rules(&profile, CapabilitySet::docker_default());
        assert_eq!(plain.default_action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(plain.architectures().as_ref().map(Vec::len), Some(3));
        assert!(names(&plain).contains(&"chroot"), "CAP_SYS_CHROOT is in Docker's default");
        for refused in ["mount", "bpf", "init_module", "settimeofday", "keyctl", "io_uring_setup"] {
            assert!(!names(&plain).contains(&refused), "{refused}");
        }
        let mut more = CapabilitySet::docker(&["SYS_ADMIN".into()], &[]).expect("known");
        assert!(names(&rules(&profile, more)).contains(&"mount"));
        more = CapabilitySet::docker(&[], &["SYS_CHROOT".into()]).expect("known");
        assert!(!names(&rules(&profile, more)).contains(&"chroot"));
    }

    #[test]
    fn a_rule_for_newer_kernels_is_left_out_on_older_ones() {
        let profile = Profile::docker_default().expect("the file is well");
        let old = profile.resolve_for(Facts { capabilities: CapabilitySet::NONE, kernel: (4, 7) });
        assert!(!names(&old).contains(&"ptrace"));
        assert!(names(&rules(&profile, CapabilitySet::NONE)).contains(&"ptrace"));
        assert_eq!(parse_kernel("6.12.38+deb13-amd64"), Some((6, 12)));
        assert_eq!(parse_kernel("3.12-rc5"), Some((3, 12)));
        assert_eq!(parse_kernel("next"), None);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_place() {
        let text = |json: &str| {
            let error = Profile::parse(json).expect_err("wrong");
            assert_eq!(error.kind(), crate::wire::RefusalKind::Invalid);
            error.to_string()
        };
        assert_eq!(
            text(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ERRNO"}]}"#),
            "the seccomp profile is wrong: rule 0 of syscalls must have either name or names"
        );
        assert!(text(r#"{"defaultAction":"SCMP_ACT_SING"}"#).contains("cannot be read"));
        assert!(
            text(
                r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
                    "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#
            )
            .contains("use one of them")
        );
    }
}
