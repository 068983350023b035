//! Which devices may be made and opened.
//!
//! On v1 the kernel has lists; on v2 it asks a program that we make and attach. Spec: OCI runtime-spec
//! `config-linux.md`, "Allowed Device list": the last rule that matches decides; kernel `cgroup-v1/devices.rst`,
//! `cgroup-v2.rst`, "Device controller"; linux/bpf.h, `struct bpf_cgroup_dev_ctx`.

use std::os::fd::AsFd;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use rustix::fs::OFlags;

use super::CgroupError;
use super::group::Cgroup;
use super::limits::out_of_range;
use crate::sys::bpf::{self, Instruction};

/// Bits of an access, as the kernel's program context has them.
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
/// Types of devices in the same context.
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;
/// Linux: 12 bits of major number, 20 of minor.
const MOST_MAJOR: i64 = 0xfff;
const MOST_MINOR: i64 = 0xf_ffff;
/// A bound for what a caller can make us compile: the kernel's verifier walks a million steps at most, and each rule
/// multiplies its paths (Linux 6.18 refuses 4096 distinct ones).
const MOST_RULES: usize = 256;

/// Rules, checked, in the order of the description. Nothing matches: denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// `None`: both types.
    kind: Option<u32>,
    /// `None`: every number.
    major: Option<u32>,
    minor: Option<u32>,
    access: u32,
}

impl Rules {
    /// Checks the description's rules.
    pub fn parse(rules: &[LinuxDeviceCgroup]) -> Result<Self, CgroupError> {
        if rules.len() > MOST_RULES {
            return Err(out_of_range("devices", rules.len(), format!("there may be at most {MOST_RULES} rules")));
        }
        rules.iter().map(Rule::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a process may do all of `access` to a device: what both worlds must come to.
    #[cfg(test)]
    fn allows(&self, kind: u32, major: u32, minor: u32, access: u32) -> bool {
        [MAKE, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
            let last = self.0.iter().rev().find(|rule| rule.access & bit != 0 && rule.matches(kind, major, minor));
            last.is_some_and(|rule| rule.allow)
        })
    }
}

impl Rule {
    fn parse(rule: &LinuxDeviceCgroup) -> Result<Self, CgroupError> {
        let kind = match rule.typ() {
            None | Some(LinuxDeviceType::A) => None,
            Some(LinuxDeviceType::B) => Some(BLOCK),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(CHARACTER),
            Some(LinuxDeviceType::P) => {
                return Err(out_of_range("devices.type", "p", "it must be a, b or c: a pipe is no device"));
            }
        };
        let number = |field, value: Option<i64>, most| match value {
            // runc and Docker write -1 for every number.
            None | Some(-1) => Ok(None),
            Some(value) if (0..=most).contains(&value) => Ok(Some(value as u32)),
            Some(value) => Err(out_of_range(field, value, format!("it must be from 0 to {most}, or -1 for all"))),
        };
        let text = rule.access().as_deref().filter(|text| !text.is_empty()).unwrap_or("rwm");
        let access = text.chars().try_fold(0, |all, letter| match letter {
            'r' => Ok(all | READ),
            'w' => Ok(all | WRITE),
            'm' => Ok(all | MAKE),
            _ => Err(out_of_range("devices.access", text, "it must be of the letters r, w and m")),
        })?;
        Ok(Self {
            allow: rule.allow(),
            kind,
            major: number("devices.major", rule.major(), MOST_MAJOR)?,
            minor: number("devices.minor", rule.minor(), MOST_MINOR)?,
            access,
        })
    }

    #[cfg(test)]
    fn matches(&self, kind: u32, major: u32, minor: u32) -> bool {
        self.kind.is_none_or(|own| own == kind)
            && self.major.is_none_or(|own| own == major)
            && self.minor.is_none_or(|own| own == minor)
    }

    fn is_everything(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == MAKE | READ | WRITE
    }

    /// Lines for v1: it has no line for "both types with these numbers".
    fn legacy_lines(&self) -> Vec<String> {
        if self.is_everything() {
            return vec!["a".to_owned()];
        }
        let kinds = match self.kind {
            Some(BLOCK) => "b",
            Some(_) => "c",
            None => "bc",
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let letters = [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')];
        let access: String =
            letters.iter().filter(|(bit, _)| self.access & bit != 0).map(|(_, letter)| letter).collect();
        kinds.chars().map(|kind| format!("{kind} {}:{} {access}", number(self.major), number(self.minor))).collect()
    }
}

/// Sets the rules of a group: replaces the program on v2; on v1 writes the lines in order, after a denial of everything
/// unless the list itself starts with everything.
pub(super) fn set(group: &Cgroup, rules: &Rules) -> Result<(), CgroupError> {
    let place = group.place_of("devices")?;
    if place.hierarchy.unified {
        return set_program(group, rules);
    }
    if !rules.0.first().is_some_and(Rule::is_everything) {
        place.write("devices.deny", "a")?;
    }
    // Neighbours go to one open file; the order of all of them counts.
    for rules in rules.0.chunk_by(|one, next| one.allow == next.allow) {
        let file = if rules.first().is_some_and(|rule| rule.allow) { "devices.allow" } else { "devices.deny" };
        let lines: Vec<String> = rules.iter().flat_map(Rule::legacy_lines).collect();
        place.write_all(file, &lines)?;
    }
    Ok(())
}

/// Loads the program and attaches it to the unified side of the group, in place of one that is there.
pub(super) fn set_program(group: &Cgroup, rules: &Rules) -> Result<(), CgroupError> {
    let failed = |step: &str| {
        let (path, step) = (group.path().to_owned(), step.to_owned());
        move |source| CgroupError::DeviceFilter { path, step, source }
    };
    let Some(unified) = group.layout().unified() else {
        return Err(CgroupError::Unsupported { what: "a filter of devices by program needs cgroup v2".into() });
    };
    let folder = group.place(unified).open("", OFlags::RDONLY | OFlags::DIRECTORY);
    let folder = folder.map_err(|error| failed("open it")(error.into()))?;
    let program = bpf::load_device_filter(&program(rules)).map_err(failed("load the program"))?;
    let attached = bpf::device_filters(folder.as_fd()).map_err(failed("ask for the present program"))?;
    let old = match attached.as_slice() {
        [] => None,
        // Ours is the only one in a group of ours; systemd's are in groups above and stay.
        [first, ..] => Some(bpf::program_by_id(*first).map_err(failed("open the present program"))?),
    };
    bpf::attach_device_filter(folder.as_fd(), program.as_fd(), old.as_ref().map(|old| old.as_fd()))
        .map_err(failed("attach the program"))
}

/// The program: bits of the access that no rule has decided yet stand in register 5; rules are asked from the last to
/// the first; a denial of an undecided bit ends with no, the last bit allowed ends with yes.
fn program(rules: &Rules) -> Vec<Instruction> {
    use bpf::instruction::*;
    let mut code = vec![
        // r2 = type, r5 = access, r3 = major, r4 = minor, of the context in r1.
        load_word(R2, R1, 0),
        move_register(R5, R2),
        shift_right(R5, 16),
        and(R2, 0xffff),
        load_word(R3, R1, 4),
        load_word(R4, R1, 8),
    ];
    for rule in rules.0.iter().rev() {
        let decide = if rule.allow {
            vec![and(R5, !rule.access), jump_if_not_equal(R5, 0, 2), move_number(R0, 1), exit()]
        } else {
            vec![move_register(R0, R5), and(R0, rule.access), jump_if_equal(R0, 0, 2), move_number(R0, 0), exit()]
        };
        let tests = [(R2, rule.kind), (R3, rule.major), (R4, rule.minor)];
        let tests: Vec<_> = tests.into_iter().filter_map(|(register, value)| Some((register, value?))).collect();
        for (at, (register, value)) in tests.iter().enumerate() {
            let skip = (tests.len() - at - 1 + decide.len()) as i16;
            code.push(jump_if_not_equal(*register, *value, skip));
        }
        code.extend(decide);
    }
    code.extend([move_number(R0, 0), exit()]);
    code
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;
    use proptest::prelude::*;

    use super::*;

    /// Runs the few instructions that `program` uses, as the kernel does.
    fn run(code: &[Instruction], kind: u32, major: u32, minor: u32, access: u32) -> bool {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0_u32; 6];
        let mut at = 0_usize;
        loop {
            let one = code[at];
            let (to, from) = (usize::from(one.registers & 0xf), usize::from(one.registers >> 4));
            let number = one.number as u32;
            at += 1;
            match one.code {
                0x61 => registers[to] = context[one.offset as usize / 4],
                0xbc => registers[to] = registers[from],
                0xb4 => registers[to] = number,
                0x54 => registers[to] &= number,
                0x74 => registers[to] >>= number,
                0x16 if registers[to] == number => at += one.offset as usize,
                0x56 if registers[to] != number => at += one.offset as usize,
                0x16 | 0x56 => {}
                0x95 => return registers[0] == 1,
                other => panic!("no such instruction {other:#x}"),
            }
        }
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        (
            any::<bool>(),
            proptest::option::of(1..3_u32),
            proptest::option::of(0..3_u32),
            proptest::option::of(0..3_u32),
            1..8_u32,
        )
            .prop_map(|(allow, kind, major, minor, access)| Rule { allow, kind, major, minor, access })
    }

    proptest! {
        /// The last rule that matches a bit of the access decides about it, and all bits must be allowed.
        #[test]
        fn the_program_decides_as_the_rules_say(
            rules in proptest::collection::vec(any_rule(), 0..12),
            kind in 1..3_u32, major in 0..4_u32, minor in 0..4_u32, access in 1..8_u32,
        ) {
            let rules = Rules(rules);
            prop_assert_eq!(run(&program(&rules), kind, major, minor, access), rules.allows(kind, major, minor, access));
        }
    }

    #[test]
    fn the_kernel_accepts_a_long_program() {
        let rule = Rule { allow: true, kind: Some(CHARACTER), major: Some(1), minor: Some(3), access: 7 };
        let rules = Rules((0..MOST_RULES as u32).map(|minor| Rule { minor: Some(minor), ..rule }).collect());
        bpf::load_device_filter(&program(&rules)).expect("verified");
    }

    #[test]
    fn a_program_that_the_kernel_refuses_is_refused_with_its_words() {
        let endless = [bpf::instruction::jump_if_equal(bpf::instruction::R1, 0, -1)];
        let refused = bpf::load_device_filter(&endless).expect_err("refused");
        assert!(refused.to_string().len() > 40, "{refused}");
    }

    #[test]
    fn rules_that_no_device_can_match_are_refused() {
        let rule = || LinuxDeviceCgroupBuilder::default().allow(true);
        let text = |rule: LinuxDeviceCgroup| Rules::parse(&[rule]).expect_err("out of range").to_string();
        assert_eq!(
            text(rule().major(4096).build().expect("rule")),
            "devices.major is 4096, but it must be from 0 to 4095, or -1 for all"
        );
        assert_eq!(
            text(rule().access("rx".to_owned()).build().expect("rule")),
            "devices.access is rx, but it must be of the letters r, w and m"
        );
        assert!(text(rule().typ(LinuxDeviceType::P).build().expect("rule")).contains("a pipe is no device"));
    }

    #[test]
    fn v1_lines_name_both_types_where_the_rule_names_none() {
        let rule = Rule { allow: true, kind: None, major: Some(4), minor: None, access: READ | MAKE };
        assert_eq!(rule.legacy_lines(), ["b 4:* rm", "c 4:* rm"]);
        assert_eq!(Rule { major: None, access: 7, ..rule }.legacy_lines(), ["a"]);
    }
}
