//! From rules to classic BPF.
//!
//! Neighbouring numbers with one verdict form a range; the ranges of each architecture form one balanced tree, so that
//! a call costs some ten steps whatever the length of the profile. x86-64 and x32 share one tree, since they share the
//! audit number. Spec: seccomp(2); kernel `userspace-api/seccomp_filter.rst`; linux/filter.h.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompFilterFlag};
use serde::{Deserialize, Serialize};

use super::SeccompError;
use super::architecture::{Architecture, NATIVE};
use super::rules::{self, Clause, Comparison, Operator, Verdict};
use super::tree::{Range, tree};
use crate::sys::seccomp::{self as kernel, Instruction};

/// The kernel takes no longer program (BPF_MAXINSNS).
const MOST_INSTRUCTIONS: usize = 4096;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
/// A call of an architecture that the rules do not name ends the process.
const KILL_PROCESS: u32 = 0x8000_0000;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;

// Operations of classic BPF: class, size or operation, and source, in one number.
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
pub(super) const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// A program for the kernel. Sent between our processes as flags and one number for each instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Program {
    instructions: Vec<Instruction>,
    flags: u32,
}

/// Makes the program for `rules` on this machine. Architectures of other machines are passed over: the kernel never
/// shows a program a call of them.
///
/// # Errors
/// [`SeccompError::Invalid`], also when the program would be longer than the kernel takes;
/// [`SeccompError::Unsupported`] for SCMP_ACT_NOTIFY and listeners.
pub fn compile(rules: &LinuxSeccomp) -> Result<Program, SeccompError> {
    if rules.listener_path().is_some() {
        let what = "seccomp.listenerPath: this runtime has no listener for notifications";
        return Err(SeccompError::Unsupported { what: what.into() });
    }
    let instructions = compile_for(rules, &NATIVE)?;
    let length = instructions.len();
    if length > MOST_INSTRUCTIONS {
        let why = format!("it makes a program of {length} instructions, and the kernel takes {MOST_INSTRUCTIONS}");
        return Err(SeccompError::Invalid { why });
    }
    Ok(Program { instructions, flags: flags(rules)? })
}

impl Program {
    /// Installs it into the calling thread, for ever. Needs no_new_privs or CAP_SYS_ADMIN in the user namespace: where
    /// no_new_privs is off, before capabilities are given up.
    ///
    /// # Errors
    /// [`SeccompError::Install`].
    pub fn install(&self) -> Result<(), SeccompError> {
        kernel::install(&self.instructions, self.flags)
            .map_err(|source| SeccompError::Install { instructions: self.len(), source })
    }

    /// How many instructions it has.
    #[expect(clippy::len_without_is_empty, reason = "no program is empty")]
    pub fn len(&self) -> usize {
        self.instructions.len()
    }
}

/// Flags, and of each instruction operation (16 bits), two jumps (8 each) and value (32).
#[derive(Serialize, Deserialize)]
struct Packed(u32, Vec<u64>);

impl From<Program> for Packed {
    fn from(program: Program) -> Self {
        let pack = |one: &Instruction| {
            u64::from(one.operation) << 48
                | u64::from(one.if_true) << 40
                | u64::from(one.if_false) << 32
                | u64::from(one.value)
        };
        Self(program.flags, program.instructions.iter().map(pack).collect())
    }
}

impl From<Packed> for Program {
    fn from(Packed(flags, numbers): Packed) -> Self {
        let unpack = |one: u64| Instruction {
            operation: (one >> 48) as u16,
            if_true: (one >> 40) as u8,
            if_false: (one >> 32) as u8,
            value: one as u32,
        };
        Self { flags, instructions: numbers.into_iter().map(unpack).collect() }
    }
}

fn flags(rules: &LinuxSeccomp) -> Result<u32, SeccompError> {
    rules.flags().iter().flatten().try_fold(0, |all, flag| match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => Ok(all | kernel::FLAG_TSYNC),
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => Ok(all | kernel::FLAG_LOG),
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => Ok(all | kernel::FLAG_SPEC_ALLOW),
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            let what = "seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV goes only with a listener, which this \
                        runtime does not have";
            Err(SeccompError::Unsupported { what: what.into() })
        }
    })
}

/// The program for a machine whose architectures are `family`, the native one first; that one is always among the
/// rules', as in libseccomp.
pub(super) fn compile_for(rules: &LinuxSeccomp, family: &[Architecture]) -> Result<Vec<Instruction>, SeccompError> {
    let named: Vec<_> =
        rules.architectures().iter().flatten().filter_map(|arch| Architecture::from_oci(*arch)).collect();
    let wanted = family.iter().copied().enumerate().filter(|(at, one)| *at == 0 || named.contains(one));
    let mut sections: Vec<(u32, Vec<Range>)> = Vec::new();
    for (_, architecture) in wanted {
        let ranges = ranges(rules, architecture)?;
        match sections.iter_mut().find(|(audit, _)| *audit == architecture.audit()) {
            // x32's numbers all lie above those of x86-64: its ranges replace what stands for them.
            Some((_, below)) => {
                below.retain(|range| range.first < ranges[0].first);
                below.extend(ranges);
            }
            None => sections.push((architecture.audit(), ranges)),
        }
    }
    let default = rules::default_action(rules)?;
    let mut code = vec![load(ARCHITECTURE)];
    for (audit, ranges) in sections {
        let mut section = vec![load(NUMBER)];
        section.extend(tree(&merge(ranges), default));
        code.push(jump(JUMP_IF_EQUAL, audit, 1, 0));
        code.push(Instruction { operation: JUMP, if_true: 0, if_false: 0, value: section.len() as u32 });
        code.extend(section);
    }
    code.push(ret(KILL_PROCESS));
    Ok(code)
}

/// The whole number space of an architecture as ranges in order, from the start of its first space; above its last
/// space, and around it, a foreign call is killed.
fn ranges(rules: &LinuxSeccomp, architecture: Architecture) -> Result<Vec<Range>, SeccompError> {
    let default = rules::default_action(rules)?;
    let verdicts = rules::verdicts(rules, architecture)?;
    let hides = rules::hides_newer_calls(rules);
    let mut ranges = Vec::new();
    for (space, last) in architecture.spaces().iter().zip(rules::last_named(rules, architecture)) {
        let mut next = *space.start();
        for (number, verdict) in verdicts.range(space.clone()) {
            if *number > next {
                ranges.push(Range { first: next, verdict: Verdict::Always(default) });
            }
            ranges.push(Range { first: *number, verdict: verdict.clone() });
            next = number.saturating_add(1);
        }
        let newer = last.filter(|_| hides).map(|last| last.saturating_add(1));
        if newer.is_none_or(|newer| newer > next) {
            ranges.push(Range { first: next, verdict: Verdict::Always(default) });
        }
        ranges.extend(newer.map(|first| Range { first, verdict: Verdict::Always(ENOSYS) }));
    }
    if let Some(above) = architecture.spaces().last().and_then(|space| space.end().checked_add(1)) {
        ranges.push(Range { first: above, verdict: Verdict::Always(KILL_PROCESS) });
    }
    Ok(ranges)
}

/// Neighbours with one verdict become one.
fn merge(ranges: Vec<Range>) -> Vec<Range> {
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if merged.last().is_none_or(|last| last.verdict != range.verdict) {
            merged.push(range);
        }
    }
    merged
}

/// The first clause that matches returns its action, else the default is returned.
pub(super) fn by_arguments(clauses: &[Clause], default: u32) -> Vec<Instruction> {
    let mut code = Vec::new();
    for clause in clauses {
        let steps: Vec<Step> = clause.comparisons.iter().flat_map(compare).collect();
        // A clause that does not match goes on behind its own return.
        let end = steps.len();
        code.extend(steps.iter().enumerate().map(|(at, step)| step.resolve(end - at)));
        code.push(ret(clause.action));
    }
    code.push(ret(default));
    code
}

/// An instruction whose jumps may lead out of the clause.
#[derive(Debug, Clone, Copy)]
struct Step {
    operation: u16,
    value: u32,
    if_true: Target,
    if_false: Target,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    /// So many steps further.
    Skip(u8),
    /// Behind the clause.
    Fail,
}

impl Step {
    /// `to_fail`: steps to the first instruction behind the clause.
    fn resolve(self, to_fail: usize) -> Instruction {
        let offset = |target| match target {
            Target::Skip(steps) => steps,
            // At most six comparisons of seven steps: it fits.
            Target::Fail => to_fail as u8,
        };
        Instruction {
            operation: self.operation,
            if_true: offset(self.if_true),
            if_false: offset(self.if_false),
            value: self.value,
        }
    }
}

/// Steps that go on behind themselves when the comparison holds, and to `Fail` else. A 64-bit argument lies in memory
/// as two words, the low one first on all machines here.
fn compare(comparison: &Comparison) -> Vec<Step> {
    use Target::{Fail, Skip};
    let low_at = ARGUMENTS + 8 * comparison.index as u32;
    let (low, high) = (comparison.value as u32, (comparison.value >> 32) as u32);
    let plain = |operation, value| Step { operation, value, if_true: Skip(0), if_false: Skip(0) };
    let test = |operation, value, if_true, if_false| Step { operation, value, if_true, if_false };
    let load_low = plain(LOAD_WORD, low_at);
    let load_high = plain(LOAD_WORD, low_at + 4);
    let on_low = match comparison.operator {
        Operator::Equal | Operator::MaskedEqual { .. } => test(JUMP_IF_EQUAL, low, Skip(0), Fail),
        Operator::NotEqual => test(JUMP_IF_EQUAL, low, Fail, Skip(0)),
        Operator::Less => test(JUMP_IF_AT_LEAST, low, Fail, Skip(0)),
        Operator::LessOrEqual => test(JUMP_IF_GREATER, low, Fail, Skip(0)),
        Operator::Greater => test(JUMP_IF_GREATER, low, Skip(0), Fail),
        Operator::GreaterOrEqual => test(JUMP_IF_AT_LEAST, low, Skip(0), Fail),
    };
    let mut steps = Vec::with_capacity(7);
    if !comparison.short {
        match comparison.operator {
            Operator::Equal => steps.extend([load_high, test(JUMP_IF_EQUAL, high, Skip(0), Fail)]),
            Operator::MaskedEqual { mask } if mask >> 32 != 0 || high != 0 => {
                steps.extend([load_high, plain(AND, (mask >> 32) as u32), test(JUMP_IF_EQUAL, high, Skip(0), Fail)])
            }
            Operator::MaskedEqual { .. } => {}
            // Unequal high words decide alone: past the two steps about the low word.
            Operator::NotEqual => steps.extend([load_high, test(JUMP_IF_EQUAL, high, Skip(0), Skip(2))]),
            Operator::Less | Operator::LessOrEqual => steps.extend([
                load_high,
                test(JUMP_IF_GREATER, high, Fail, Skip(0)),
                test(JUMP_IF_EQUAL, high, Skip(0), Skip(2)),
            ]),
            Operator::Greater | Operator::GreaterOrEqual => steps.extend([
                load_high,
                test(JUMP_IF_GREATER, high, Skip(3), Skip(0)),
                test(JUMP_IF_EQUAL, high, Skip(0), Fail),
            ]),
        }
    }
    steps.push(load_low);
    if let Operator::MaskedEqual { mask } = comparison.operator {
        steps.push(plain(AND, mask as u32));
    }
    steps.push(on_low);
    steps
}

fn load(offset: u32) -> Instruction {
    Instruction { operation: LOAD_WORD, if_true: 0, if_false: 0, value: offset }
}

pub(super) fn jump(operation: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { operation, if_true, if_false, value }
}

pub(super) fn ret(action: u32) -> Instruction {
    Instruction { operation: RETURN, if_true: 0, if_false: 0, value: action }
}
