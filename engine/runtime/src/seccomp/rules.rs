//! From the rules of a description to what happens on each number of one architecture.
//!
//! Where a description says several things about one call it means what runc and libseccomp make of it:
//! - a rule that only repeats the default says nothing;
//! - a rule without arguments covers the call whole and hides all rules with arguments; the first such rule counts;
//! - of rules with arguments the first that matches counts; several arguments of one rule must all match, unless the
//!   rule names one argument twice: then each stands alone;
//! - names that the architecture does not have are passed over: profiles list the calls of many kernels.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::SeccompError;
use super::architecture::Architecture;

/// Numbers of errors above this one the kernel would cut (MAX_ERRNO).
const MOST_ERRNO: u32 = 4095;

/// What happens on a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Always the same SECCOMP_RET_… value.
    Always(u32),
    /// The first clause that matches, else the default.
    ByArguments(Vec<Clause>),
}

/// All comparisons must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub comparisons: Vec<Comparison>,
    pub action: u32,
}

/// `(argument & mask) operator value`; on 32 bits when `short`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    pub index: usize,
    pub operator: Operator,
    pub value: u64,
    pub short: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    MaskedEqual { mask: u64 },
}

/// The verdicts of one architecture; numbers not in it get the default.
pub(super) type Verdicts = BTreeMap<u32, Verdict>;

/// SECCOMP_RET_… of the rules' default.
pub(super) fn default_action(rules: &LinuxSeccomp) -> Result<u32, SeccompError> {
    action(rules.default_action(), rules.default_errno_ret(), "defaultAction")
}

/// Whether a call that no rule knows fails with ENOSYS when it is newer than all that the rules name: as in runc, where
/// the default refuses and does not already say ENOSYS. C libraries try a new call and fall back on ENOSYS only.
pub(super) fn hides_newer_calls(rules: &LinuxSeccomp) -> bool {
    use LinuxSeccompAction::{ScmpActAllow, ScmpActLog, ScmpActTrace};
    !matches!(rules.default_action(), ScmpActAllow | ScmpActLog | ScmpActTrace)
        && rules.default_errno_ret() != Some(libc::ENOSYS as u32)
}

/// The verdicts for `architecture`.
pub(super) fn verdicts(rules: &LinuxSeccomp, architecture: Architecture) -> Result<Verdicts, SeccompError> {
    let default = default_action(rules)?;
    let mut verdicts = Verdicts::new();
    for rule in rules.syscalls().iter().flatten() {
        let action = action(rule.action(), rule.errno_ret(), "a rule's action")?;
        check_arguments(rule)?;
        if action == default {
            continue;
        }
        for name in rule.names() {
            for verdict in of_rule(rule, name, action, architecture) {
                if let Some(number) = architecture.number(name) {
                    add(&mut verdicts, number, verdict);
                }
            }
            add_carried(&mut verdicts, rule, name, action, architecture);
        }
    }
    Ok(verdicts)
}

/// The highest number that any rule names in each space of the architecture.
pub(super) fn last_named(rules: &LinuxSeccomp, architecture: Architecture) -> Vec<Option<u32>> {
    let numbers: Vec<u32> = rules
        .syscalls()
        .iter()
        .flatten()
        .flat_map(LinuxSyscall::names)
        .filter_map(|name| architecture.number(name))
        .collect();
    let spaces = architecture.spaces().iter();
    spaces.map(|space| numbers.iter().copied().filter(|number| space.contains(number)).max()).collect()
}

fn of_rule(rule: &LinuxSyscall, name: &str, action: u32, architecture: Architecture) -> Vec<Verdict> {
    let arguments = rule.args().as_deref().unwrap_or_default();
    let comparisons: Vec<_> = arguments.iter().map(|argument| comparison(argument, name, architecture)).collect();
    let twice = (0..6).any(|index| comparisons.iter().filter(|one| one.index == index).count() > 1);
    if comparisons.is_empty() {
        vec![Verdict::Always(action)]
    } else if twice {
        let alone = comparisons.into_iter().map(|one| Clause { comparisons: vec![one], action });
        vec![Verdict::ByArguments(alone.collect())]
    } else {
        vec![Verdict::ByArguments(vec![Clause { comparisons, action }])]
    }
}

/// i386 reaches socket(2) and others also through socketcall(2) and ipc(2), whose real arguments lie in memory: a rule
/// about the whole call is repeated there, one about arguments cannot be (as in libseccomp).
fn add_carried(verdicts: &mut Verdicts, rule: &LinuxSyscall, name: &str, action: u32, architecture: Architecture) {
    let whole = rule.args().as_ref().is_none_or(Vec::is_empty);
    let Some(carrier) = architecture.carrier(name).filter(|_| whole) else { return };
    let Some(number) = architecture.number(carrier.name) else { return };
    let comparison = Comparison {
        index: 0,
        operator: Operator::MaskedEqual { mask: carrier.mask },
        value: carrier.value,
        short: true,
    };
    add(verdicts, number, Verdict::ByArguments(vec![Clause { comparisons: vec![comparison], action }]));
}

fn add(verdicts: &mut Verdicts, number: u32, new: Verdict) {
    match (verdicts.get_mut(&number), new) {
        (Some(Verdict::Always(_)), _) => {}
        (Some(Verdict::ByArguments(clauses)), Verdict::ByArguments(more)) => clauses.extend(more),
        (_, new) => {
            verdicts.insert(number, new);
        }
    }
}

fn comparison(argument: &LinuxSeccompArg, name: &str, architecture: Architecture) -> Comparison {
    use LinuxSeccompOperator as Oci;
    let short = architecture.is_short(name, argument.index());
    let cut = |value: u64| if short { value & 0xffff_ffff } else { value };
    let (operator, value) = match argument.op() {
        Oci::ScmpCmpEq => (Operator::Equal, argument.value()),
        Oci::ScmpCmpNe => (Operator::NotEqual, argument.value()),
        Oci::ScmpCmpLt => (Operator::Less, argument.value()),
        Oci::ScmpCmpLe => (Operator::LessOrEqual, argument.value()),
        Oci::ScmpCmpGt => (Operator::Greater, argument.value()),
        Oci::ScmpCmpGe => (Operator::GreaterOrEqual, argument.value()),
        Oci::ScmpCmpMaskedEq => {
            (Operator::MaskedEqual { mask: cut(argument.value()) }, argument.value_two().unwrap_or(0))
        }
    };
    Comparison { index: argument.index(), operator, value: cut(value), short }
}

fn check_arguments(rule: &LinuxSyscall) -> Result<(), SeccompError> {
    match rule.args().iter().flatten().find(|argument| argument.index() > 5) {
        Some(argument) => Err(SeccompError::Invalid {
            why: format!(
                "a rule for {} compares argument {}; there are 0 to 5",
                rule.names().join(", "),
                argument.index()
            ),
        }),
        None => Ok(()),
    }
}

/// SECCOMP_RET_… of an action. Source: linux/seccomp.h.
fn action(action: LinuxSeccompAction, errno: Option<u32>, place: &str) -> Result<u32, SeccompError> {
    use LinuxSeccompAction as Oci;
    let data = errno.unwrap_or(libc::EPERM as u32);
    let value = match action {
        Oci::ScmpActErrno | Oci::ScmpActTrace if data > MOST_ERRNO => {
            let why = format!("{place}: errnoRet is {data}, the most is {MOST_ERRNO}");
            return Err(SeccompError::Invalid { why });
        }
        Oci::ScmpActErrno => 0x0005_0000 | data,
        Oci::ScmpActTrace => 0x7ff0_0000 | data,
        _ if errno.is_some() => {
            let why = format!("{place}: errnoRet goes only with SCMP_ACT_ERRNO and SCMP_ACT_TRACE");
            return Err(SeccompError::Invalid { why });
        }
        Oci::ScmpActKill | Oci::ScmpActKillThread => 0,
        Oci::ScmpActKillProcess => 0x8000_0000,
        Oci::ScmpActTrap => 0x0003_0000,
        Oci::ScmpActLog => 0x7ffc_0000,
        Oci::ScmpActAllow => 0x7fff_0000,
        Oci::ScmpActNotify => {
            let what = format!("{place} is SCMP_ACT_NOTIFY: this runtime has no listener for notifications");
            return Err(SeccompError::Unsupported { what });
        }
    };
    Ok(value)
}
