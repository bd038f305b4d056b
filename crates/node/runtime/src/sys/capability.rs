//! Capabilities of the calling thread as sets of bits.

use std::io;

use super::mount::check;

const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

pub(crate) const SETPCAP: u32 = 8;
pub(crate) const SYS_ADMIN: u32 = 21;

/// The set with one capability.
pub(crate) const fn bit(capability: u32) -> u64 {
    1 << capability
}

/// What this thread may use.
pub(crate) fn permitted() -> io::Result<u64> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 fills exactly two structures.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

/// Sets effective and permitted; inheritable becomes empty.
pub(crate) fn set(effective: u64, permitted: u64) -> io::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: 0,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads exactly two structures.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })
}

/// Takes every capability that is not in `keep` out of the bounding set: no program that is executed can get it back.
pub(crate) fn limit_bounding_set(keep: u64) -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: takes numbers only.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability as libc::c_ulong, 0, 0, 0) } {
            1 if keep & bit(capability) == 0 => {
                super::process::prctl(libc::PR_CAPBSET_DROP, capability.into())?;
            }
            0 | 1 => {}
            // EINVAL: past the last capability that this kernel knows.
            _ => break,
        }
    }
    Ok(())
}
