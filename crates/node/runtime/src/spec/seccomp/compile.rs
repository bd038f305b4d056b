//! From a profile to a program for the kernel's packet filter (classic BPF).
//!
//! For each set of calls that the machine knows (64-bit, and 32-bit where the profile covers it): a binary search over ranges
//! of numbers, whose leaves are an action or a list of conditions on arguments. Calls with numbers above all that the profile
//! names are newer than it and look absent (ENOSYS) rather than forbidden, so that programs fall back to older ones; runc does
//! the same (`libcontainer/seccomp/patchbpf`).

use std::collections::BTreeMap;

use libc::sock_filter;

use super::profile::{Action, Argument, Comparison, Profile};

const OFFSET_NUMBER: u32 = 0;
const OFFSET_MACHINE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;

/// Longest program that the kernel takes.
const INSTRUCTIONS_MAX: usize = 4096;

/// Numbers from here on are x32's, an ABI that nobody uses: absent.
#[cfg(target_arch = "x86_64")]
const X32_NUMBERS: u32 = 0x4000_0000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("the seccomp profile is too long: {0} instructions, of which the kernel takes {INSTRUCTIONS_MAX}")]
    TooLong(usize),
    #[error("a seccomp rule looks at argument {0}; calls have the arguments 0 to 5")]
    Argument(u8),
}

type Result<T, E = CompileError> = std::result::Result<T, E>;

/// One table of calls: the machine's number for the audit system and a name's number in the table.
struct Table {
    machine: u32,
    number: fn(&str) -> Option<u32>,
}

macro_rules! lookup {
    ($table:ident) => {
        |name| name.parse::<syscalls::$table::Sysno>().ok().map(|call| call.id() as u32)
    };
}

#[cfg(target_arch = "x86_64")]
const NATIVE: Table = Table { machine: 0xc000_003e, number: lookup!(x86_64) };
#[cfg(target_arch = "x86_64")]
const COMPAT: Table = Table { machine: 0x4000_0003, number: lookup!(x86) };
#[cfg(target_arch = "aarch64")]
const NATIVE: Table = Table { machine: 0xc000_00b7, number: lookup!(aarch64) };
#[cfg(target_arch = "aarch64")]
const COMPAT: Table = Table { machine: 0x4000_0028, number: lookup!(arm) };

/// The program for this machine.
pub(crate) fn compile(profile: &Profile) -> Result<Vec<sock_filter>> {
    let mut program = vec![statement(LOAD, OFFSET_MACHINE)];
    let mut sections = vec![(NATIVE.machine, section(profile, &NATIVE)?)];
    if profile.compat {
        sections.push((COMPAT.machine, section(profile, &COMPAT)?));
    }
    for (machine, section) in sections {
        program.push(jump(JUMP_EQUAL, machine, 1, 0));
        program.push(statement(JUMP, section.len() as u32));
        program.extend(section);
    }
    program.push(statement(RETURN, Action::KillProcess.code()));
    if program.len() > INSTRUCTIONS_MAX {
        return Err(CompileError::TooLong(program.len()));
    }
    Ok(program)
}

/// What happens to a call of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaf {
    Always(Action),
    /// The first alternative whose conditions all hold, else the default.
    When(Vec<(Vec<Argument>, Action)>),
}

fn section(profile: &Profile, table: &Table) -> Result<Vec<sock_filter>> {
    let leaves = leaves(profile, table)?;
    let ranges = ranges(&leaves, profile.default);
    let mut code = vec![statement(LOAD, OFFSET_NUMBER)];
    code.extend(search(&ranges, profile.default));
    Ok(code)
}

fn leaves(profile: &Profile, table: &Table) -> Result<BTreeMap<u32, Leaf>> {
    let mut leaves: BTreeMap<u32, Leaf> = BTreeMap::new();
    for rule in &profile.rules {
        let alternatives = alternatives(&rule.arguments)?;
        for number in rule.names.iter().filter_map(|name| (table.number)(name)) {
            let leaf = leaves.entry(number).or_insert_with(|| Leaf::When(Vec::new()));
            match leaf {
                // A rule without conditions covers all others for its call.
                Leaf::Always(_) => {}
                Leaf::When(_) if rule.arguments.is_empty() => *leaf = Leaf::Always(rule.action),
                Leaf::When(list) => list.extend(alternatives.iter().map(|all| (all.clone(), rule.action))),
            }
        }
    }
    Ok(leaves)
}

/// Conditions on the same argument are alternatives to each other.
fn alternatives(arguments: &[Argument]) -> Result<Vec<Vec<Argument>>> {
    if let Some(wrong) = arguments.iter().find(|argument| argument.index > 5) {
        return Err(CompileError::Argument(wrong.index));
    }
    let repeated = (0..6).any(|index| arguments.iter().filter(|argument| argument.index == index).count() > 1);
    Ok(if repeated { arguments.iter().map(|one| vec![*one]).collect() } else { vec![arguments.to_vec()] })
}

/// The leaves as ranges that cover all numbers: each begins where the one before it ends.
fn ranges(leaves: &BTreeMap<u32, Leaf>, default: Action) -> Vec<(u32, Leaf)> {
    let mut ranges: Vec<(u32, Leaf)> = Vec::new();
    let mut push = |begin: u32, leaf: Leaf| match ranges.last() {
        Some((_, last)) if *last == leaf => {}
        _ => ranges.push((begin, leaf)),
    };
    let mut next = 0;
    for (number, leaf) in leaves {
        if *number > next {
            push(next, Leaf::Always(default));
        }
        push(*number, leaf.clone());
        next = number + 1;
    }
    push(next, Leaf::Always(newer_than_profile(default)));
    #[cfg(target_arch = "x86_64")]
    push(X32_NUMBERS, Leaf::Always(Action::Errno(libc::ENOSYS as u16)));
    ranges
}

fn newer_than_profile(default: Action) -> Action {
    match default {
        Action::Allow | Action::Log => default,
        _ => Action::Errno(libc::ENOSYS as u16),
    }
}

/// Binary search over the ranges, the number being in the accumulator.
fn search(ranges: &[(u32, Leaf)], default: Action) -> Vec<sock_filter> {
    if let [(_, leaf)] = ranges {
        return decide(leaf, default);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let begin = high.first().map_or(0, |(begin, _)| *begin);
    let (low, high) = (search(low, default), search(high, default));
    let mut code = match u8::try_from(low.len()) {
        Ok(distance) => vec![jump(JUMP_AT_LEAST, begin, distance, 0)],
        // Too far for a conditional jump.
        Err(_) => vec![jump(JUMP_AT_LEAST, begin, 0, 1), statement(JUMP, low.len() as u32)],
    };
    code.extend(low);
    code.extend(high);
    code
}

fn decide(leaf: &Leaf, default: Action) -> Vec<sock_filter> {
    match leaf {
        Leaf::Always(action) => vec![statement(RETURN, action.code())],
        Leaf::When(list) => {
            let mut code: Vec<sock_filter> =
                list.iter().flat_map(|(conditions, action)| alternative(conditions, *action)).collect();
            code.push(statement(RETURN, default.code()));
            code
        }
    }
}

/// Where a comparison leads.
#[derive(Clone, Copy)]
enum To {
    Next,
    /// The condition holds: past its last instruction.
    Holds,
    /// The condition fails: past the alternative.
    Fails,
}

enum Step {
    Plain(sock_filter),
    Branch { code: u16, value: u32, yes: To, no: To },
}

/// Returns `action` when all conditions hold, else falls through behind itself.
fn alternative(conditions: &[Argument], action: Action) -> Vec<sock_filter> {
    let parts: Vec<Vec<Step>> = conditions.iter().map(condition).collect();
    let total: usize = parts.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Vec::with_capacity(total);
    let mut part_end = 0;
    for part in parts {
        part_end += part.len();
        for step in part {
            let here = code.len() + 1;
            // At most six conditions of six instructions each: every distance fits.
            let distance = |to: To| match to {
                To::Next => 0,
                To::Holds => (part_end - here) as u8,
                To::Fails => (total - here) as u8,
            };
            code.push(match step {
                Step::Plain(instruction) => instruction,
                Step::Branch { code, value, yes, no } => jump(code, value, distance(yes), distance(no)),
            });
        }
    }
    code.push(statement(RETURN, action.code()));
    code
}

/// A comparison of 64 bits in two halves, the upper first.
fn condition(argument: &Argument) -> Vec<Step> {
    let offset = OFFSET_ARGUMENTS + 8 * u32::from(argument.index);
    let (low_offset, high_offset) =
        if cfg!(target_endian = "little") { (offset, offset + 4) } else { (offset + 4, offset) };
    let load_low = || Step::Plain(statement(LOAD, low_offset));
    let load_high = || Step::Plain(statement(LOAD, high_offset));
    let branch = |code, value, yes, no| Step::Branch { code, value, yes, no };
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    // Shape of the ordered comparisons: the upper half decides unless it is equal.
    let ordered = |value: u64, greater: To, less: To, code: u16, yes: To, no: To| {
        let (high, low) = halves(value);
        vec![
            load_high(),
            branch(JUMP_GREATER, high, greater, To::Next),
            branch(JUMP_EQUAL, high, To::Next, less),
            load_low(),
            branch(code, low, yes, no),
        ]
    };
    match argument.comparison {
        Comparison::Equal(value) => {
            let (high, low) = halves(value);
            vec![
                load_high(),
                branch(JUMP_EQUAL, high, To::Next, To::Fails),
                load_low(),
                branch(JUMP_EQUAL, low, To::Holds, To::Fails),
            ]
        }
        Comparison::NotEqual(value) => {
            let (high, low) = halves(value);
            vec![
                load_high(),
                branch(JUMP_EQUAL, high, To::Next, To::Holds),
                load_low(),
                branch(JUMP_EQUAL, low, To::Fails, To::Holds),
            ]
        }
        Comparison::Masked { mask, value } => {
            let ((mask_high, mask_low), (high, low)) = (halves(mask), halves(value));
            vec![
                load_high(),
                Step::Plain(statement(AND, mask_high)),
                branch(JUMP_EQUAL, high, To::Next, To::Fails),
                load_low(),
                Step::Plain(statement(AND, mask_low)),
                branch(JUMP_EQUAL, low, To::Holds, To::Fails),
            ]
        }
        Comparison::Greater(value) => ordered(value, To::Holds, To::Fails, JUMP_GREATER, To::Holds, To::Fails),
        Comparison::GreaterOrEqual(value) => ordered(value, To::Holds, To::Fails, JUMP_AT_LEAST, To::Holds, To::Fails),
        Comparison::Less(value) => ordered(value, To::Fails, To::Holds, JUMP_AT_LEAST, To::Fails, To::Holds),
        Comparison::LessOrEqual(value) => ordered(value, To::Fails, To::Holds, JUMP_GREATER, To::Fails, To::Holds),
    }
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
