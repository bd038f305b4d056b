//! The device policy in cgroup v2: a small eBPF program on the cgroup, which the kernel asks at each opening of a device.
//!
//! It is emitted here instruction by instruction. The context has three words: the kind in the low and the access in the high
//! half of the first, then major and minor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::devices::{Access, Allowed};
use crate::launch::spec::DeviceKind;
use crate::sys::mount::errno_of;

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u8,
    /// Destination in the low, source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate }
}

/// The program that allows `list` and nothing else.
pub(crate) fn emit(list: &[Allowed]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for allowed in list {
        program.extend(emit_one(allowed));
    }
    program.extend([instruction(MOVE, RESULT, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

/// Tests one entry; falls through to the next when it does not match.
fn emit_one(allowed: &Allowed) -> Vec<Instruction> {
    let kind = match allowed.kind {
        DeviceKind::Block => 1,
        DeviceKind::Character => 2,
    };
    let mut tests = vec![(KIND, kind)];
    let number = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    tests.extend(allowed.major.map(|major| (MAJOR, number(major))));
    tests.extend(allowed.minor.map(|minor| (MINOR, number(minor))));
    let forbidden = !access_bits(allowed.access) & 7;

    // From the end, so that each jump knows how far the next entry is.
    let mut code = vec![instruction(EXIT, 0, 0, 0, 0), instruction(MOVE, RESULT, 0, 0, 1)];
    if forbidden != 0 {
        // The context's register is no longer needed: everything has been loaded.
        code.push(instruction(JUMP_UNLESS_EQUAL, CONTEXT, 0, code.len() as i16, 0));
        code.push(instruction(AND, CONTEXT, 0, 0, forbidden));
        code.push(instruction(MOVE_REGISTER, CONTEXT, ACCESS, 0, 0));
    }
    for (register, value) in tests.into_iter().rev() {
        code.push(instruction(JUMP_UNLESS_EQUAL, register, 0, code.len() as i16, value));
    }
    code.reverse();
    code
}

fn access_bits(access: Access) -> i32 {
    i32::from(access.make) | i32::from(access.read) << 1 | i32::from(access.write) << 2
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Programs of ancestors count too.
const ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Puts the policy on a cgroup of v2. It stays until the cgroup is removed.
pub(crate) fn attach(cgroup: BorrowedFd<'_>, list: &[Allowed]) -> io::Result<()> {
    let program = emit(list);
    let license = c"Apache-2.0";
    let load = LoadAttributes {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..LoadAttributes::default()
    };
    // SAFETY: the attributes and what they point to outlive the call, and their size is passed with it.
    let fd = unsafe { bpf(PROG_LOAD, (&raw const load).cast(), size_of::<LoadAttributes>()) }?;
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    let program = unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    let attach = AttachAttributes {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: as above.
    unsafe { bpf(PROG_ATTACH, (&raw const attach).cast(), size_of::<AttachAttributes>()) }.map(drop)
}

/// # Safety
///
/// `attributes` points to `size` bytes of what `command` expects.
unsafe fn bpf(command: libc::c_int, attributes: *const libc::c_void, size: usize) -> io::Result<i32> {
    // SAFETY: the caller's contract.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// Whether the kernel has no such programs: then devices are guarded by file permissions alone.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(errno_of(error), Some(libc::ENOSYS | libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, for the few instructions that are emitted.
    fn allows(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            match code {
                LOAD_WORD => registers[to] = context[offset as usize / 4].into(),
                MOVE => registers[to] = immediate as u64,
                MOVE_REGISTER => registers[to] = registers[from],
                AND => registers[to] &= immediate as u64,
                SHIFT_RIGHT => registers[to] >>= immediate,
                JUMP_UNLESS_EQUAL if registers[to] != immediate as u64 => at += offset as usize,
                JUMP_UNLESS_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn policies() {
        const BLOCK: u32 = 1;
        const CHARACTER: u32 = 2;
        let read_only = Allowed {
            kind: DeviceKind::Block,
            major: Some(8),
            minor: None,
            access: Access { read: true, ..Access::default() },
        };
        let mut list = super::super::devices::DevicePolicy::usual();
        list.push(read_only);
        let program = emit(&list);
        for (kind, access, major, minor, wanted) in [
            (CHARACTER, 6, 1, 3, true),
            (CHARACTER, 6, 1, 1, false),
            (CHARACTER, 1, 10, 229, true),
            (CHARACTER, 2, 10, 229, false),
            (CHARACTER, 6, 136, 44, true),
            (BLOCK, 1, 8, 0, true),
            (BLOCK, 2, 8, 1, true),
            (BLOCK, 6, 8, 1, false),
            (BLOCK, 2, 259, 0, false),
        ] {
            assert_eq!(allows(&program, kind, access, major, minor), wanted, "{kind} {access} {major}:{minor}");
        }
        assert!(!allows(&emit(&[]), CHARACTER, 2, 1, 3));
    }
}
