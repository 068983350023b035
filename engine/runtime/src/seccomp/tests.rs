//! The compiled program against a naive reading of the rules, and the kernel itself.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};
use proptest::prelude::*;

use super::architecture::{ARM_FAMILY, Architecture, X86_FAMILY};
use super::compile::compile_for;
use super::*;
use crate::capabilities::CapabilitySet;
use crate::sys::seccomp::Instruction;
use crate::sys::testing::in_child;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL_PROCESS: u32 = 0x8000_0000;

/// One call, as the kernel shows it to the program.
#[derive(Debug, Clone, Copy)]
struct Call {
    audit: u32,
    number: u32,
    arguments: [u64; 6],
}

/// Runs the few operations that the compiler uses.
fn run(program: &[Instruction], call: Call) -> u32 {
    let mut memory = [call.number, call.audit, 0, 0].to_vec();
    memory.extend(call.arguments.iter().flat_map(|argument| [*argument as u32, (*argument >> 32) as u32]));
    let (mut accumulator, mut at) = (0_u32, 0_usize);
    loop {
        let one = program[at];
        at += 1;
        let test = |holds| usize::from(if holds { one.if_true } else { one.if_false });
        match one.operation {
            0x20 => accumulator = memory[one.value as usize / 4],
            0x54 => accumulator &= one.value,
            0x05 => at += one.value as usize,
            0x15 => at += test(accumulator == one.value),
            0x25 => at += test(accumulator > one.value),
            0x35 => at += test(accumulator >= one.value),
            0x06 => return one.value,
            other => panic!("no such operation {other:#x}"),
        }
    }
}

/// What the rules say about a call, by the words of `rules.rs` and without its code.
fn naive(rules: &LinuxSeccomp, family: &[Architecture], call: Call) -> u32 {
    let value = |action: LinuxSeccompAction, errno: Option<u32>| match action {
        LinuxSeccompAction::ScmpActErrno => 0x0005_0000 + errno.unwrap_or(1),
        LinuxSeccompAction::ScmpActAllow => ALLOW,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActKillProcess => KILL_PROCESS,
        other => panic!("not in these tests: {other:?}"),
    };
    let default = value(rules.default_action(), rules.default_errno_ret());
    let named = |one: &Architecture| {
        *one == family[0]
            || rules.architectures().iter().flatten().any(|arch| Architecture::from_oci(*arch) == Some(*one))
    };
    let mine = |one: &&Architecture| {
        one.audit() == call.audit && one.spaces().iter().any(|space| space.contains(&call.number))
    };
    let Some(architecture) = family.iter().find(mine).filter(|one| named(one)) else { return KILL_PROCESS };
    let mut by_arguments = None;
    let mut newest = None;
    let space = architecture.spaces().iter().find(|space| space.contains(&call.number)).expect("a space");
    for rule in rules.syscalls().iter().flatten() {
        let action = value(rule.action(), rule.errno_ret());
        let arguments = rule.args().clone().unwrap_or_default();
        for name in rule.names() {
            let number = architecture.number(name);
            newest = newest.max(number.filter(|number| space.contains(number)));
            let carried = architecture.carrier(name).filter(|carrier| {
                architecture.number(carrier.name) == Some(call.number)
                    && call.arguments[0] & carrier.mask & 0xffff_ffff == carrier.value
                    && arguments.is_empty()
            });
            if action == default || (number != Some(call.number) && carried.is_none()) {
                continue;
            }
            if arguments.is_empty() && carried.is_none() {
                return first_whole(rules, architecture, call.number, default, value);
            }
            let holds: Vec<bool> = arguments.iter().map(|one| compares(architecture, name, one, call)).collect();
            let twice = (0..6).any(|index| arguments.iter().filter(|one| one.index() == index).count() > 1);
            if carried.is_some() || if twice { holds.contains(&true) } else { !holds.contains(&false) } {
                by_arguments = by_arguments.or(Some(action));
            }
        }
    }
    // A rule for the whole call may stand behind; it hides those with arguments.
    let whole = first_whole(rules, architecture, call.number, default, value);
    if whole != default {
        return whole;
    }
    let hides = default & 0x7fff_0000 == 0x0005_0000 && default != ENOSYS || default == KILL_PROCESS;
    match (by_arguments, newest) {
        (Some(action), _) => action,
        (None, Some(newest)) if call.number > newest && hides => ENOSYS,
        _ => default,
    }
}

fn first_whole(
    rules: &LinuxSeccomp,
    architecture: &Architecture,
    number: u32,
    default: u32,
    value: impl Fn(LinuxSeccompAction, Option<u32>) -> u32,
) -> u32 {
    let whole = rules.syscalls().iter().flatten().find(|rule| {
        rule.args().as_ref().is_none_or(Vec::is_empty)
            && value(rule.action(), rule.errno_ret()) != default
            && rule.names().iter().any(|name| architecture.number(name) == Some(number))
    });
    whole.map_or(default, |rule| value(rule.action(), rule.errno_ret()))
}

fn compares(architecture: &Architecture, name: &str, argument: &LinuxSeccompArg, call: Call) -> bool {
    let short = matches!(architecture, Architecture::X86 | Architecture::Arm)
        || name == "personality" && argument.index() == 0
        || ["socket", "socketpair"].contains(&name) && argument.index() < 3;
    let cut = |value: u64| if short { value % (1 << 32) } else { value };
    let (left, right) = (cut(call.arguments[argument.index()]), cut(argument.value()));
    match argument.op() {
        LinuxSeccompOperator::ScmpCmpEq => left == right,
        LinuxSeccompOperator::ScmpCmpNe => left != right,
        LinuxSeccompOperator::ScmpCmpLt => left < right,
        LinuxSeccompOperator::ScmpCmpLe => left <= right,
        LinuxSeccompOperator::ScmpCmpGt => left > right,
        LinuxSeccompOperator::ScmpCmpGe => left >= right,
        LinuxSeccompOperator::ScmpCmpMaskedEq => left & right == cut(argument.value_two().unwrap_or(0)),
    }
}

const NAMES: [&str; 12] = [
    "read",
    "write",
    "socket",
    "socketcall",
    "shmat",
    "ipc",
    "clone",
    "personality",
    "execve",
    "set_tls",
    "file_getattr",
    "no_such_call",
];

/// Values near each other, in both halves.
fn any_value() -> impl Strategy<Value = u64> {
    let near = (prop_oneof![Just(0_u64), Just(1), Just(u64::from(u32::MAX))], 0..4_u64);
    prop_oneof![
        6 => near.prop_map(|(high, low)| high << 32 | low),
        1 => Just(u64::MAX),
        1 => Just(u64::from(u32::MAX)),
        1 => any::<u64>(),
    ]
}

fn any_operator() -> impl Strategy<Value = LinuxSeccompOperator> {
    use LinuxSeccompOperator as Oci;
    prop_oneof![
        Just(Oci::ScmpCmpEq),
        Just(Oci::ScmpCmpNe),
        Just(Oci::ScmpCmpLt),
        Just(Oci::ScmpCmpLe),
        Just(Oci::ScmpCmpGt),
        Just(Oci::ScmpCmpGe),
        Just(Oci::ScmpCmpMaskedEq),
    ]
}

fn any_argument() -> impl Strategy<Value = LinuxSeccompArg> {
    (0..3_usize, any_value(), proptest::option::of(any_value()), any_operator()).prop_map(|(index, value, two, op)| {
        let argument = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
        let argument = if let Some(two) = two { argument.value_two(two) } else { argument };
        argument.build().expect("argument")
    })
}

fn any_action() -> impl Strategy<Value = (LinuxSeccompAction, Option<u32>)> {
    use LinuxSeccompAction as Oci;
    prop_oneof![
        Just((Oci::ScmpActAllow, None)),
        Just((Oci::ScmpActLog, None)),
        Just((Oci::ScmpActKillProcess, None)),
        Just((Oci::ScmpActErrno, None)),
        Just((Oci::ScmpActErrno, Some(38))),
    ]
}

fn any_rule() -> impl Strategy<Value = LinuxSyscall> {
    let names = proptest::sample::subsequence(NAMES.to_vec(), 1..4);
    (names, any_action(), proptest::collection::vec(any_argument(), 0..4)).prop_map(|(names, (action, errno), args)| {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let rule = LinuxSyscallBuilder::default().names(names).action(action).args(args);
        let rule = if let Some(errno) = errno { rule.errno_ret(errno) } else { rule };
        rule.build().expect("rule")
    })
}

fn any_rules() -> impl Strategy<Value = LinuxSeccomp> {
    let architectures = [
        Arch::ScmpArchX86_64,
        Arch::ScmpArchX32,
        Arch::ScmpArchX86,
        Arch::ScmpArchAarch64,
        Arch::ScmpArchArm,
        Arch::ScmpArchS390x,
    ];
    let architectures = proptest::sample::subsequence(architectures.to_vec(), 0..6);
    (any_action(), architectures, proptest::collection::vec(any_rule(), 0..8)).prop_map(
        |((action, errno), architectures, syscalls)| {
            let rules =
                LinuxSeccompBuilder::default().default_action(action).architectures(architectures).syscalls(syscalls);
            let rules = if let Some(errno) = errno { rules.default_errno_ret(errno) } else { rules };
            rules.build().expect("rules")
        },
    )
}

/// Numbers that the names stand for, their neighbours, and any other; arguments near those of the rules.
fn any_call(family: &'static [Architecture]) -> impl Strategy<Value = Call> {
    let number = (0..family.len(), 0..NAMES.len(), 0..3_u32).prop_map(|(architecture, name, near)| {
        let number = family[architecture].number(NAMES[name]).unwrap_or(0x4000_0000);
        number.wrapping_add(near).wrapping_sub(1)
    });
    let audit = (0..=family.len()).prop_map(|at| family.get(at).map_or(0x1234, |one| one.audit()));
    let arguments = proptest::array::uniform6(any_value());
    (audit, prop_oneof![8 => number, 1 => any::<u32>()], arguments).prop_map(|(audit, number, arguments)| Call {
        audit,
        number,
        arguments,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_program_decides_as_the_rules_say_on_x86(
        rules in any_rules(),
        calls in proptest::collection::vec(any_call(&X86_FAMILY), 40),
    ) {
        let program = compile_for(&rules, &X86_FAMILY).expect("compiled");
        for call in calls {
            prop_assert_eq!(run(&program, call), naive(&rules, &X86_FAMILY, call), "{:x?}", call);
        }
    }

    #[test]
    fn the_program_decides_as_the_rules_say_on_arm(
        rules in any_rules(),
        calls in proptest::collection::vec(any_call(&ARM_FAMILY), 40),
    ) {
        let program = compile_for(&rules, &ARM_FAMILY).expect("compiled");
        for call in calls {
            prop_assert_eq!(run(&program, call), naive(&rules, &ARM_FAMILY, call), "{:x?}", call);
        }
    }
}

fn docker_default() -> LinuxSeccomp {
    let profile = Profile::docker_default().expect("the file is well");
    profile.resolve(CapabilitySet::docker_default()).expect("resolved")
}

#[test]
fn dockers_default_is_decided_for_every_number_of_three_architectures() {
    let rules = docker_default();
    let program = compile_for(&rules, &X86_FAMILY).expect("compiled");
    for architecture in X86_FAMILY {
        let first = *architecture.spaces()[0].start();
        for number in first..first + 600 {
            for argument in [0, 8, 38, 39, 40, 41, 0x1_0000_0028, 0x2_0000, 0x1000_0000, 0xffff_ffff, u64::MAX] {
                let call = Call { audit: architecture.audit(), number, arguments: [argument; 6] };
                assert_eq!(run(&program, call), naive(&rules, &X86_FAMILY, call), "{call:x?}");
            }
        }
    }
}

#[test]
fn dockers_default_makes_a_short_program() {
    let program = compile(&docker_default()).expect("compiled");
    assert!(program.len() < 420, "{} instructions", program.len());
}

#[test]
fn well_known_calls_get_dockers_answers() {
    let program = compile_for(&docker_default(), &X86_FAMILY).expect("compiled");
    let answer = |architecture: Architecture, name: &str, first: u64| {
        let number = architecture.number(name).expect("a number");
        run(&program, Call { audit: architecture.audit(), number, arguments: [first, 0, 0, 0, 0, 0] })
    };
    for architecture in X86_FAMILY {
        assert_eq!(answer(architecture, "execve", 0), ALLOW);
        assert_eq!(answer(architecture, "mount", 0), EPERM);
        assert_eq!(answer(architecture, "clone3", 0), ENOSYS);
        assert_eq!(answer(architecture, "clone", 0x11), ALLOW);
        assert_eq!(answer(architecture, "clone", 0x1000_0000), EPERM, "CLONE_NEWUSER");
        assert_eq!(answer(architecture, "file_setattr", 0), ENOSYS, "newer than the profile");
    }
    let socket = |family| answer(Architecture::X86_64, "socket", family);
    assert_eq!([socket(1), socket(2), socket(39), socket(16)], [ALLOW; 4]);
    assert_eq!([socket(38), socket(40), socket(0x1_0000_0028)], [EPERM; 3], "AF_ALG, AF_VSOCK, AF_VSOCK in disguise");
    let again = compile(&docker_default()).expect("compiled");
    let text = serde_json::to_string(&again).expect("written");
    assert_eq!(serde_json::from_str::<Program>(&text).expect("read"), again, "it survives the way to another process");
    let foreign = Call { audit: Architecture::Aarch64.audit(), number: 63, arguments: [0; 6] };
    assert_eq!(run(&program, foreign), KILL_PROCESS);
}

/// The kernel's own word: allowed, refused and newer calls in a process that has the filter.
#[test]
fn a_process_with_the_filter_is_refused_what_the_profile_refuses() {
    let program = compile(&docker_default()).expect("compiled");
    let told = in_child(move || {
        rustix::thread::set_no_new_privs(true)?;
        program.install()?;
        let refused = |answer: Result<(), rustix::io::Errno>| format!("{:?}", answer.err().map(|e| e.raw_os_error()));
        let mount = rustix::mount::mount_change("/", rustix::mount::MountPropagationFlags::PRIVATE);
        let reboot = rustix::system::reboot(rustix::system::RebootCommand::CadOff);
        let vsock =
            rustix::net::socket(rustix::net::AddressFamily::from_raw(40), rustix::net::SocketType::STREAM, None);
        let unix = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None);
        Ok(format!("{} {} {} {}", refused(mount), refused(reboot), refused(vsock.map(drop)), refused(unix.map(drop))))
    });
    assert_eq!(told, "Some(1) Some(1) Some(1) None");
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    use LinuxSeccompAction as Oci;
    let rules = |action, errno: Option<u32>, index: usize| {
        let argument = LinuxSeccompArgBuilder::default().index(index).op(LinuxSeccompOperator::ScmpCmpEq);
        let rule = LinuxSyscallBuilder::default()
            .names(vec!["read".to_owned()])
            .action(action)
            .args(vec![argument.build().expect("argument")]);
        let rule = if let Some(errno) = errno { rule.errno_ret(errno) } else { rule };
        let rule = rule.build().expect("rule");
        let whole = LinuxSeccompBuilder::default().default_action(Oci::ScmpActAllow).syscalls(vec![rule]);
        compile(&whole.build().expect("rules")).expect_err("refused")
    };
    let notify = rules(Oci::ScmpActNotify, None, 0);
    assert_eq!(notify.kind(), crate::wire::RefusalKind::Unsupported);
    assert!(notify.to_string().contains("SCMP_ACT_NOTIFY"), "{notify}");
    assert!(rules(Oci::ScmpActErrno, None, 6).to_string().contains("compares argument 6; there are 0 to 5"));
    assert!(rules(Oci::ScmpActErrno, Some(5000), 0).to_string().contains("the most is 4095"));
    assert!(rules(Oci::ScmpActKill, Some(1), 0).to_string().contains("only with SCMP_ACT_ERRNO"));
}

#[test]
fn a_profile_that_would_be_too_long_is_refused() {
    let argument = |value: u64| {
        let argument =
            LinuxSeccompArgBuilder::default().index(1_usize).value(value).op(LinuxSeccompOperator::ScmpCmpEq);
        argument.build().expect("argument")
    };
    let rule = |value| {
        let rule = LinuxSyscallBuilder::default().names(vec!["read".to_owned()]);
        rule.action(LinuxSeccompAction::ScmpActErrno).args(vec![argument(value)]).build().expect("rule")
    };
    let rules = LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .syscalls((0..2000).map(rule).collect::<Vec<_>>())
        .build()
        .expect("rules");
    let refused = compile(&rules).expect_err("too long");
    assert!(refused.to_string().ends_with("and the kernel takes 4096"), "{refused}");
}
