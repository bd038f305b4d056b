//! Programs are run by an interpreter of the packet filter's few instructions and compared with the profile itself.

use proptest::prelude::*;

use super::super::{Rule, default_profile};
use super::*;
use crate::spec::capabilities;

/// What a program returns for a call.
fn run(program: &[sock_filter], machine: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        OFFSET_NUMBER => number,
        OFFSET_MACHINE => machine,
        _ => {
            let at = (offset - OFFSET_ARGUMENTS) as usize;
            (arguments[at / 8] >> (if at % 8 == 4 { 32 } else { 0 })) as u32
        }
    };
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            LOAD => accumulator = word(k),
            AND => accumulator &= k,
            RETURN => return k,
            JUMP => at += k as usize,
            JUMP_EQUAL => branch(accumulator == k),
            JUMP_GREATER => branch(accumulator > k),
            JUMP_AT_LEAST => branch(accumulator >= k),
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What the profile says, without any compilation.
fn judge(profile: &Profile, name: &str, arguments: [u64; 6]) -> Action {
    let rules: Vec<&Rule> = profile.rules.iter().filter(|rule| rule.names.iter().any(|known| known == name)).collect();
    if let Some(always) = rules.iter().find(|rule| rule.arguments.is_empty()) {
        return always.action;
    }
    let holds = |argument: &Argument| {
        let value = arguments[usize::from(argument.index)];
        match argument.comparison {
            Comparison::Equal(wanted) => value == wanted,
            Comparison::NotEqual(wanted) => value != wanted,
            Comparison::Less(wanted) => value < wanted,
            Comparison::LessOrEqual(wanted) => value <= wanted,
            Comparison::GreaterOrEqual(wanted) => value >= wanted,
            Comparison::Greater(wanted) => value > wanted,
            Comparison::Masked { mask, value: wanted } => value & mask == wanted,
        }
    };
    let matching = rules.iter().find(|rule| {
        let repeated =
            rule.arguments.iter().any(|one| rule.arguments.iter().filter(|other| other.index == one.index).count() > 1);
        if repeated { rule.arguments.iter().any(holds) } else { rule.arguments.iter().all(holds) }
    });
    matching.map_or(profile.default, |rule| rule.action)
}

fn native(name: &str) -> u32 {
    (NATIVE.number)(name).unwrap()
}

const NOTHING: [u64; 6] = [0; 6];
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

#[test]
fn the_default_profile() {
    let program = compile(&default_profile(capabilities::DEFAULT)).unwrap();
    assert!(program.len() < 700, "{} instructions", program.len());
    let check = |name: &str, first: u64| run(&program, NATIVE.machine, native(name), [first, 0, 0, 0, 0, 0]);
    for name in ["read", "execve", "openat", "chroot", "ptrace", "seccomp", "mknodat", "futex_waitv", "mseal"] {
        assert_eq!(check(name, 0), ALLOW, "{name}");
    }
    for name in ["mount", "unshare", "setns", "bpf", "kexec_load", "init_module", "keyctl", "io_uring_setup", "reboot"]
    {
        assert_eq!(check(name, 0), errno(libc::EPERM), "{name}");
    }
    assert_eq!(check("clone3", 0), errno(libc::ENOSYS));
    assert_eq!(check("clone", libc::SIGCHLD as u64), ALLOW);
    assert_eq!(check("clone", libc::CLONE_NEWUSER as u64), errno(libc::EPERM));
    assert_eq!(check("socket", libc::AF_INET6 as u64), ALLOW);
    assert_eq!(check("socket", libc::AF_ALG as u64), errno(libc::EPERM));
    assert_eq!(check("socket", libc::AF_VSOCK as u64), errno(libc::EPERM));
    assert_eq!(check("personality", 0x20008), ALLOW);
    assert_eq!(check("personality", 0x40000), errno(libc::EPERM));
    // Newer than the profile, x32, 32-bit, and a machine that is not this one.
    assert_eq!(run(&program, NATIVE.machine, 9999, NOTHING), errno(libc::ENOSYS));
    assert_eq!(run(&program, NATIVE.machine, 0x4000_0001, NOTHING), errno(libc::ENOSYS));
    assert_eq!(run(&program, COMPAT.machine, (COMPAT.number)("execve").unwrap(), NOTHING), ALLOW);
    assert_eq!(run(&program, COMPAT.machine, (COMPAT.number)("mount").unwrap(), NOTHING), errno(libc::EPERM));
    assert_eq!(run(&program, 0x1234, 0, NOTHING), libc::SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn capabilities_open_calls() {
    let with =
        |name: &str| compile(&default_profile(capabilities::DEFAULT | capabilities::number(name).unwrap().1)).unwrap();
    for (capability, call) in [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "clone3"),
        ("SYS_TIME", "clock_settime"),
        ("SYS_MODULE", "finit_module"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
        ("BPF", "bpf"),
        ("SYSLOG", "syslog"),
    ] {
        let program = with(capability);
        assert_eq!(run(&program, NATIVE.machine, native(call), NOTHING), ALLOW, "{call} with {capability}");
    }
    let none = compile(&default_profile(0)).unwrap();
    assert_eq!(run(&none, NATIVE.machine, native("chroot"), NOTHING), errno(libc::EPERM));
}

#[test]
fn limits() {
    let rule = |index, count: usize| Rule {
        names: vec!["read".to_owned()],
        action: Action::Allow,
        arguments: vec![Argument { index, comparison: Comparison::Equal(1) }; count],
    };
    let profile = |rule: Rule| Profile { default: Action::Allow, rules: vec![rule], compat: false };
    assert!(matches!(compile(&profile(rule(6, 1))), Err(CompileError::Argument(6))));
    assert!(matches!(compile(&profile(rule(0, 2000))), Err(CompileError::TooLong(_))));
    // Without the 32-bit table its calls end the process.
    let program = compile(&profile(rule(0, 1))).unwrap();
    assert_eq!(run(&program, COMPAT.machine, 1, NOTHING), libc::SECCOMP_RET_KILL_PROCESS);
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4u64,
        (0..3u64).prop_map(|n| n << 32),
        any::<u64>(),
        Just(u64::MAX),
        (0..4u64).prop_map(|n| n | 1 << 32)
    ]
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        numbers().prop_map(Comparison::Equal),
        numbers().prop_map(Comparison::NotEqual),
        numbers().prop_map(Comparison::Less),
        numbers().prop_map(Comparison::LessOrEqual),
        numbers().prop_map(Comparison::GreaterOrEqual),
        numbers().prop_map(Comparison::Greater),
        (numbers(), numbers()).prop_map(|(mask, value)| Comparison::Masked { mask, value: value & mask }),
    ]
}

const NAMES: [&str; 6] = ["read", "write", "close", "openat", "clone3", "mseal"];

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let argument = (0..6u8, comparisons()).prop_map(|(index, comparison)| Argument { index, comparison });
    let rule = (
        proptest::sample::subsequence(NAMES.to_vec(), 1..4),
        prop_oneof![Just(Action::Allow), Just(Action::Errno(1)), Just(Action::Trap), Just(Action::Log)],
        proptest::collection::vec(argument, 0..4),
    );
    let rule = rule.prop_map(|(names, action, arguments)| Rule {
        names: names.into_iter().map(str::to_owned).collect(),
        action,
        arguments,
    });
    proptest::collection::vec(rule, 0..12)
}

proptest! {
    #[test]
    fn programs_say_what_profiles_say(rules in rules(), calls in proptest::collection::vec((0..6usize, [numbers(), numbers(), numbers(), numbers(), numbers(), numbers()]), 20)) {
        let profile = Profile { default: Action::KillThread, rules, compat: true };
        let program = compile(&profile).unwrap();
        let named = |name: &str| profile.rules.iter().any(|rule| rule.names.iter().any(|known| known == name));
        for (name, arguments) in calls {
            let name = NAMES[name];
            if !named(name) {
                continue;
            }
            for table in [&NATIVE, &COMPAT] {
                let number = (table.number)(name).unwrap();
                prop_assert_eq!(run(&program, table.machine, number, arguments), judge(&profile, name, arguments).code());
            }
        }
    }
}
